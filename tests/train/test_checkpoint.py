"""Checkpoints: whole or not there, the last ones kept, full disks survived."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tilewise.errors import TrainingError
from tilewise.train import checkpoint
from tilewise.train.checkpoint import Snapshot

FULL_DISK = """
import resource, sys
import torch
from pathlib import Path
from tilewise.errors import TrainingError
from tilewise.train import checkpoint
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
big = {"weight": torch.zeros(10_000)}
snapshot = checkpoint.Snapshot(step=2, model=big, optimiser={}, rng={}, notes={})
try:
    checkpoint.save(folder, snapshot, 1)
except TrainingError as err:
    print(err)
"""


def _snapshot(step: int, size: int = 3) -> Snapshot:
    return Snapshot(
        step=step,
        model={"weight": torch.full((size,), float(step))},
        optimiser={"weight/step": torch.tensor(float(step))},
        rng=checkpoint.random_states(),
        notes={"batches": {"at": step}},
    )


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    path = checkpoint.save(tmp_path, _snapshot(5), 2)
    torch.rand(3)
    found = checkpoint.load(path)
    assert found.step == 5
    assert found.notes["batches"] == {"at": 5}
    assert torch.equal(found.model["weight"], torch.full((3,), 5.0))
    assert found.optimiser.keys() == {"weight/step"}
    checkpoint.set_random_states(found.rng)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_file_is_a_pickle(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, _snapshot(5), 2)
    assert {one.suffix for one in path.iterdir()} == {".safetensors", ".json"}
    assert json.loads((path / "state.json").read_text())["step"] == 5


def test_the_last_ones_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 30, 100):
        checkpoint.save(tmp_path, _snapshot(step), 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000030", "step-00000100"]
    newest = checkpoint.latest(tmp_path)
    assert newest is not None
    assert newest.name == "step-00000100"


def test_what_a_killed_process_left_is_no_checkpoint_and_goes(tmp_path: Path) -> None:
    (tmp_path / ".step-00000009.part").mkdir()
    assert checkpoint.latest(tmp_path) is None
    checkpoint.save(tmp_path, _snapshot(1), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, _snapshot(1), 1)
    argv = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert "cannot be written" in done.stdout, done.stderr
    assert "step-00000001 stays" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoint.load(tmp_path / "step-00000001").step == 1


@pytest.mark.parametrize("name", [checkpoint.MODEL, checkpoint.OPTIMISER, checkpoint.STATE])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    path = checkpoint.save(tmp_path, _snapshot(1), 1)
    (path / name).write_bytes(b"{")
    with pytest.raises(TrainingError, match="step-00000001: cannot be read"):
        checkpoint.load(path)
    (path / name).unlink()
    with pytest.raises(TrainingError, match="cannot be read"):
        checkpoint.load(path)


def test_weights_of_another_model_are_named(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(TrainingError, match="other tensors: other"):
        checkpoint.fill_model(module, {"weight": torch.zeros(2, 2), "other": torch.zeros(1)})
    with pytest.raises(TrainingError, match="other tensors: weight"):
        checkpoint.fill_model(module, {"weight": torch.zeros(3, 2)})


def test_an_optimiser_of_other_parameters_is_refused() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimiser = torch.optim.AdamW([{"params": [weight], "names": ["weight"]}])
    with pytest.raises(TrainingError, match="do not learn here: bias"):
        checkpoint.fill_optimiser(optimiser, {"bias/step": torch.tensor(1.0)})
