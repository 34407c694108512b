"""Checkpoints that all ranks write together, each its parts of the tensors.

They are written and read by ``torch.distributed.checkpoint`` as safetensors files, one for each
rank, which say where in the whole tensor a part lies. So they are read by any number of processes,
each taking what it needs; tensors of a checkpoint in one piece are read so as well. Its own form,
``.distcp`` and ``.metadata``, is not used: the latter is a pickle, which can run code when it is
opened.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint import metadata as described
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load as load_parts
from torch.distributed.checkpoint.state_dict_saver import save as save_parts

from tilewise.errors import MissingExtraError, TrainingError
from tilewise.train import checkpoint
from tilewise.train.checkpoint import Snapshot
from tilewise.weights.names import listed

try:
    from torch.distributed.checkpoint.hf_storage import (
        HuggingFaceStorageReader,
        HuggingFaceStorageWriter,
    )

    signature(HuggingFaceStorageWriter).bind("", save_distributed=True)
except (ImportError, TypeError) as err:
    raise MissingExtraError(
        f"torch {torch.__version__} does not write parts of tensors as safetensors, which "
        "run.sharding=full needs; install a newer torch (2.13 is tested), or set run.sharding=none."
    ) from err

Value = TypeVar("Value")


class Group(Protocol):
    """The processes that write, of ``train.ranks.Ranks``."""

    rank: int

    def gather(self, value: Value) -> list[Value]:
        """Values of all, by rank."""


def save(folder: Path, snapshot: Snapshot, keep: int, group: Group) -> Path:
    """Write a checkpoint, called by all ranks; arguments and errors as ``checkpoint.save``.

    Args:
        folder, keep: as there.
        snapshot: with this rank's parts, and the random numbers and notes of all ranks.
        group: the ranks, which see the same disk.
    """
    if group.rank == 0:
        return _lead(folder, snapshot, keep, group)
    part = group.gather("")[0]
    told = ""
    if part:
        try:
            _write_parts(Path(part), snapshot)
        except OSError as err:
            told = str(err)
    told = group.gather(told)[0] or told
    if told:
        raise TrainingError(told)
    return folder / f"step-{snapshot.step:08}"


def load_into(kept: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> Snapshot:
    """Read a checkpoint, of this kind or in one piece, into a network that is split over ranks.

    Returns:
        Its step, random numbers and notes; the tensors are where they belong.

    Raises:
        TrainingError: it cannot be read, or is of another network.
    """
    there = dict(module.named_parameters()) | dict(module.named_buffers())
    sizes = _sizes(kept)
    wanted = {name: _place(name, size, there) for name, size in sizes.items()}
    odd = sorted(name for name, place in wanted.items() if place is None)
    if odd:
        raise TrainingError(
            f"the checkpoint is of another model, which has other tensors: {listed(odd)}; resume "
            "with the settings that the run began with."
        )
    _read(kept, wanted)
    moments = {name: t for name, t in wanted.items() if "/" in name and t is not None}
    checkpoint.fill_optimiser(optimiser, moments)
    return checkpoint.load_others(kept)


def load(kept: Path) -> Snapshot:
    """Read a checkpoint of this kind with its tensors in one piece, as ``checkpoint.save`` takes.

    So it is brought into the form of a single process: ``checkpoint.save(folder, load(kept), 1)``.

    Raises:
        TrainingError: it cannot be read.
    """
    found = {
        name: torch.empty(size.size, dtype=size.properties.dtype)
        for name, size in _sizes(kept).items()
    }
    _read(kept, found)
    model = {name: tensor for name, tensor in found.items() if "/" not in name}
    optimiser = {name: tensor for name, tensor in found.items() if "/" in name}
    return replace(checkpoint.load_others(kept), model=model, optimiser=optimiser)


def _lead(folder: Path, snapshot: Snapshot, keep: int, group: Group) -> Path:
    """What rank 0 does: name the folder for all, write, rename, and tell how it went."""
    has_begun = False

    def write(part: Path, snapshot: Snapshot) -> None:
        nonlocal has_begun
        has_begun = True
        group.gather(str(part))
        _write_parts(part, snapshot)
        checkpoint.write_others(part, snapshot, {})

    told = ""
    try:
        return checkpoint.save(folder, snapshot, keep, write)
    except TrainingError as err:
        told = str(err)
        raise
    finally:
        if not has_begun:
            group.gather("")
        group.gather(told)


def _write_parts(part: Path, snapshot: Snapshot) -> None:
    """Write this rank's parts; raises OSError in all ranks where one cannot."""
    tensors = {**snapshot.model, **snapshot.optimiser}
    writer = HuggingFaceStorageWriter(str(part), save_distributed=True)
    _told(lambda: save_parts({n: t.detach() for n, t in tensors.items()}, storage_writer=writer))


def _told(run: Callable[[], Any]) -> None:
    """Run, with what goes wrong on the disk of any rank as OSError."""
    try:
        run()
    except CheckpointException as err:
        first = next(iter(err.failures.values()))[0]
        raise OSError(getattr(first, "strerror", None) or str(first)) from err


def _sizes(kept: Path) -> dict[str, described.TensorStorageMetadata]:
    """All tensors of a checkpoint but random numbers."""
    try:
        found = HuggingFaceStorageReader(str(kept)).read_metadata().state_dict_metadata
    except (OSError, SafetensorError, ValueError, KeyError) as err:
        raise checkpoint.unread(kept, err) from err
    return {
        name: size
        for name, size in found.items()
        if isinstance(size, described.TensorStorageMetadata) and not name.startswith(checkpoint.RNG)
    }


def _place(
    name: str, size: described.TensorStorageMetadata, there: Mapping[str, Tensor]
) -> Tensor | None:
    """Where a tensor of a checkpoint goes, None where there is no place for it."""
    owner = there.get(name.partition("/")[0])
    if owner is None:
        return None
    if "/" not in name:
        return owner.detach() if owner.shape == size.size else None
    if owner.shape == size.size:
        return torch.zeros_like(owner, requires_grad=False)
    return torch.zeros(size.size, dtype=size.properties.dtype)


def _read(kept: Path, wanted: Mapping[str, Tensor | None]) -> None:
    reader = HuggingFaceStorageReader(str(kept))
    is_alone = not dist.is_initialized()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # it is on purpose
            _told(lambda: load_parts(dict(wanted), storage_reader=reader, no_dist=is_alone))
    except (OSError, SafetensorError, ValueError, KeyError) as err:
        raise checkpoint.unread(kept, err) from err
