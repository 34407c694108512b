"""Candidates verified by the exact Jaccard similarity of their shingles.

The estimate from 112 values errs by 0.04 at 0.8: kept to it, half of the pairs at just 0.8 would
be lost and as many below it taken. So it only sorts out what is far below; the documents that are
left are read once more, and their sets of shingles compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from tilewise.corpus.dedup.facts import Sharded, text_of
from tilewise.corpus.dedup.minhash import MinHashConfig, Shingles, fold, jaccard, shingles
from tilewise.corpus.dedup.pairs import PAIR
from tilewise.corpus.dedup.steps import Array, Made, Read, Step, open_array

PLACE: Final = np.dtype([("document", "<i8"), ("end", "<i8")])
"""A document whose shingles are there, and where they end."""


@dataclass(frozen=True, slots=True)
class SetsOfShard:
    """The sets of shingles of one shard's documents that are in a pair; 4 bytes a shingle."""

    facts: Sharded
    shards: tuple[Path, ...]
    read: Read
    cfg: MinHashConfig
    wanted: Path

    def __call__(self, part: int) -> Made:
        start, size = int(self.facts.starts[part]), self.facts.sizes[part]
        wanted = np.flatnonzero(open_array(self.wanted)[start : start + size])
        sets = [np.empty(0, np.uint32)]
        sets += [np.unique(shingles(fold(text), self.cfg)) for text in self._texts(part, wanted)]
        places = np.empty(len(wanted), PLACE)
        places["document"] = wanted + start
        places["end"] = np.cumsum([len(one) for one in sets], dtype=np.int64)[1:]
        return Made({"places": places, "sets": np.concatenate(sets)})

    def _texts(self, part: int, wanted: Array) -> Iterator[str]:
        if not len(wanted):
            return
        rows = set(wanted.tolist())
        for row, document in enumerate(self.read(self.shards[part])):
            if row in rows:
                yield text_of(document)


@dataclass(frozen=True, slots=True)
class Verified:
    """The pairs of one part whose similarity is at least ``threshold``."""

    pairs: Step
    sets: Step
    facts: Sharded
    threshold: float

    def __call__(self, part: int) -> Made:
        pairs = open_array(self.pairs.path("pairs", part))
        find = _Sets(self.sets, self.facts)
        is_near = np.zeros(len(pairs), np.bool_)
        for place, (one, other) in enumerate(pairs.tolist()):
            is_near[place] = jaccard(find(one), find(other)) >= self.threshold
        counts = {"candidates": len(pairs), "near": int(np.count_nonzero(is_near))}
        return Made({"near": np.array(pairs[is_near], PAIR)}, counts)


class _Sets:
    """Sets of shingles by document; few are held, as pairs come in order."""

    def __init__(self, sets: Step, facts: Sharded) -> None:
        self._sets, self._facts = sets, facts
        self._shard = lru_cache(maxsize=256)(self._opened)
        self._find = lru_cache(maxsize=64)(self._found)

    def __call__(self, document: int) -> Shingles:
        return self._find(document)

    def _found(self, document: int) -> Shingles:
        part = int(np.searchsorted(self._facts.starts, document, side="right")) - 1
        documents, ends, sets = self._shard(part)
        place = int(np.searchsorted(documents, document))
        return np.array(sets[int(ends[place - 1]) if place else 0 : int(ends[place])])

    def _opened(self, part: int) -> tuple[Array, Array, Array]:
        places = open_array(self._sets.path("places", part))
        sets = open_array(self._sets.path("sets", part))
        return np.array(places["document"]), np.array(places["end"]), sets
