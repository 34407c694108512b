"""Random orders in which rows that are read together come close to each other.

Rows lie in groups that are decoded as a whole. In these orders each group is needed for a short
while and then no more. Every place follows from its number and a key, so that nothing is kept and
an order is taken up anywhere.
"""

from __future__ import annotations

import bisect
import itertools
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilewise.train.draw import shuffle, shuffled

_GROUPS, _ROWS = range(2)  # kinds of draws
_KEPT = 8  # orders of rows of groups, of 8 bytes a row


class RowOrder:
    """The rows of many groups: groups in a random order, and the rows of each.

    Args:
        sizes: rows of each group; a row is numbered through all of them.
        key: of all draws.
    """

    def __init__(self, sizes: Sequence[int], *key: int) -> None:
        self._sizes = np.array(sizes, np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._key = key
        self._kept: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None
        self._rows: OrderedDict[tuple[int, int], NDArray[np.int64]] = OrderedDict()

    def __len__(self) -> int:
        return int(self._sizes.sum())

    def row(self, position: int, epoch: int) -> int:
        """The row that is at a position of a pass."""
        assert 0 <= position < len(self), f"{position} of {len(self)}"
        order, ends = self._order(epoch)
        at = int(np.searchsorted(ends, position, side="right"))
        group = int(order[at])
        size = int(self._sizes[group])
        within = self._within(epoch, group)[position - int(ends[at]) + size]
        return int(self._starts[group] + within)

    def position(self, row: int, epoch: int) -> int:
        """Where a row comes in a pass."""
        order, ends = self._order(epoch)
        group = int(np.searchsorted(self._starts + self._sizes, row, side="right"))
        at = int(np.flatnonzero(order == group)[0])
        size = int(self._sizes[group])
        rows = self._within(epoch, group)
        within = int(np.flatnonzero(rows == row - self._starts[group])[0])
        return int(ends[at]) - size + within

    def _order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Groups in their order, and the position behind each."""
        if self._kept is None or self._kept[0] != epoch:
            order = shuffle(len(self._sizes), *self._key, _GROUPS, epoch)
            self._kept = (epoch, order, np.cumsum(self._sizes[order]))
        return self._kept[1], self._kept[2]

    def _within(self, epoch: int, group: int) -> NDArray[np.int64]:
        """The order of a group's rows; those of a few groups are kept."""
        found = self._rows.pop((epoch, group), None)
        if found is None:
            found = shuffle(int(self._sizes[group]), *self._key, _ROWS, epoch, group)
        self._rows[epoch, group] = found
        while len(self._rows) > _KEPT:
            self._rows.popitem(last=False)
        return found


def spread(position: int, sizes: Sequence[int], windows: int, *key: int) -> tuple[int, int]:
    """Mix several rows of things so that each is gone through from its start to its end.

    All rows are cut into as many windows; each window has its part of every row, in an order drawn
    for it, so that a row's things stray no farther than its part of a window.

    Args:
        position: in the mixture, from 0 up to but without the sum of sizes.
        sizes: of the rows.
        windows: from 1 up.
        key: of the draws; the same key gives a mixture in which each thing is once.

    Returns:
        The number of a row, and of a thing in it.
    """

    def begins(window: int) -> int:
        return sum(size * window // windows for size in sizes)

    window = bisect.bisect_right(range(windows), position, key=begins) - 1
    first = [size * window // windows for size in sizes]
    counts = [
        size * (window + 1) // windows - start for size, start in zip(sizes, first, strict=True)
    ]
    place = shuffled(position - sum(first), sum(counts), *key, window)
    ends = list(itertools.accumulate(counts))
    row = bisect.bisect_right(ends, place)
    return row, first[row] + place - (ends[row] - counts[row])


def windows_of(runs: Sequence[int]) -> int:
    """Windows by which the part of a row of groups is about as large as its largest group."""
    return max(1, sum(runs) // max(1, *runs))
