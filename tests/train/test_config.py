"""Settings by dotted name: shown, changed, refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tilewise.adapt.lora import DECODER_TARGETS, VIT_TARGETS, LoraConfig
from tilewise.errors import ConfigError
from tilewise.settings import changed, settings, with_options
from tilewise.train.config import TrainConfig

PLAIN = TrainConfig(name="plain")


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("optim.lr=2e-5", "optim.lr", 2e-5),
        ("optim.lr=1", "optim.lr", 1.0),
        ("optim.clip_norm=none", "optim.clip_norm", None),
        ("optim.betas=[0.8, 0.9]", "optim.betas", [0.8, 0.9]),
        ('optim.factors=[["decoder", 0.2]]', "optim.factors", [["decoder", 0.2]]),
        ("run.precision=bfloat16", "run.precision", "bfloat16"),
        ("run.is_checkpointed=true", "run.is_checkpointed", True),
        ('model.trained=["vit"]', "model.trained", ["vit"]),
        ("model.folder=my/model", "model.folder", "my/model"),
        ("model.lora.rank=4", "model.lora.rank", 4),
        ("model.lora.rank=4", "model.lora.targets", list(DECODER_TARGETS)),
        ("model.vit_lora.rank=4", "model.vit_lora.rank", 4),
        ("model.vit_lora.rank=4", "model.vit_lora.targets", list(VIT_TARGETS)),
        ("schedule.steps=7", "schedule.steps", 7),
    ],
)
def test_a_setting_is_changed_by_a_text(option: str, name: str, value: object) -> None:
    cfg = with_options(PLAIN, [option])
    assert settings(cfg)[name] == value
    assert TrainConfig(name="plain") == PLAIN


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("optim.lr", "has no value"),
        ("optim.rate=1", "setting optim.rate is unknown in optim; known are lr, betas"),
        ("optim.lr=fast", "lr is 'fast'; a number is allowed"),
        ("optim.lr=-1", "optim.lr is -1.0"),
        ("run.accumulation=1.5", "accumulation is 1.5; a whole number is allowed"),
        ("run.is_checkpointed=1", "true or false is allowed"),
        ("run.precision=half", "'float32' or 'bfloat16' is allowed"),
        ("optim.betas=[0.9]", "betas is [0.9]; a list is allowed"),
        ('model.trained=["head"]', "trained"),
        ('model.vit_lora.targets=["decoder.layers.{i}.mlp.up"]', "begin with vit. are allowed"),
        ('model.lora.targets=["vit.layers.{i}.up"]', "begin with decoder. are allowed"),
        ("optim.lr.more=1", "lr has no settings of its own"),
        ("schedule.steps=many", "a whole number or none is allowed"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(option: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_options(PLAIN, [option])
    assert str(caught.value).startswith(f"--set {option}: ")
    assert said in str(caught.value)


def test_settings_are_plain_json_and_make_the_config_again() -> None:
    cfg = with_options(PLAIN, ["model.lora.rank=4", "optim.lr=3e-4"])
    values: dict[str, Any] = json.loads(json.dumps(settings(cfg)))
    again = TrainConfig(name="other")
    for name, value in values.items():
        again = changed(again, name, value)
    assert again == cfg
    assert again.model.lora == LoraConfig(rank=4)
