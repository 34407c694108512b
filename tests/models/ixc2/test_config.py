"""The published config.json is read, and one that cannot hold is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.ixc2.making import golden_folders
from tilewise.errors import ConfigError
from tilewise.models.ixc2.config import Ixc2Config
from tilewise.weights.files import read_config

RELEASED: dict[str, Any] = {
    "architectures": ["InternLM2ForCausalLM"],
    "bias": False,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_length": 16384,
    "max_position_embeddings": 32768,
    "model_type": "internlmxcomposer2",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 1_000_000,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 92544,
}


def test_the_released_config_gives_the_defaults() -> None:
    assert Ixc2Config.from_json(RELEASED) == Ixc2Config()


def test_a_scaling_by_one_is_none() -> None:
    scaling = {"type": "dynamic", "factor": 1.0}
    assert Ixc2Config.from_json({**RELEASED, "rope_scaling": scaling}) == Ixc2Config()


@pytest.mark.parametrize("folder", golden_folders(), ids=lambda f: f.name)
def test_sizes_of_a_small_model_are_read(folder: Any) -> None:
    data = read_config(folder)
    cfg, extra = Ixc2Config.from_json(data), data["tiny_extra"]
    assert cfg.vision.width == extra["vision"]["hidden_size"]
    assert [cfg.merged_width, cfg.projector_width, cfg.decoder.width] == extra["projector"]
    assert cfg.decoder.partial_lora is not None
    assert cfg.decoder.partial_lora.qkv_scale == extra["plora"]["wqkv"]["scale"]
    assert cfg.decoder.partial_lora.rank == extra["plora"]["others"]["rank"]
    assert cfg.context == data["max_length"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hidden_size": None}, "hidden_size is None"),
        ({"vocab_size": "many", "rope_theta": 0}, "vocab_size is 'many', rope_theta is 0"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_scaling is"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings is True"),
        ({"num_attention_heads": 3}, "heads 3"),
        ({"tiny_extra": 5}, "tiny_extra is 5"),
        ({"tiny_extra": {"projector": [1, "wide", 2]}}, "projector is"),
        ({"num_hidden_layers": 2.5}, "num_hidden_layers is 2.5"),
    ],
)
def test_a_config_that_cannot_hold_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Ixc2Config.from_json({**RELEASED, **changes})
