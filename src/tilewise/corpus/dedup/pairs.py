"""Pairs of documents that share a band of their signatures: candidates for near-duplicates.

Records of (band hash, document) are sorted into one run for each shard on disk; each part of the
shuffle takes one range of hashes from all runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.corpus.dedup.facts import Sharded
from tilewise.corpus.dedup.minhash import NO_SHINGLES, band_hashes
from tilewise.corpus.dedup.steps import Array, Made, Step, bounds, in_range, open_array

BAND: Final = np.dtype([("hash", "<u8"), ("document", "<i8")])
"""A document in a band's bucket; 16 bytes."""

PAIR: Final = np.dtype([("one", "<i8"), ("other", "<i8")])
"""Two documents, the smaller number first; 16 bytes."""

_CHUNK: Final = 1 << 15  # pairs, or documents, whose signatures are held at a time
_MOST_MODELS: Final = 64
_MOST_LINKS: Final = 4


@dataclass(frozen=True, slots=True)
class BandsOfShard:
    """The band hashes of one shard's documents that are still there, sorted."""

    signatures: Sharded
    levels: Path
    bands: int
    rows: int

    def __call__(self, part: int) -> Made:
        signatures = self.signatures.shard(part)
        start = int(self.signatures.starts[part])
        is_left = open_array(self.levels)[start : start + len(signatures)] == 0
        found = np.flatnonzero(is_left & (signatures[:, :8] != NO_SHINGLES).any(axis=1))
        hashes = band_hashes(signatures[found], self.bands, self.rows)
        run = np.empty(hashes.size, BAND)
        run["hash"] = hashes.ravel()
        run["document"] = np.repeat(found + start, self.bands)
        return Made({"run": np.sort(run, order=["hash", "document"])}, {"documents": len(found)})


@dataclass(frozen=True, slots=True)
class PairsOfRange:
    """Pairs from the buckets of one range of band hashes, with ``least`` values in common.

    All pairs of a bucket are looked at where it has at most ``bucket`` documents. In a larger one
    they are taken in the order of their texts' hashes, and each is put beside those before it that
    are like none before them, of which there are at most 64.
    """

    facts: Sharded
    signatures: Sharded
    runs: Step
    parts: int
    bucket: int
    least: int

    def __call__(self, part: int) -> Made:
        low, high = bounds(part, self.parts)
        shards = range(len(self.signatures.sizes))
        runs = (open_array(self.runs.path("run", shard)) for shard in shards)
        found = list(in_range(runs, "hash", low, high))
        rows = np.concatenate(found) if found else np.empty(0, BAND)
        rows = rows[np.lexsort((rows["document"], rows["hash"]))]
        kept = [np.empty(0, PAIR)]
        for starts, size in _buckets(rows["hash"]):
            if size > self.bucket:
                each = (rows["document"][start : start + size] for start in starts)
                kept += [self._large(members) for members in each]
                continue
            at_once = max(1, 2 * _CHUNK // (size * (size - 1)))
            for first in range(0, len(starts), at_once):
                places = starts[first : first + at_once, None] + np.arange(size)
                kept.append(self._alike(_all_pairs(rows["document"][places])))
        return Made({"pairs": unique_pairs(np.concatenate(kept))})

    def _alike(self, pairs: Array) -> Array:
        """Pairs whose signatures have ``least`` values in common."""
        pairs = unique_pairs(pairs)
        equal = self.signatures.take(pairs["one"]) == self.signatures.take(pairs["other"])
        return pairs[np.count_nonzero(equal, axis=1) >= self.least]

    def _large(self, members: NDArray[np.int64]) -> Array:
        """Pairs of a large bucket."""
        texts = self.facts.take(members)["exact"]
        members = members[np.lexsort((texts[:, 1], texts[:, 0]))]
        models = np.empty((0, self.signatures.take(members[:1]).shape[1]), np.uint32)
        numbers: list[int] = []
        linked: list[tuple[int, int]] = []
        for document, signature in self._with_signatures(members):
            equal = np.count_nonzero(models == signature, axis=1)
            nearest = np.argsort(-equal, kind="stable")[:_MOST_LINKS]
            near = [numbers[place] for place in nearest if equal[place] >= self.least]
            linked += [(min(document, one), max(document, one)) for one in near]
            if not near and len(numbers) < _MOST_MODELS:
                models = np.concatenate((models, signature[None]))
                numbers.append(document)
        return np.array(linked, PAIR)

    def _with_signatures(self, members: NDArray[np.int64]) -> Iterator[tuple[int, Array]]:
        for start in range(0, len(members), _CHUNK):
            chunk = members[start : start + _CHUNK]
            yield from zip(chunk.tolist(), self.signatures.take(chunk), strict=True)


@dataclass(frozen=True, slots=True)
class UniquePairs:
    """Pairs of one range of documents, each once, from all parts of the step before."""

    pairs: Step
    count: int
    parts: int
    documents: int

    def __call__(self, part: int) -> Made:
        low, high = bounds(part, self.parts, self.documents)
        runs = (open_array(self.pairs.path("pairs", one)) for one in range(self.count))
        found = list(in_range(runs, "one", low, high))
        return Made({"pairs": unique_pairs(np.concatenate(found or [np.empty(0, PAIR)]))})


def unique_pairs(pairs: Array) -> Array:
    """Pairs in order, each once."""
    pairs = pairs[np.lexsort((pairs["other"], pairs["one"]))]
    is_new = np.ones(len(pairs), np.bool_)
    is_new[1:] = pairs[1:] != pairs[:-1]
    return pairs[is_new]


def _buckets(hashes: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Runs of two and more equal hashes: where they start, those of one length together."""
    is_new = np.ones(len(hashes), np.bool_)
    is_new[1:] = hashes[1:] != hashes[:-1]
    starts = np.flatnonzero(is_new)
    sizes = np.diff(np.append(starts, len(hashes)))
    for size in np.unique(sizes):
        if size > 1:
            yield starts[sizes == size], int(size)


def _all_pairs(members: NDArray[np.int64]) -> Array:
    """All pairs of each row; numbers rise within a row."""
    one, other = np.triu_indices(members.shape[1], 1)
    pairs = np.empty(len(members) * len(one), PAIR)
    pairs["one"], pairs["other"] = members[:, one].ravel(), members[:, other].ravel()
    return pairs
