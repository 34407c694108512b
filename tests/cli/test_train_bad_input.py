"""What a run cannot go on with, through ``tilewise train``: a sentence, and status 1."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.train.pages import write_samples
from tilewise.cli.main import main
from tilewise.cli.steps import StepLine
from tilewise.train.report import StepReport

FEW = ("--no-progress", "--set", "data.max_tiles=1", "--set", "data.batch=1")
NAN = ("--steps", "9", "--set", "run.save_every=1", "--set", "optim.lr=1e30")
"""Weights that no longer say anything, from the second step on."""


def _run(data: Path, out: Path, *words: str) -> Result:
    argv = ["train", "internvl_tiny", "--data", str(data), "--out", str(out), *FEW, *words]
    return CliRunner().invoke(main, argv)


def _told(done: Result) -> str:
    """The one sentence that a failed command says."""
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    (said,) = [line for line in done.output.splitlines() if line.startswith("Error: ")]
    return said


def _changed(data: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    records = [json.loads(line) for line in data.read_text().splitlines()]
    change(records)
    data.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.mark.parametrize(("text", "said"), [("", "is empty"), ("[]", "holds no samples")])
def test_data_without_samples(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "samples").write_text(text)
    assert said in _told(_run(tmp_path / "samples", tmp_path / "out"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda records: records[1].update(image="gone.png"), "missing image"),
        (
            lambda records: records[1]["conversations"][0].update(value="<image><image> What?"),
            "wrong placeholder count",
        ),
    ],
)
def test_too_many_bad_samples_end_a_run_and_are_listed(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], object], reason: str
) -> None:
    data = write_samples(tmp_path, 4)
    _changed(data, change)
    done = _run(data, tmp_path / "out", "--steps", "4", "--set", "data.bad.least=4")
    assert f"1 of 4 samples are bad ({reason} 1)" in _told(done)
    (listed,) = (tmp_path / "out" / "bad.jsonl").read_text().splitlines()
    assert json.loads(listed)["where"] == f"{data}:2"


def test_a_line_that_is_no_json_is_named_by_its_number(tmp_path: Path) -> None:
    data = write_samples(tmp_path, 4)
    lines = data.read_text().splitlines(keepends=True)
    data.write_text("".join([*lines[:2], '{"id": 3, broken\n', *lines[3:]]))
    done = _run(data, tmp_path / "out", "--steps", "4", "--set", "data.bad.least=4")
    assert "unreadable record 1" in _told(done)
    (listed,) = (tmp_path / "out" / "bad.jsonl").read_text().splitlines()
    assert json.loads(listed)["where"] == f"{data}:3"


def test_a_loss_that_is_no_number_and_other_settings_on_resuming(tmp_path: Path) -> None:
    data, out = write_samples(tmp_path, 2), tmp_path / "out"
    said = _told(_run(data, out, *NAN, "--set", "schedule.warmup_share=0"))
    assert "the loss is nan in step 2, whose samples are" in said
    assert f"{data}:" in said
    assert "step-00000001 is the last good checkpoint" in said
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-00000001"]
    said = _told(_run(data, out, "--resume", *NAN))
    assert "schedule.warmup_share was 0.0 and is 0.05" in said


@pytest.mark.skipif(sys.platform != "linux", reason="limits on the size of files are Linux's")
def test_a_disk_that_fills_up_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_samples(tmp_path, 2), tmp_path / "out"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    tell = StepLine.__call__

    def told(self: StepLine, report: StepReport) -> None:
        tell(self, report)
        if report.step == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))

    monkeypatch.setattr(StepLine, "__call__", told)
    words = ("--steps", "3", "--set", "run.save_every=1")
    try:
        done = _run(data, out, *words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = _told(done)
    assert "step-00000002: the checkpoint cannot be written (" in said
    assert "step-00000001 stays. Make room" in said
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-00000001"]
    monkeypatch.undo()
    again = _run(data, out, *words, "--resume")
    assert again.exit_code == 0, again.output
