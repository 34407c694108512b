"""The processes that train together, as the loop sees them; a single one needs nothing of it.

A step has the same batches whatever the number of processes: ranks share them. So a run may go on
with more or fewer of them than it began with. Of data that is drawn in chunks (``train.drawn``)
each rank takes whole chunks, so that there a step's batches are others.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from tilewise.errors import TilewiseError, TrainingError
from tilewise.train import checkpoint
from tilewise.train.checkpoint import Snapshot

Value = TypeVar("Value")

BATCHES: Final = "batches"
"""Of a checkpoint's notes: where the data stands, for each rank."""


_NONE_BAD: Final = {"seen": 0, "reasons": {}, "bytes": 0}  # of shards.bad.BadList


class Lost(Protocol):
    """What a batch loses: ``total`` is the sum of weighted losses, ``weight`` that of weights."""

    @property
    def total(self) -> Tensor:
        """A scalar with a graph behind it."""

    @property
    def weight(self) -> Tensor | float:
        """What to divide by."""


class Learn(Protocol):
    """Runs a batch through a network that learns."""

    def __call__(self, batch: Any) -> Lost:
        """What the batch loses."""


class Ranks(Protocol):
    """The processes that train together: ``rank`` of ``world``, from 0."""

    rank: int
    world: int

    def device(self, name: str) -> str:
        """The device of this process, where ``name`` is that of a setting."""

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Sums over all processes, the same in each."""

    def gather(self, value: Value) -> list[Value]:
        """Values of all processes, by rank; small ones."""

    def spread(self, module: nn.Module, learn: Learn) -> Learn:
        """Make a network one of all processes; ``learn`` is called instead as what this gives."""

    def summing(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Around a batch's run and backward pass; gradients are means over ranks behind the last.

        All ranks take as many batches in a step.
        """

    def norm(self, gradients: Sequence[Tensor]) -> float:
        """The norm of all gradients together, over all parts that ranks have of them."""

    def save(self, folder: Path, snapshot: Snapshot, keep: int) -> Path:
        """Write a checkpoint of all ranks together, as ``checkpoint.save``.

        ``snapshot`` is this rank's; its notes have ``BATCHES``.
        """

    def restore(
        self, kept: Path, module: nn.Module, optimiser: torch.optim.Optimizer
    ) -> Mapping[str, Any]:
        """Go back to a checkpoint, of any number of ranks: weights, optimiser, random numbers.

        Returns:
            Where this rank's data stands.

        Raises:
            TrainingError: it cannot be read, or is of another model.
        """

    def whole(self, module: nn.Module) -> dict[str, Tensor] | None:
        """All tensors of a network by name, in rank 0; None in the others."""


class Alone:
    """A single process."""

    rank = 0
    world = 1

    def device(self, name: str) -> str:
        """The setting's."""
        return name

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """The numbers themselves."""
        return list(numbers)

    def gather(self, value: Value) -> list[Value]:
        """The value alone."""
        return [value]

    def spread(self, module: nn.Module, learn: Learn) -> Learn:
        """What it is given."""
        return learn

    def summing(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Nothing to do."""
        return nullcontext()

    def norm(self, gradients: Sequence[Tensor]) -> float:
        """The norm of all gradients together."""
        return float(torch.nn.utils.get_total_norm(gradients))

    def save(self, folder: Path, snapshot: Snapshot, keep: int) -> Path:
        """Write a checkpoint."""
        rank = OfRank(snapshot.rng, snapshot.notes[BATCHES])
        return checkpoint.save(folder, of_all(snapshot, [rank]), keep)

    def restore(
        self, kept: Path, module: nn.Module, optimiser: torch.optim.Optimizer
    ) -> Mapping[str, Any]:
        """Go back to a checkpoint."""
        return restore(kept, module, optimiser, self.rank, self.world)

    def whole(self, module: nn.Module) -> dict[str, Tensor] | None:
        """The network's own tensors."""
        return dict(module.state_dict())


def is_launched() -> bool:
    """Whether this process was started as one of several, by torchrun or the like."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def by_first(ranks: Ranks, run: Callable[[], Value]) -> Value:
    """Let rank 0 do something while the others wait; what it gives or raises is that of all."""
    made, err = None, None
    if ranks.rank == 0:
        try:
            made = run()
        except TilewiseError as said:
            err = said
    made, err = ranks.gather((made, err))[0]
    if err is not None:
        raise err
    return cast(Value, made)


class OfRank(NamedTuple):
    """What is a rank's own in a checkpoint: random numbers and where its data stands."""

    rng: Mapping[str, Tensor]
    batches: Mapping[str, Any]


def of_all(snapshot: Snapshot, ranks: Sequence[OfRank]) -> Snapshot:
    """A snapshot with what is each rank's own, by rank."""
    rng = {f"{n}/{key}": t for n, rank in enumerate(ranks) for key, t in rank.rng.items()}
    notes = {**snapshot.notes, BATCHES: [rank.batches for rank in ranks]}
    return replace(snapshot, rng=rng, notes=notes)


def restore(
    kept: Path, module: nn.Module, optimiser: torch.optim.Optimizer, rank: int, world: int
) -> Mapping[str, Any]:
    """Go back to a checkpoint, as ``Ranks.restore``, with tensors whole or in parts."""
    if has_parts(module):
        found = sharded_checkpoints().load_into(kept, module, optimiser)
    else:
        is_sharded = not (kept / checkpoint.MODEL).exists()
        found = sharded_checkpoints().load(kept) if is_sharded else checkpoint.load(kept)
        checkpoint.fill_model(module, found.model)
        checkpoint.fill_optimiser(optimiser, found.optimiser)
    states = found.notes[BATCHES]
    if len(states) == world:
        own = {k.partition("/")[2]: t for k, t in found.rng.items() if k.startswith(f"{rank}/")}
        checkpoint.set_random_states(own)
    else:  # other numbers than those that any rank would have drawn, but always the same ones
        torch.manual_seed(zlib.crc32(f"{found.step}/{rank}/{world}".encode()))
    return shared_out(states, world)[rank]


def has_parts(module: nn.Module) -> bool:
    """Whether a network's tensors are split over ranks (``DTensor``)."""
    return any(hasattr(weight, "placements") for weight in module.parameters())


def shared_out(states: Sequence[Mapping[str, Any]], world: int) -> list[Mapping[str, Any]]:
    """Where the data of each of ``world`` ranks stands, by where that of others stood.

    Packs that are open go round the ranks. Where ranks had come to different places, as packing
    has it, all go on from the mean, so that few samples come twice and few not at all.

    Args:
        states: of ``train.data.Packs`` or ``train.drawn.Drawn`` of each rank.
        world: how many ranks there are now.
    """
    if len(states) == world:
        return list(states)
    if all("number" in state for state in states):  # drawn ones have nothing but a number
        given = sum(state["number"] for state in states)
        return [{**states[0], "number": -(-given // world)}] * world
    mixes: list[Mapping[str, Any]] = [state.get("mix") or {} for state in states]
    if not all("next" in mix for mix in mixes):
        raise TrainingError(
            f"the checkpoint is of {len(states)} processes, and data of this kind cannot be shared "
            f"out to {world}; go on with {len(states)}."
        )
    before = len(states)
    at = round(sum(mix["next"] - rank for rank, mix in enumerate(mixes)) / before)
    drawn = {key: sum(m["drawn"].get(key, 0) for m in mixes) for m in mixes for key in m["drawn"]}
    packs = [pack for state in states for pack in state["open"]]
    return [
        {
            **states[0],
            "mix": {
                "next": at + rank,
                "drawn": {key: count // world for key, count in drawn.items()},
            },
            "open": packs[rank::world],
            "bad": states[rank]["bad"] if rank < before else _NONE_BAD,
        }
        for rank in range(world)
    ]


def sharded_checkpoints() -> Any:
    """The module ``train.sharded``.

    Raises:
        MissingExtraError: this torch is too old for it.
    """
    from tilewise.train import sharded  # noqa: PLC0415 - takes seconds, and a single process needs it seldom

    return sharded
