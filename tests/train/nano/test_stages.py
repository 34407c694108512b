"""Whole stages of the default reader: what learns, what is left, and that they go on exactly."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from click.testing import CliRunner

from build_default_model import build
from tests.models.nano.making import save_reader
from tests.train.nano.making import real_pages, stage
from tilewise.errors import ConfigError, SourceError, WeightsError
from tilewise.models.folders import default_folder
from tilewise.models.nano.model import load_nano
from tilewise.models.nano.parts import read_parts
from tilewise.synth.real import RealPages
from tilewise.train.drawn import Order
from tilewise.train.job import Place
from tilewise.train.loop import LOGS
from tilewise.train.nano.config import Stage
from tilewise.train.nano.history import provenance, read_history
from tilewise.train.nano.stage import PART_OF, open_stage
from tilewise.train.nano.tiles import TileBatches, real_tiles
from tilewise.train.ranks import Alone
from tilewise.train.report import HELD, StepReport, read_losses
from tilewise.train.task import run_training

STAGES: Final[dict[Stage, int]] = {"encoder": 3, "proof": 2, "decoder": 3, "joint": 2}
"""Steps by stage: reading pages takes time."""


class _KilledError(Exception):
    """Ends a run without a chance to write anything."""


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_reader(tmp_path_factory.mktemp("begin") / "reader")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_pages(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def runs(begin: Path, real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each stage, undisturbed."""
    out = tmp_path_factory.mktemp("runs")
    for name, steps in STAGES.items():
        options = (f"data.real={real}", *(["run.measure_every=2"] if name == "decoder" else []))
        run_training(stage(name, *options, begin=begin, steps=steps), out / name)
    return out


@pytest.mark.parametrize("name", STAGES)
def test_one_part_learns_and_the_reader_is_left_whole(name: Stage, runs: Path, begin: Path) -> None:
    before, behind = read_parts(begin), read_parts(runs / name)
    for part in ("encoder", "proof", "decoder"):
        old, new = (getattr(one, part).state_dict() for one in (before, behind))
        assert all(torch.equal(old[key], new[key]) for key in old) == (part != PART_OF[name])
    load_nano(runs / name)
    assert json.loads((runs / name / "recipe.json").read_text())["schedule.steps"] == STAGES[name]


@pytest.mark.parametrize(
    "name",
    [
        "encoder",
        "decoder",
        pytest.param("proof", marks=pytest.mark.slow),
        pytest.param("joint", marks=pytest.mark.slow),
    ],
)
def test_a_killed_stage_goes_on_with_the_same_losses_and_weights(
    name: Stage, runs: Path, begin: Path, real: Path, tmp_path: Path
) -> None:
    def kill(report: StepReport) -> None:
        if report.step == 2:
            raise _KilledError

    cfg = stage(name, f"data.real={real}", begin=begin, steps=STAGES[name])
    with pytest.raises(_KilledError):
        run_training(cfg, tmp_path, callbacks=[kill])
    run_training(cfg, tmp_path, is_resumed=True)
    assert read_losses(tmp_path / LOGS) == read_losses(runs / name / LOGS)
    ours, theirs = (read_parts(folder).modules.state_dict() for folder in (tmp_path, runs / name))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("name", STAGES)
def test_where_a_reader_comes_from_is_kept_beside_it(name: Stage, runs: Path) -> None:
    (one,) = read_history(runs / name)
    assert (one.stage, one.made_by) == (name, f"tilewise train default_reader_{name}")
    assert [source.package for source in one.sources] == ["made-here"]
    text = (runs / name / "PROVENANCE.md").read_text()
    assert "| made-here | 1 | none needed | 3 |" in text
    assert f"`tilewise train default_reader_{name}`" in text


def test_held_out_pages_make_the_curve(runs: Path) -> None:
    held = (runs / "decoder" / LOGS / HELD).read_text().splitlines()
    assert [json.loads(line)["step"] for line in held] == [2, 3]
    (one,) = read_history(runs / "decoder")
    assert [text.partition(",")[0] for _, text in one.curve] == ["step 2", "step 3"]
    assert "| step 3, " in (runs / "decoder" / "PROVENANCE.md").read_text()


def test_the_next_stage_goes_on_where_one_ended(runs: Path, tmp_path: Path) -> None:
    cfg = stage("decoder", "model.is_random=true", begin=runs / "encoder", steps=1)
    out = run_training(cfg, tmp_path)
    assert [(one.stage, one.is_fresh) for one in read_history(out)] == [
        ("encoder", False),
        ("decoder", True),
    ]
    before, behind = read_parts(runs / "encoder"), read_parts(out)
    assert torch.equal(before.encoder.head.weight, behind.encoder.head.weight)
    assert not torch.allclose(before.decoder.tag.weight, behind.decoder.tag.weight, atol=0.1)


@pytest.mark.parametrize("name", ["proof", "joint"])
def test_pages_are_the_same_ones_in_another_process(
    name: Stage, begin: Path, real: Path, tmp_path: Path
) -> None:
    cfg = stage(name, f"data.real={real}", begin=begin)
    job = open_stage(cfg, Place(out=tmp_path, ranks=Alone(), own=1, say=lambda text: None))
    row: Any = job.task.batches
    make = getattr(row, "_drawn", row)._make
    there = pickle.loads(pickle.dumps(make))(Order(5, 1))
    here = make(Order(5, 1))
    wrap = (lambda made: list(made)) if name == "proof" else (lambda made: made[0])
    losses = [float(job.task.objective(wrap(made)).total.detach()) for made in (here, there)]
    assert losses[0] == losses[1]


def test_a_trained_reader_is_put_into_the_package(runs: Path, begin: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(build, [str(runs / "decoder"), "--out", str(tmp_path)])
    assert (done.exit_code, "trained in the stages decoder." in done.output) == (0, True)
    names = ["PROVENANCE.md", "config.json", "history.json", "manifest.json", "model.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    load_nano(tmp_path)
    assert read_history(tmp_path) == read_history(runs / "decoder")
    refused = CliRunner().invoke(build, [str(begin), "--out", str(tmp_path)])
    assert "has no history.json" in refused.output


def test_the_reader_in_the_package_says_where_it_comes_from() -> None:
    history = read_history(default_folder())
    assert {one.stage for one in history} == set(STAGES)
    assert (default_folder() / "PROVENANCE.md").read_text(encoding="utf-8") == provenance(history)


def test_a_damaged_history_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text('[{"stage": "proof"}]', encoding="utf-8")
    with pytest.raises(WeightsError, match="is no history of training"):
        read_history(tmp_path)


def test_real_pages_give_tiles_in_their_share(real: Path) -> None:
    pages = RealPages(real, "train")
    assert len(pages) == 3
    tile = next(real_tiles(pages, 1))
    assert (tile.targets.char > 0).sum() > 20
    batches = TileBatches(1, pages, 3)(Order(0, 0))
    assert [len(batch) for batch in batches] == [3] * 8


def test_what_cannot_be_used_is_said(begin: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="build_real_pages"):
        run_training(stage("joint", f"data.real={tmp_path}", begin=begin), tmp_path / "out")
    with pytest.raises(WeightsError, match="unknown"):
        run_training(stage("joint", begin=tmp_path / "nothing"), tmp_path / "out")
    for option, said in (("run.device=cuda", "on CPUs"), ("data.tiles=0", "data.tiles is 0")):
        with pytest.raises(ConfigError, match=said):
            stage("encoder", option, begin=begin)
