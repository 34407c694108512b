"""The loop: accumulation, resuming, stopping, and what it says when it cannot go on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tests.train import toy
from tilewise.errors import ConfigError, TrainingError
from tilewise.train.loop import CHECKPOINTS, LOGS, RunConfig, Trainer
from tilewise.train.report import HELD, Callback, StepReport, read_losses
from tilewise.train.schedule import ScheduleConfig


class _KilledError(Exception):
    """Ends a run without a chance to write anything."""


def _kill_at(step: int) -> Callback:
    def kill(report: StepReport) -> None:
        if report.step == step:
            raise _KilledError

    return kill


ROOT = Path(__file__).parents[2]


def _losses(out: Path) -> dict[int, float]:
    return read_losses(out / LOGS)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, float]:
    out = tmp_path_factory.mktemp("undisturbed")
    toy.trainer(out).train()
    losses = _losses(out)
    assert list(losses) == list(range(1, 61))
    return losses


def _start(out: Path, resume: bool) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.train.toy", str(out), "60", *(["yes"] if resume else [])]
    environ = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ)


def _finish(out: Path) -> int:
    process = _start(out, resume=True)
    process.communicate(timeout=120)
    return process.returncode


def _kill_behind(out: Path, step: int, kind: signal.Signals, *, resume: bool) -> int:
    """Run until a step is told of, then send a signal; gives the exit status."""
    process = _start(out, resume)
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if int(line) >= step:
                process.send_signal(kind)
                break
    return process.wait(60)


def test_a_resumed_run_loses_what_an_undisturbed_one_does(
    tmp_path: Path, undisturbed: dict[int, float]
) -> None:
    rng = random.Random(5)
    for number in range(10):
        out, stop = tmp_path / str(number), rng.randint(8, 59)
        first = toy.trainer(out, callbacks=[_kill_at(stop)])
        with pytest.raises(_KilledError):
            first.train()
        again = toy.trainer(out)
        torch.rand(rng.randint(1, 9))  # the generators have gone elsewhere since
        again.resume()
        assert again.step == (stop - 1) // 7 * 7
        again.train()
        assert _losses(out) == undisturbed


@pytest.mark.parametrize("step", [20])
def test_a_killed_process_goes_on_where_its_checkpoint_is(
    tmp_path: Path, undisturbed: dict[int, float], step: int
) -> None:
    assert _kill_behind(tmp_path, step, signal.SIGKILL, resume=False) == -signal.SIGKILL
    assert _finish(tmp_path) == 0
    assert _losses(tmp_path) == undisturbed


@pytest.mark.slow
def test_a_process_killed_at_ten_points_goes_on_each_time(
    tmp_path: Path, undisturbed: dict[int, float]
) -> None:
    steps = sorted(random.Random(11).sample(range(8, 58), 10))
    for number, step in enumerate(steps):
        status = _kill_behind(tmp_path, step, signal.SIGKILL, resume=number > 0)
        assert status in (-signal.SIGKILL, 0)
    assert _finish(tmp_path) == 0
    assert _losses(tmp_path) == undisturbed


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_asked_stop_writes_a_checkpoint_of_that_very_step(
    tmp_path: Path, undisturbed: dict[int, float], kind: signal.Signals
) -> None:
    def stop(report: StepReport) -> None:
        if report.step == 9:
            os.kill(os.getpid(), kind)

    with pytest.raises(KeyboardInterrupt):
        toy.trainer(tmp_path, callbacks=[stop]).train()
    assert (tmp_path / CHECKPOINTS / "step-00000009").is_dir()
    again = toy.trainer(tmp_path)
    again.resume()
    again.train()
    assert _losses(tmp_path) == undisturbed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_accumulated_batches_are_one_big_batch(tmp_path: Path) -> None:
    class Joined(toy.Numbers):
        def __next__(self) -> tuple[str, torch.Tensor]:
            parts = [super(Joined, self).__next__() for _ in range(4)]
            return "all", torch.cat([rows for _, rows in parts])

    one = toy.trainer(tmp_path / "one", 30, drop=0.0, batches=Joined(), accumulation=1)
    many = toy.trainer(tmp_path / "many", 30, drop=0.0, accumulation=4)
    one.train()
    many.train()
    torch.testing.assert_close(_losses(tmp_path / "one"), _losses(tmp_path / "many"))
    for a, b in zip(one.task.module.parameters(), many.task.module.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_loss_that_is_no_number_names_the_batch_and_leaves_all_as_it_was(tmp_path: Path) -> None:
    run = toy.trainer(tmp_path, batches=toy.Numbers(poison=19))
    with pytest.raises(
        TrainingError, match=r"step 10, whose samples are sample-19;.*step-00000007"
    ):
        run.train()
    assert all(weight.isfinite().all() for weight in run.task.module.parameters())
    assert [p.name for p in (tmp_path / CHECKPOINTS).iterdir()] == ["step-00000007"]


def test_resuming_with_other_settings_names_them(tmp_path: Path) -> None:
    toy.trainer(tmp_path, 7).train()
    other = toy.trainer(tmp_path, 7, settings={"optim.lr": 0.5, "data.batch": 3})
    with pytest.raises(TrainingError) as caught:
        other.resume()
    assert "data.batch was None and is 3; optim.lr was 0.01 and is 0.5" in str(caught.value)


def test_nothing_to_resume_from_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint to resume from"):
        toy.trainer(tmp_path).resume()


def test_gradients_are_clipped(tmp_path: Path) -> None:
    run = toy.trainer(tmp_path, 1, optim=replace(toy.OPTIM, clip_norm=1e-3))
    norms: list[float] = []

    def keep(*_: object) -> None:
        gradients = [w.grad for w in run.task.module.parameters() if w.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))

    with register_optimizer_step_pre_hook(keep):
        report = run.take()
    assert norms == [pytest.approx(1e-3, rel=1e-4)]
    assert report.norm > 1e-3


def test_bfloat16_rounds_products_and_keeps_weights_in_float32(tmp_path: Path) -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        run = toy.trainer(tmp_path / precision, 20, drop=0.0, precision=precision)
        run.train()
        assert {weight.dtype for weight in run.task.module.parameters()} == {torch.float32}
        losses[precision] = list(_losses(tmp_path / precision).values())
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.1, abs=0.02)


def test_held_out_data_is_looked_at_and_changes_nothing(
    tmp_path: Path, undisturbed: dict[int, float]
) -> None:
    said: list[str] = []
    toy.trainer(tmp_path, note=said.append, measure_every=25).train()
    assert _losses(tmp_path) == undisturbed
    held = [json.loads(line) for line in (tmp_path / LOGS / HELD).read_text().splitlines()]
    assert [row["step"] for row in held] == [25, 50, 60]
    assert said[0] == f"step 25, held out: at two {held[0]['at two']:.3f}"


def test_numbers_beside_the_loss_are_means_over_the_step(tmp_path: Path) -> None:
    run = toy.trainer(tmp_path)
    assert [run.take().numbers for _ in range(3)] == [{"rows": 1.5}, {"rows": 2.0}, {"rows": 2.5}]


def test_a_run_of_some_time_ends_with_it_and_goes_on_counting(tmp_path: Path) -> None:
    def run(seconds: float) -> Trainer[Any]:
        schedule = ScheduleConfig(minutes=seconds / 60, warmup_steps=3)
        return toy.trainer(tmp_path, None, schedule=schedule, callbacks=[reports.append])

    reports: list[StepReport] = []
    run(0.2).train()
    last = reports[-1]
    assert last.used_s >= 0.2 > reports[-2].used_s
    assert last.step == last.steps
    assert last.lr < 0.2 * max(report.lr for report in reports)
    longer = run(0.3)
    longer.resume()
    longer.train()
    assert [report.step for report in reports] == list(range(1, len(reports) + 1))
    assert all(one.used_s < two.used_s for one, two in pairwise(reports))
    assert reports[-1].used_s >= 0.3


def test_settings_that_cannot_hold_are_refused() -> None:
    cases: tuple[dict[str, Any], ...]
    cases = (
        {"accumulation": 0},
        {"save_every": 0},
        {"keep": 0},
        {"workers": -1},
        {"measure_every": -1},
    )
    for wrong in cases:
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            RunConfig(**wrong)
