"""Whole runs of tiny SDAN networks: what is left, that they go on exactly, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.superres.making import photos, tiny
from tilewise.errors import ConfigError, SourceError, TrainingError
from tilewise.superres.files import load
from tilewise.superres.losses import SdanLossConfig
from tilewise.train.job import Place
from tilewise.train.loop import CHECKPOINTS, LOGS
from tilewise.train.ranks import Alone
from tilewise.train.report import HELD, StepReport, read_losses
from tilewise.train.superres.job import begin, open_superres, part_of
from tilewise.train.superres.objective import Enlarging, Learner
from tilewise.train.task import run_training

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


class _KilledError(Exception):
    """Ends a run without a chance to write anything."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("photos"))


@pytest.mark.parametrize("kind", ["sdan", "raw", "small"])
def test_a_run_ends_in_a_network_that_enlarges(kind: str, data: Path, tmp_path: Path) -> None:
    cfg = tiny(kind, data, "run.measure_every=4")
    said: list[str] = []
    out = run_training(cfg, tmp_path / "out", note=said.append)
    network = load(out)
    assert network.cfg == cfg.model.sizes
    with torch.no_grad():
        assert network(torch.rand(1, network.cfg.channels, 16, 16)).image.isfinite().all()
    told = json.loads((out / "config.json").read_text())
    assert (told["recipe"], told["steps"], told["trained_on"]) == (cfg.name, 4, str(data))
    held = json.loads((out / LOGS / HELD).read_text())
    wanted = {"step", "PSNR", "SSIM", "bicubic PSNR", "bicubic SSIM"}
    wanted |= set() if kind == "small" else {"P2 PSNR", "P1 offset"}
    assert held.keys() == wanted
    assert said
    (events,) = (out / LOGS).glob("events*")
    content = events.read_bytes()
    assert b"held 0: bicubic, network, target" in content
    assert content.count(b"\x89PNG") == 2
    steps = [json.loads(line) for line in (out / LOGS / "steps.jsonl").read_text().splitlines()]
    terms = {"image"} if kind == "small" else {"image", "probe", "mean offset", "largest offset"}
    assert terms <= steps[0]["numbers"].keys()


@pytest.mark.parametrize("kind", ["sdan", "small"])
def test_a_killed_run_goes_on_with_the_same_losses_and_weights(
    kind: str, data: Path, tmp_path: Path
) -> None:
    cfg = tiny(kind, data)
    whole = run_training(cfg, tmp_path / "whole")

    def kill(report: StepReport) -> None:
        if report.step == 3:
            raise _KilledError

    with pytest.raises(_KilledError):
        run_training(cfg, tmp_path / "killed", callbacks=[kill])
    again = run_training(cfg, tmp_path / "killed", is_resumed=True)
    assert read_losses(again / LOGS) == read_losses(whole / LOGS)
    before, after = (load_file(out / "model.safetensors") for out in (whole, again))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_running_mean_is_left_and_kept_in_checkpoints(data: Path, tmp_path: Path) -> None:
    out = run_training(tiny("small", data), tmp_path / "out")
    kept = load_file(out / CHECKPOINTS / "step-00000004" / "model.safetensors")
    left = load_file(out / "model.safetensors")
    assert all(torch.equal(kept[f"mean.{name}"], left[name]) for name in left)
    assert not torch.equal(kept["network.out.weight"], left["out.weight"])


def test_a_warm_up_moves_the_alignment_alone(data: Path, tmp_path: Path) -> None:
    cfg = tiny("sdan", data, "warmup_steps=2", "model.mean=0", "optim.weight_decay=0", steps=2)
    out = run_training(cfg, tmp_path / "out")
    before, after = begin(cfg).state_dict(), load(out).state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.partition(".")[0] for name in moved} == {"head", "align"}


def test_the_offsets_may_learn_more_slowly(data: Path, tmp_path: Path) -> None:
    moved = "model.sizes.is_unmoved_at_start=false"  # else nothing in front of offsets learns yet
    cfg = tiny("sdan", data, "model.mean=0", moved, steps=1)
    cfg = replace(cfg, optim=replace(cfg.optim, factors=(("offsets", 0.0),)))
    out = run_training(cfg, tmp_path / "out")
    before, after = begin(cfg).state_dict(), load(out).state_dict()
    for name in before:
        is_offset = part_of(f"network.{name}") == "offsets"
        assert torch.equal(before[name], after[name]) == is_offset, name


def test_a_term_that_is_no_number_is_named_with_its_samples(data: Path, tmp_path: Path) -> None:
    cfg = tiny("sdan", data)
    place = Place(out=tmp_path, ranks=Alone(), own=1, say=lambda text: None)
    job = open_superres(cfg, place)
    batch = next(job.task.batches)
    assert all(name.startswith("camera ") and ".png" in name for name in batch.names)
    learner = job.task.module
    assert isinstance(learner, Learner)
    assert learner.network.align is not None
    with torch.no_grad():
        learner.network.align.probe.weight.fill_(torch.nan)
    with pytest.raises(TrainingError, match="loss term probe is no number"):
        job.task.objective(batch)
    several: Any = Enlarging(learner.network, SdanLossConfig(), is_alone=False)
    assert several(batch).total.isnan()  # with others, the loop tells all of them
    job.close()


def test_the_same_seed_gives_the_same_batches_with_workers(data: Path, tmp_path: Path) -> None:
    losses = []
    for workers in (0, 1):
        cfg = tiny("small", data, f"run.workers={workers}", steps=2)
        out = run_training(cfg, tmp_path / str(workers))
        losses.append(read_losses(out / LOGS))
    assert losses[0] == losses[1]


def test_data_that_cannot_be_learned_from_is_refused(data: Path, tmp_path: Path) -> None:
    def run(cfg: Any) -> None:
        run_training(cfg, tmp_path / "out")

    with pytest.raises(ConfigError, match=r"data\.meta is empty"):
        run(tiny("small", Path(), "data.meta="))
    with pytest.raises(SourceError, match="no such folder"):
        run(tiny("small", tmp_path / "none"))
    with pytest.raises(ConfigError, match="holds one file"):
        run(tiny("small", photos(tmp_path / "one", 1)))
    with pytest.raises(ConfigError, match="takes RAW mosaics"):
        tiny("raw", data, "data.print=1")
    with pytest.raises(ConfigError, match=r"data\.crop is 31"):
        tiny("small", data, "data.crop=31")
