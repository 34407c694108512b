"""A run's state on disk: written whole or not at all, read back exactly.

A checkpoint is a folder ``step-00000100``: ``model.safetensors`` and ``optimiser.safetensors`` hold
tensors, ``state.json`` the rest. It is written under another name and renamed when it is
complete, so that a kill or a full disk leaves the checkpoint before it as it was.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tilewise.errors import TrainingError
from tilewise.weights.names import listed

MODEL: Final = "model.safetensors"
OPTIMISER: Final = "optimiser.safetensors"
STATE: Final = "state.json"

FORMAT: Final = 1
"""Of the files; another number is not read."""

_NAME: Final = re.compile(r"step-(\d{8,})")

RNG: Final = "rng/"
"""In front of the names of random number generators' states, among the optimiser's tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a checkpoint holds.

    ``model`` and ``optimiser`` are tensors by name, ``rng`` states of the random number
    generators by device, ``notes`` what fits JSON: where data, schedule and report stand.
    """

    step: int
    model: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]
    rng: Mapping[str, Tensor]
    notes: Mapping[str, Any]


def write(part: Path, snapshot: Snapshot) -> None:
    """Write a snapshot into an empty folder; raises OSError or SafetensorError."""
    model = {name: tensor.detach().contiguous() for name, tensor in snapshot.model.items()}
    save_file(model, part / MODEL)
    write_others(part, snapshot, snapshot.optimiser)


def write_others(part: Path, snapshot: Snapshot, optimiser: Mapping[str, Tensor]) -> None:
    """Write all but the model: the optimiser's tensors, random numbers and notes."""
    others = {**optimiser, **{f"{RNG}{name}": state for name, state in snapshot.rng.items()}}
    save_file({name: t.detach().contiguous() for name, t in others.items()}, part / OPTIMISER)
    notes = {"format": FORMAT, **snapshot.notes, "step": snapshot.step}
    (part / STATE).write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")


def save(
    folder: Path, snapshot: Snapshot, keep: int, write: Callable[[Path, Snapshot], None] = write
) -> Path:
    """Write a checkpoint and remove the oldest ones.

    Args:
        folder: that of all checkpoints of the run; it is made if it is not there.
        snapshot: the state behind ``snapshot.step`` steps.
        keep: how many are to be there in the end.
        write: writes the files.

    Returns:
        The checkpoint's folder.

    Raises:
        TrainingError: it cannot be written, such as on a full disk; what was there stays.
    """
    target = folder / f"step-{snapshot.step:08}"
    part = folder / f".{target.name}.part"
    if target.exists():
        return target  # a run's state behind so many steps is always the same
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        part.mkdir()
        write(part, snapshot)
        for path in part.iterdir():
            _sync(path)
        part.rename(target)
        _sync(folder)
    except (OSError, SafetensorError) as err:
        reason = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
        newest = latest(folder)
        stays = f"{newest.name} stays" if newest else "there was none before it"
        raise TrainingError(
            f"{target}: the checkpoint cannot be written ({reason}); {stays}. Make room or give "
            "another folder, then go on with --resume."
        ) from err
    finally:
        shutil.rmtree(part, ignore_errors=True)
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def latest(folder: Path) -> Path | None:
    """The checkpoint with the most steps, None where there is none."""
    found = _all(folder)
    return found[-1] if found else None


def load(checkpoint: Path) -> Snapshot:
    """Read a checkpoint.

    Raises:
        TrainingError: a file is missing or damaged, or of another version.
    """
    others = load_others(checkpoint)
    try:
        model = load_file(checkpoint / MODEL)
        optimiser = load_file(checkpoint / OPTIMISER)
    except (OSError, SafetensorError) as err:
        raise unread(checkpoint, err) from err
    optimiser = {name: tensor for name, tensor in optimiser.items() if not name.startswith(RNG)}
    return replace(others, model=model, optimiser=optimiser)


def load_others(checkpoint: Path) -> Snapshot:
    """Read a checkpoint's step, random numbers and notes, without its large tensors.

    Raises:
        TrainingError: as ``load``.
    """
    try:
        notes = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
        if not isinstance(notes, dict) or notes.get("format") != FORMAT:
            raise ValueError("it is of another version")
        with safe_open(checkpoint / OPTIMISER, "pt") as file:
            names = [name for name in file.keys() if name.startswith(RNG)]  # noqa: SIM118 - no dict
            rng = {name.removeprefix(RNG): file.get_tensor(name) for name in names}
        step = int(notes["step"])
    except (OSError, SafetensorError, ValueError, KeyError) as err:
        raise unread(checkpoint, err) from err
    return Snapshot(step=step, model={}, optimiser={}, rng=rng, notes=notes)


def unread(checkpoint: Path, err: Exception) -> TrainingError:
    """The error for a checkpoint that is damaged."""
    return TrainingError(
        f"{checkpoint}: cannot be read ({err}); remove this folder to go on from the one before it."
    )


def check_same(
    before: Mapping[str, Any], now: Mapping[str, Any], free: frozenset[str], where: Path
) -> None:
    """See that a run is resumed with the settings that it began with.

    Args:
        before, now: settings by dotted name.
        free: names that may differ.
        where: the checkpoint, for the message.

    Raises:
        TrainingError: names every setting that differs.
    """
    names = sorted((before.keys() | now.keys()) - free)
    odd = [n for n in names if before.get(n) != now.get(n)]
    if odd:
        said = "; ".join(f"{n} was {before.get(n)!r} and is {now.get(n)!r}" for n in odd)
        raise TrainingError(
            f"{where}: is of a run with other settings: {said}. Resume with the same ones, or "
            "begin a run in another folder."
        )


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser keeps, as ``<parameter>/<kind>``; its groups have ``names``."""
    return {
        f"{name}/{kind}": value
        for group in optimiser.param_groups
        for name, weight in zip(group["names"], group["params"], strict=True)
        for kind, value in optimiser.state.get(weight, {}).items()
    }


def fill_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser back what ``optimiser_tensors`` took from one like it.

    Raises:
        TrainingError: the tensors are of other parameters.
    """
    kept: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, kind = key.rpartition("/")
        kept.setdefault(name, {})[kind] = value
    names = [name for group in optimiser.param_groups for name in group["names"]]
    odd = sorted(kept.keys() - set(names))
    if odd:
        raise TrainingError(
            f"the checkpoint's optimiser knows parameters that do not learn here: {listed(odd)}; "
            "resume with the settings that the run began with."
        )
    state = optimiser.state_dict()
    state["state"] = {i: kept[name] for i, name in enumerate(names) if name in kept}
    optimiser.load_state_dict(state)


def fill_model(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy weights into a module, which may have more of them, such as frozen ones.

    Raises:
        TrainingError: a tensor is of no weight of the module, or of another shape.
    """
    there = dict(module.named_parameters()) | dict(module.named_buffers())
    odd = [n for n, t in tensors.items() if n not in there or there[n].shape != t.shape]
    if odd:
        raise TrainingError(
            f"the checkpoint is of another model, which has other tensors: {listed(sorted(odd))}; "
            "resume with the settings that the run began with."
        )
    with torch.no_grad():
        for name, value in tensors.items():
            there[name].copy_(value)


def random_states() -> dict[str, Tensor]:
    """States of torch's generators, by device."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        for index, state in enumerate(torch.cuda.get_rng_state_all()):
            states[f"cuda:{index}"] = state
    return states


def set_random_states(states: Mapping[str, Tensor]) -> None:
    """Set the generators of the devices that are here."""
    for name, state in states.items():
        if name == "cpu":
            torch.set_rng_state(state)
        elif torch.cuda.is_available() and int(name[5:]) < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, int(name[5:]))


def _sync(path: Path) -> None:
    """See that a file or folder is on the disk and not only on its way there."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _all(folder: Path) -> list[Path]:
    """Whole checkpoints, the oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _clear(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for path in folder.glob(".step-*.part"):
        shutil.rmtree(path, ignore_errors=True)
