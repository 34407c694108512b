"""Several processes train as one does, and end together."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.checkpoint import hf_storage

from tests.train import together, toy
from tests.train.pages import write_samples
from tilewise.errors import ConfigError, MissingExtraError, TrainingError
from tilewise.recipes.table import find_recipe
from tilewise.settings import with_options
from tilewise.train import checkpoint, sharded
from tilewise.train.config import TrainConfig
from tilewise.train.loop import CHECKPOINTS, LOGS, shared
from tilewise.train.ranks import Alone, shared_out
from tilewise.train.report import read_losses
from tilewise.train.task import run_training

ROOT = Path(__file__).parents[2]
END_S = 60.0


def _command(*words: str, ranks: int = 2) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks)]
    return [sys.executable, *(launcher if ranks > 1 else []), *words]


def _environ() -> dict[str, str]:
    own = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    return os.environ | own | {"PYTHONFAULTHANDLER": "1"}  # an abort of torch says where


def _run(*words: str, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*words, ranks=ranks),
        cwd=ROOT,
        env=_environ(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _together(folder: Path, *phases: str, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    return _run("-m", "tests.train.together", str(folder), *phases, ranks=ranks)


def _losses(out: Path) -> list[float]:
    return list(read_losses(out / LOGS).values())


def _close(found: list[float], wanted: list[float]) -> None:
    """Whether losses are equal; ``found`` may be those of the last steps alone."""
    assert len(found) >= len(wanted) // 2
    torch.testing.assert_close(found, wanted[-len(found) :], rtol=1e-5, atol=1e-7)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one process and of two, all in one launch; see the tests for what each is."""
    folder = tmp_path_factory.mktemp("runs")
    together.PHASES["none"](Alone(), folder / "one")
    for name in ("one-none", "one-full"):
        together.PHASES["half-none"](Alone(), folder / name)
    phases = [
        "none",
        "full",
        "empty-full",
        "half-full",
        "one-none=resume-none",
        "one-full=resume-full",
    ]
    done = _together(folder, *phases)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return folder


@pytest.mark.parametrize("name", ["none", "full", "empty-full"])
def test_two_processes_lose_what_one_does(runs: Path, name: str) -> None:
    _close(_losses(runs / name), _losses(runs / "one"))


@pytest.mark.parametrize("name", ["one-none", "one-full"])
def test_two_processes_go_on_from_the_checkpoint_of_one(runs: Path, name: str) -> None:
    _close(_losses(runs / name), _losses(runs / "one"))


def test_one_process_goes_on_from_the_parts_of_two(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "half-full", tmp_path / "out")
    together.PHASES["resume-none"](Alone(), tmp_path / "out")
    _close(_losses(tmp_path / "out"), _losses(runs / "one"))


def test_parts_are_read_in_one_piece_and_hold_no_pickles(runs: Path, tmp_path: Path) -> None:
    kept = runs / "full" / CHECKPOINTS / f"step-{together.STEPS:08}"
    endings = {"".join(path.suffixes) for path in kept.iterdir()}
    assert endings == {".safetensors", ".json"}
    assert len(list(kept.glob("shard-*"))) == 2
    whole = checkpoint.load(checkpoint.save(tmp_path, sharded.load(kept), 1))
    plain = checkpoint.load(runs / "one" / CHECKPOINTS / kept.name)
    assert whole.step == plain.step
    torch.testing.assert_close(dict(whole.model), dict(plain.model))
    torch.testing.assert_close(dict(whole.optimiser), dict(plain.optimiser))


def test_parts_of_another_model_or_a_damaged_file_are_refused(runs: Path, tmp_path: Path) -> None:
    kept = runs / "half-full" / CHECKPOINTS / f"step-{together.HALF:08}"
    net = torch.nn.Linear(1, 8)
    with pytest.raises(TrainingError, match="of another model"):
        sharded.load_into(kept, net, torch.optim.AdamW(net.parameters()))
    shutil.copytree(kept, tmp_path / kept.name)
    next((tmp_path / kept.name).glob("shard-*")).write_bytes(b"no tensors")
    with pytest.raises(TrainingError, match="cannot be read"):
        sharded.load(tmp_path / kept.name)


def test_batches_that_cannot_be_shared_evenly_are_refused() -> None:
    assert shared(8, 2) == 4
    with pytest.raises(ConfigError, match=r"accumulation is 3.*2 processes.*multiple of 2"):
        shared(3, 2)


def test_data_is_shared_out_to_other_numbers_of_processes() -> None:
    states = [
        {"mix": {"next": 40 + rank, "drawn": {"0": 6}}, "open": [[rank]], "bad": {"seen": rank}}
        for rank in range(2)
    ]
    (one,) = shared_out(states, 1)
    assert one["mix"] == {"next": 40, "drawn": {"0": 12}}
    assert one["open"] == [[0], [1]]
    four = shared_out(states, 4)
    assert [state["mix"]["next"] for state in four] == [40, 41, 42, 43]
    assert [state["open"] for state in four] == [[[0]], [[1]], [], []]
    assert shared_out(states, 2) == states
    with pytest.raises(TrainingError, match="of 2 processes"):
        shared_out([{"at": 1}, {"at": 2}], 1)


SMALL = (
    "data.max_tiles=1",
    "data.batch=1",
    "run.accumulation=4",
    "run.device=cpu",
    "model.partial_lora_dropout=0",
)


def _recipe(name: str, samples: Path, *options: str, steps: int) -> TrainConfig:
    said = (f"data.meta={samples}", f"schedule.steps={steps}", *SMALL, *options)
    return with_options(find_recipe(name), said)


def _train(name: str, samples: Path, out: Path, *options: str, steps: int) -> str:
    said = [word for option in (*SMALL, *options) for word in ("--set", option)]
    words = ["-m", "tilewise", "train", name, "--data", str(samples), "--out", str(out)]
    done = _run(*words, "--steps", str(steps), *said)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_torchrun_trains_a_model_as_one_process_does(tmp_path: Path) -> None:
    samples = write_samples(tmp_path / "data", 8)
    run_training(_recipe("internvl_tiny", samples, steps=4), tmp_path / "one")
    told = _train("internvl_tiny", samples, tmp_path / "two", steps=4)
    assert told.count("trained. Ask it") == 1
    _close(_losses(tmp_path / "two"), _losses(tmp_path / "one"))
    assert (tmp_path / "two" / "model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["internvl_tiny", "ixc2_tiny"])
def test_split_models_learn_pages_and_text_as_one_process_does(name: str, tmp_path: Path) -> None:
    samples = write_samples(tmp_path / "data", 8)
    lines = samples.read_text().splitlines()
    said = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]
    lines += [json.dumps({"id": f"text-{n}", "conversations": said}) for n in range(8)]
    samples.write_text("\n".join(lines) + "\n")
    run_training(_recipe(name, samples, steps=6), tmp_path / "one")
    options = ("run.sharding=full", "run.is_checkpointed=true")
    _train(name, samples, tmp_path / "two", *options, steps=6)
    _close(_losses(tmp_path / "two"), _losses(tmp_path / "one"))
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_killed_process_ends_all_and_the_last_checkpoint_stays(
    runs: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    done = _together(tmp_path, "out=killed")
    assert done.returncode != 0
    assert time.monotonic() - began < END_S
    assert len(re.findall("^Error: ", done.stderr, re.M)) == 1, done.stderr
    assert "was ended from outside" in done.stderr
    kept = [path.name for path in (tmp_path / "out" / CHECKPOINTS).iterdir()]
    assert kept == [f"step-{together.HALF:08}"]
    assert _together(tmp_path, "out=resume-none").returncode == 0
    _close(_losses(tmp_path / "out"), _losses(runs / "one"))


@pytest.mark.slow
def test_an_error_of_one_process_is_told_once_with_its_samples(tmp_path: Path) -> None:
    done = _together(tmp_path, "refused")
    assert done.returncode != 0
    told = re.findall("^Error: .*", done.stderr, re.M)
    assert len(told) == 1
    assert "step 11, whose samples are sample-41" in told[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_launch_leaves_one_checkpoint_of_all(
    runs: Path, tmp_path: Path, kind: signal.Signals
) -> None:
    command = _command("-m", "tests.train.together", str(tmp_path), "out=slow")
    with subprocess.Popen(
        command, cwd=ROOT, env=_environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "step 3\n":
                process.send_signal(kind)
                break
        process.communicate(timeout=END_S)
    (kept,) = (tmp_path / "out" / CHECKPOINTS).iterdir()
    assert 3 <= int(kept.name[-8:]) <= 6
    assert _together(tmp_path, "out=resume-none").returncode == 0
    _close(_losses(tmp_path / "out"), _losses(runs / "one"))


def test_a_single_launched_process_is_as_one_alone(tmp_path: Path) -> None:
    assert not {"RANK", "WORLD_SIZE"} & os.environ.keys()
    toy.trainer(tmp_path, 2).train()
    assert len(_losses(tmp_path)) == 2


def test_a_torch_that_writes_no_parts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        def __init__(self, path: str, fqn_to_index_mapping: dict[str, int] | None = None) -> None:
            """As in torch 2.7."""

    monkeypatch.setattr(hf_storage, "HuggingFaceStorageWriter", Old)
    monkeypatch.delitem(sys.modules, "tilewise.train.sharded", raising=False)
    with pytest.raises(MissingExtraError, match=r"or set run\.sharding=none"):
        import_module("tilewise.train.sharded")
