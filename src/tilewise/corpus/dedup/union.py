"""Clusters of documents by union-find: 8 bytes a document, pairs one after another."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

_CHUNK: Final = 1 << 20

Better = Callable[[int, int], bool]
"""Whether the first of two documents is kept rather than the second; a strict order."""


class UnionFind:
    """Clusters whose root is always the member that is kept.

    ``parents`` is the state, int64 ``(documents,)``: a view that may be read and written, where
    each document has a better one of its cluster, or itself.
    """

    def __init__(self, documents: int) -> None:
        # Single values of an array are read five times as fast as those of NumPy's.
        self._parents = array("q", bytes(8 * documents))
        self.parents: NDArray[np.int64] = np.frombuffer(self._parents, np.int64)
        self.parents[:] = np.arange(documents)

    def find(self, document: int) -> int:
        """The best document of the cluster; paths are halved on the way."""
        parents = self._parents
        while (parent := parents[document]) != document:
            parents[document] = document = parents[parent]
        return document

    def join_all(self, pairs: Iterable[tuple[int, int]], is_better: Better) -> None:
        """Make the clusters of the two documents of each pair one."""
        parents, find = self._parents, self.find
        for first, second in pairs:
            one, other = find(first), find(second)
            if one != other:
                if is_better(other, one):
                    one, other = other, one
                parents[other] = one

    def settle(self) -> None:
        """Point every document at the best of its cluster; the number of passes is small."""
        is_moving = True
        while is_moving:
            is_moving = False
            for start in range(0, len(self.parents), _CHUNK):
                chunk = self.parents[start : start + _CHUNK]
                further = self.parents[chunk]
                is_moving |= bool((further != chunk).any())
                chunk[:] = further
