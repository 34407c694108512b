"""Whole runs of tiny models: from files of samples to a folder that answers, and back on track."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import tilewise
from tests.train.pages import write_samples
from tilewise.errors import ConfigError, TrainingError
from tilewise.models.load import load
from tilewise.recipes.table import find_recipe
from tilewise.settings import with_options
from tilewise.train.config import TrainConfig
from tilewise.train.loop import CHECKPOINTS, LOGS
from tilewise.train.report import StepReport, read_losses
from tilewise.train.task import run_training, total_steps

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

SMALL = ("data.max_tiles=1", "data.batch=2", "run.save_every=3")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_samples(tmp_path_factory.mktemp("data"), 6)


def _recipe(name: str, samples: Path, *options: str, steps: int = 6) -> TrainConfig:
    said = (f"data.meta={samples}", f"schedule.steps={steps}", *SMALL, *options)
    return with_options(find_recipe(name), said)


class _KilledError(Exception):
    """Ends a run without a chance to write anything."""


@pytest.mark.parametrize("name", ["internvl_tiny", "ixc2_tiny"])
def test_a_run_ends_in_a_model_that_can_be_asked(name: str, samples: Path, tmp_path: Path) -> None:
    out = run_training(_recipe(name, samples), tmp_path / "out")
    losses = read_losses(out / LOGS)
    assert losses[6] < losses[1]
    page = samples.parent / "page-0.png"
    pieces = tilewise.ask(page, "Which town?", model=out, max_tiles=1, max_new_tokens=4)
    assert isinstance("".join(pieces), str)
    card = (out / "README.md").read_text()
    for said in (name, str(samples), "| seed | 0 |", "| steps | 6 |", "commit", torch.__version__):
        assert said in card
    assert json.loads((out / "recipe.json").read_text())["schedule.steps"] == 6
    kept = {"README.md", "checkpoints", "config.json", "log", "model.safetensors", "recipe.json"}
    assert {path.name for path in out.iterdir()} - {"bad.jsonl", "tokenizer.model"} == kept


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("ixc2_tiny", "model.layers.0.attention.wqkv.Plora_A.weight"),
        ("internvl_tiny", "vision_model.encoder.layers.0.attn.qkv.weight"),
    ],
)
def test_the_exported_model_is_the_trained_one_in_published_names(
    name: str, published: str, samples: Path, tmp_path: Path
) -> None:
    out = run_training(_recipe(name, samples, steps=1), tmp_path / "out")
    assert published in load_file(out / "model.safetensors")
    kept = load_file(out / CHECKPOINTS / "step-00000001" / "model.safetensors")
    network = load(out).network  # type: ignore[attr-defined]
    assert {weight_name for weight_name, _ in network.named_parameters()} == kept.keys()
    for weight_name, weight in network.named_parameters():
        assert torch.equal(weight, kept[weight_name]), weight_name


@pytest.mark.parametrize("name", ["internvl_tiny", "ixc2_tiny"])
def test_a_killed_run_of_a_reader_goes_on_with_the_same_losses(
    name: str, samples: Path, tmp_path: Path
) -> None:
    cfg = _recipe(name, samples, "model.drop_path=0.2")
    whole = run_training(cfg, tmp_path / "whole")

    def kill(report: StepReport) -> None:
        if report.step == 5:
            raise _KilledError

    with pytest.raises(_KilledError):
        run_training(cfg, tmp_path / "killed", callbacks=[kill])
    again = run_training(cfg, tmp_path / "killed", is_resumed=True)
    assert read_losses(again / LOGS) == read_losses(whole / LOGS)
    before, after = (load_file(out / "model.safetensors") for out in (whole, again))
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_adapters_are_learned_saved_and_merged(samples: Path, tmp_path: Path) -> None:
    base = run_training(_recipe("internvl_tiny", samples, steps=2), tmp_path / "base")
    options = (
        "model.is_random=false",
        f"model.folder={base}",
        "model.trained=[]",
        "model.lora.rank=2",
        "model.vit_lora.rank=2",
        "optim.lr=0.01",
    )
    out = run_training(_recipe("internvl_tiny", samples, *options, steps=3), tmp_path / "out")
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    told = "adapters of rank 2 in the decoder, adapters of rank 2 in the vision encoder"
    assert told in (out / "README.md").read_text()
    before, after = (load_file(path / "model.safetensors") for path in (base, out))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(".layers." in name for name in moved)
    assert {name.partition(".")[0] for name in moved} == {"language_model", "vision_model"}
    kept = load_file(out / CHECKPOINTS / "step-00000003" / "model.safetensors")
    assert kept
    assert all(".adapter." in name for name in kept)


def test_a_run_is_not_written_over_another(samples: Path, tmp_path: Path) -> None:
    cfg = _recipe("internvl_tiny", samples, steps=1)
    run_training(cfg, tmp_path / "out")
    with pytest.raises(ConfigError, match="holds a run already, up to step-00000001"):
        run_training(cfg, tmp_path / "out")
    with pytest.raises(ConfigError, match="is not empty"):
        run_training(cfg, samples.parent)
    with pytest.raises(TrainingError, match="no checkpoint to resume from"):
        run_training(cfg, tmp_path / "other", is_resumed=True)


def test_resuming_with_another_setting_names_it(samples: Path, tmp_path: Path) -> None:
    run_training(_recipe("internvl_tiny", samples, steps=1), tmp_path / "out")
    other = _recipe("internvl_tiny", samples, "optim.lr=0.5", "run.save_every=9", steps=1)
    with pytest.raises(TrainingError, match=r"other settings: optim.lr was 0.001 and is 0.5\."):
        run_training(other, tmp_path / "out", is_resumed=True)


def test_models_that_cannot_be_trained_are_refused(samples: Path, tmp_path: Path) -> None:
    cfg = _recipe("internvl_tiny", samples)
    for option, said in (
        ("model.folder=tilewise-nano", "'tilewise-nano' is not trained here"),
        ('model.folder=""', "model.folder is empty"),
        ('model.trained=["partial_lora"]', "partial_lora"),
        ("model.vit_layers=-9", "has 3 layers"),
    ):
        with pytest.raises(ConfigError, match=said):
            run_training(with_options(cfg, [option]), tmp_path / "out")


def test_passes_become_steps() -> None:
    cfg = with_options(find_recipe("internvl_tiny"), ["schedule.steps=none", "schedule.epochs=2"])
    assert total_steps(cfg, 10) == 20
    assert total_steps(with_options(cfg, ["run.accumulation=8"]), 10) == 3
    with pytest.raises(ConfigError, match="give the steps of the run"):
        total_steps(cfg, None)
