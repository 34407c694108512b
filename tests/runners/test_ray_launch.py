"""Ray Train starts the processes of a run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.train.pages import write_samples
from tilewise.errors import MissingExtraError
from tilewise.recipes.table import find_recipe
from tilewise.runners import ray_launch
from tilewise.settings import with_options
from tilewise.train.loop import LOGS
from tilewise.train.report import read_losses
from tilewise.train.task import run_training

ROOT = Path(__file__).parents[2]
SMALL = ("data.max_tiles=1", "data.batch=1", "run.accumulation=4", "run.device=cpu")


def _launch(*words: str, workers: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tilewise", "train", "internvl_tiny", *words]
    return subprocess.run(
        [*command, "--launch", "ray", "--workers", str(workers)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def _options(*options: str) -> list[str]:
    return [word for option in (*SMALL, *options) for word in ("--set", option)]


@pytest.mark.slow
def test_two_workers_of_ray_train_as_one_process_does(tmp_path: Path) -> None:
    pytest.importorskip("ray.train", reason="ray[train] is not installed")
    samples = write_samples(tmp_path / "data", 8)
    said = (f"data.meta={samples}", "schedule.steps=4", *SMALL)
    run_training(with_options(find_recipe("internvl_tiny"), said), tmp_path / "one")
    out = tmp_path / "two"
    words = ["--data", str(samples), "--steps", "4", "--out", str(out), *_options()]
    done = _launch(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained. Ask it") == 1
    found, wanted = (list(read_losses(tmp_path / n / LOGS).values()) for n in ("two", "one"))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)
    assert (out / "model.safetensors").is_file()


@pytest.mark.slow
def test_an_error_in_a_worker_is_one_sentence_here(tmp_path: Path) -> None:
    pytest.importorskip("ray.train", reason="ray[train] is not installed")
    began = time.monotonic()
    words = ["--data", str(tmp_path / "gone.jsonl"), "--steps", "4", "--out", str(tmp_path / "o")]
    done = _launch(*words, *_options())
    assert done.returncode == 1
    assert time.monotonic() - began < 120
    told = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1
    assert "gone.jsonl" in told[0]


def test_ray_without_its_part_for_training_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.train", None)
    monkeypatch.setattr(ray_launch, "open_ray", lambda: None)
    with pytest.raises(MissingExtraError, match=r"tilewise\[ray-train\]"):
        ray_launch.launch(print, workers=2)
