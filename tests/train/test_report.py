"""What a run tells: lines, numbers, callbacks."""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tilewise.errors import TrainingError
from tilewise.train.report import (
    NUMBERS,
    Log,
    Speed,
    StepReport,
    peak_memory_mib,
    read_losses,
    spoken,
)

REPORT = StepReport(
    step=3,
    steps=2000,
    loss=1.25,
    lr=2e-5,
    norm=0.5,
    tokens=8000,
    tiles=26,
    step_s=2.0,
    tokens_per_s=4000.0,
    tiles_per_s=13.0,
    left_s=3994.0,
    memory_mib=1500.0,
)


def test_a_line_says_where_the_run_is_and_how_long_it_takes() -> None:
    assert REPORT.line == (
        "step 3/2000, loss 1.2500, lr 2.00e-05, 4,000 tokens/s, 13.0 tiles/s, 1,500 MiB, "
        "1 h 6 min left"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (18_600, "5 h 10 min")]
)
def test_times_are_said(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


def test_speeds_are_over_the_last_steps() -> None:
    speed = Speed()
    assert speed.add(2.0, 100, 4) == (50.0, 2.0, 2.0)
    assert speed.add(1.0, 200, 2) == (100.0, 2.0, 1.5)


def test_reports_go_to_the_file_and_to_callbacks(tmp_path: Path) -> None:
    told: list[StepReport] = []
    log = Log(tmp_path, [told.append, lambda report: None], clock=lambda: 1000.0)
    log(REPORT)
    log.close()
    assert told == [REPORT]
    assert json.loads((tmp_path / NUMBERS).read_text())["tokens_per_s"] == 4000.0
    assert read_losses(tmp_path) == {3: 1.25}
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


def test_steps_behind_the_checkpoint_go_from_the_file(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for step in (1, 2, 3):
        log(replace(REPORT, step=step, loss=float(step)))
    log.close()
    with (tmp_path / NUMBERS).open("a") as file:
        file.write('{"step": 4, "lo')  # a kill while it was written
    Log(tmp_path, done=2).close()
    assert read_losses(tmp_path) == {1: 1.0, 2: 2.0}


def test_memory_is_that_of_the_process_on_a_cpu() -> None:
    assert 10 < peak_memory_mib(torch.device("cpu")) < 1_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="limits on the size of files are Linux's")
def test_a_log_that_has_no_room_is_named(tmp_path: Path) -> None:
    log, limits = Log(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(TrainingError, match=r"the log cannot be written \(File too large\)"):
            log(REPORT)
        log.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
