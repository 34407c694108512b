"""Which samples come next: a pass over datasets by size, or draws among them by weight.

Everything follows from a seed and a few counters. Where size alone decides, all samples come once
in a pass, in an order that is never kept in memory.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewise.errors import ConfigError
from tilewise.train.draw import shuffle, shuffled, uniform
from tilewise.train.near import RowOrder, spread, windows_of

Weighting = Literal["size", "sqrt"]
"""What weighs a dataset: its size, or the square root of that.

Source: InternVL's training code, option ``use_data_resampling``.
"""

_UNITS, _ITEMS, _GROUP, _SOURCE = range(4)  # kinds of draws
_PASSES = 64  # over all samples in which a process that gets any has got one


class Pick(NamedTuple):
    """A sample by the number of its dataset and its own; ``epoch`` counts passes over it."""

    source: int
    item: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Datasets whose samples make batches of their own.

    ``sources``: numbers of the datasets. ``sizes``: of each. ``batch``: samples of a batch.
    ``lengths``: of every sample, dataset after dataset, where batches are grouped by length.
    ``runs``: of each dataset the sizes of groups of samples that are read together, None where each
    is read alone; () if so everywhere. Samples of a group then come close to each other.
    """

    sources: tuple[int, ...]
    sizes: tuple[int, ...]
    batch: int = 1
    lengths: NDArray[np.int32] | None = None
    runs: tuple[tuple[int, ...] | None, ...] = ()

    def __post_init__(self) -> None:
        if not self.sources or len(self.sources) != len(self.sizes) or min(self.sizes) < 1:
            raise ConfigError("a group of datasets is empty; each needs at least one sample.")
        if self.batch < 1:
            raise ConfigError(f"batch is {self.batch}; give 1 or more.")
        for size, runs in zip(self.sizes, self.runs, strict=bool(self.runs)):
            assert runs is None or sum(runs) == size, "groups have all samples"

    @property
    def size(self) -> int:
        """Samples of all datasets."""
        return sum(self.sizes)

    @property
    def windows(self) -> int:
        """Parts of a pass in which as many samples come as are read together, 0 if none are."""
        return max((windows_of(runs) for runs in self.runs if runs is not None), default=0)

    def place(self, item: int) -> tuple[int, int]:
        """Dataset and number there of a sample that is numbered through all of them."""
        ends = list(itertools.accumulate(self.sizes))
        at = bisect.bisect_right(ends, item)
        return self.sources[at], item - (ends[at] - self.sizes[at])


class Mix:
    """An endless row of batches of samples.

    With weighting "size" a pass has every sample once: batches of all groups in a random order,
    so that a group's share of batches is its share of samples divided by the size of its batches,
    and no sample of a group with small batches is seen more often. With "sqrt" the group of each
    batch and the dataset of each sample are drawn, by weights that bear the same correction; each
    dataset goes through its samples in a random order and begins anew.

    Args:
        groups: the datasets.
        seed: of all draws.
        weighting: what decides how often a dataset is drawn.
        rank, world: this process and how many there are; each gets other batches.
        chunks: batches that are grouped by length together: those of one step.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        *,
        seed: int,
        weighting: Weighting = "size",
        rank: int = 0,
        world: int = 1,
        chunks: int = 1,
    ) -> None:
        if not groups:
            raise ConfigError("there are no datasets; list at least one.")
        self._groups = tuple(groups)
        self._seed, self._weighting = seed, weighting
        self._rank, self._world = rank, world
        is_grouped = any(group.lengths is not None for group in groups)
        self._chunks = chunks if is_grouped else 1
        self._units = [math.ceil(g.size / (g.batch * self._chunks)) for g in self._groups]
        self._windows = max(group.windows for group in self._groups)
        self._orders = {
            source: RowOrder(runs, seed, _ITEMS, source)
            for group in self._groups
            for source, runs in zip(group.sources, group.runs, strict=bool(group.runs))
            if runs is not None
        }
        self._next = rank
        self._drawn: dict[int, int] = {}

    @property
    def batches(self) -> int:
        """Batches of a pass over all samples, in this process."""
        return math.ceil(sum(self._units) * self._chunks / self._world)

    def __iter__(self) -> Iterator[tuple[Pick, ...]]:
        return self

    def __next__(self) -> tuple[Pick, ...]:
        """The next batch that is not empty.

        Raises:
            ConfigError: this process never gets one, as there are too few samples for all.
        """
        for _ in range(_PASSES * sum(self._units) * self._chunks):
            number = self._next
            self._next += self._world
            made = self._drawn_batch if self._weighting == "sqrt" else self._passed_batch
            batch = tuple(made(number))
            if batch:
                return batch
        samples = sum(group.size for group in self._groups)
        raise ConfigError(
            f"process {self._rank + 1} of {self._world} gets none of the {samples} samples; take "
            "fewer processes, a smaller step, or data without grouping by length."
        )

    def state(self) -> dict[str, Any]:
        """Where the row stands, as plain values."""
        return {"next": self._next, "drawn": {str(k): v for k, v in self._drawn.items()}}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._next = int(state["next"])
        self._drawn = {int(k): int(v) for k, v in state["drawn"].items()}

    def _passed_batch(self, number: int) -> Iterator[Pick]:
        """Batch ``number`` of passes in which every sample comes once."""
        epoch, rest = divmod(number, sum(self._units) * self._chunks)
        unit, chunk = divmod(rest, self._chunks)
        index, place = self._unit(unit, epoch)
        group = self._groups[index]
        first = place * group.batch * self._chunks
        last = min(first + group.batch * self._chunks, group.size)
        items = self._items(index, epoch, first, last)
        if self._chunks > 1:
            items = _chunk(group, items, self._chunks, chunk)
        for item in items:
            yield Pick(*group.place(item), epoch)

    def _unit(self, unit: int, epoch: int) -> tuple[int, int]:
        """The group of a unit of a pass, and the unit's number there."""
        if self._windows:
            return spread(unit, self._units, self._windows, self._seed, _UNITS, epoch)
        place = shuffled(unit, sum(self._units), self._seed, _UNITS, epoch)
        ends = list(itertools.accumulate(self._units))
        index = bisect.bisect_right(ends, place)
        return index, place - (ends[index] - self._units[index])

    def _items(self, index: int, epoch: int, first: int, last: int) -> list[int]:
        """Samples of a group, numbered through all of its datasets, in the order of a pass."""
        group, key = self._groups[index], (self._seed, _ITEMS, index, epoch)
        if group.windows:
            return [self._near_item(index, epoch, item) for item in range(first, last)]
        if self._chunks == 1:
            return [shuffled(item, group.size, *key) for item in range(first, last)]
        return [int(item) for item in _order(group.size, *key)[first:last]]

    def _near_item(self, index: int, epoch: int, position: int) -> int:
        """A sample of a group in which samples that are read together come close."""
        group, key = self._groups[index], (self._seed, _ITEMS, index, epoch)
        at, position = spread(position, group.sizes, group.windows, *key)
        return sum(group.sizes[:at]) + self._item(group, at, position, epoch)

    def _item(self, group: Group, at: int, position: int, epoch: int) -> int:
        """The sample at a position of a pass over one dataset of a group."""
        source = group.sources[at]
        if source in self._orders:
            return self._orders[source].row(position, epoch)
        return shuffled(position, group.sizes[at], self._seed, _ITEMS, source, epoch)

    def _drawn_batch(self, number: int) -> Iterator[Pick]:
        """Batch ``number`` where datasets are drawn."""
        weights = [sum(map(math.sqrt, group.sizes)) / group.batch for group in self._groups]
        group = self._groups[_draw(weights, self._seed, _GROUP, number)]
        roots = [math.sqrt(size) for size in group.sizes]
        for place in range(group.batch):
            at = _draw(roots, self._seed, _SOURCE, number, place)
            source, size = group.sources[at], group.sizes[at]
            count = self._drawn.get(source, 0)
            self._drawn[source] = count + 1
            epoch, item = divmod(count * self._world + self._rank, size)
            yield Pick(source, self._item(group, at, item, epoch), epoch)


def by_length(lengths: Sequence[int], chunks: int) -> list[list[int]]:
    """Split samples into chunks of one size and of lengths as equal as can be.

    The longest come first and each goes to the chunk that is the shortest so far and not full.

    Args:
        lengths: of the samples.
        chunks: how many.

    Returns:
        Places of the samples of each chunk. Where their number is no multiple of ``chunks``, the
        first chunks have one more, or all, and chunks may be empty.

    Source: the length grouping of LLaVA and InternVL.
    """
    size = math.ceil(len(lengths) / chunks)
    order = sorted(range(len(lengths)), key=lambda at: -lengths[at])
    if len(lengths) % chunks:
        return [order[n::chunks] for n in range(chunks)]
    found: list[list[int]] = [[] for _ in range(chunks)]
    total = [0] * chunks
    for at in order:
        chunk = min((n for n in range(chunks) if len(found[n]) < size), key=total.__getitem__)
        found[chunk].append(at)
        total[chunk] += lengths[at]
    return found


def _chunk(group: Group, items: Sequence[int], chunks: int, chunk: int) -> list[int]:
    """Samples of one batch of a step, whose batches are grouped by length."""
    lengths = [0] * len(items) if group.lengths is None else group.lengths[items].tolist()
    return [items[at] for at in by_length(lengths, chunks)[chunk]]


@lru_cache(maxsize=4)
def _order(count: int, *key: int) -> NDArray[np.int64]:
    return shuffle(count, *key)


def _draw(weights: Sequence[float], *key: int) -> int:
    """A place by weight."""
    ends = list(itertools.accumulate(weights))
    return min(bisect.bisect_right(ends, uniform(*key) * ends[-1]), len(ends) - 1)
