"""In how many documents things occur, over all shards: a shuffle of (key, count) on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.corpus.dedup.steps import (
    Array,
    Made,
    Map,
    Read,
    Step,
    Told,
    bounds,
    in_range,
    keep_open,
    key_after,
    open_array,
    partitions,
    run_step,
    stamp,
)
from tilewise.records import Document

COUNT: Final = np.dtype([("key", "<u8"), ("count", "<i8")])
"""A key and the number of documents that have it; 16 bytes."""

KeysOf = Callable[[Document], Iterable[int]]
"""The keys of a document, each below 2**64; what it says twice counts once."""

_HELD: Final = 1 << 20  # keys held before they are counted


@dataclass(frozen=True, slots=True)
class _CountsOfShard:
    """Counts one shard's keys."""

    shards: tuple[Path, ...]
    read: Read
    keys: KeysOf

    def __call__(self, part: int) -> Made:
        counted = np.empty(0, COUNT)
        held: list[int] = []
        for document in self.read(self.shards[part]):
            held += set(self.keys(document))
            if len(held) >= _HELD:
                counted, held = _summed([counted, _counted(held)]), []
        return Made({"run": _summed([counted, _counted(held)])})


@dataclass(frozen=True, slots=True)
class _SumsOfRange:
    """Sums the counts of one range of keys; rare ones are left out."""

    runs: Step
    shards: int
    parts: int
    least: int

    def __call__(self, part: int) -> Made:
        low, high = bounds(part, self.parts)
        runs = (open_array(self.runs.path("run", shard)) for shard in range(self.shards))
        counts = _summed(list(in_range(runs, "key", low, high)))
        return Made({"counts": counts[counts["count"] >= self.least]})


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of all keys, on disk; sent to workers as it is."""

    step: Step
    parts: int

    def __call__(self, keys: Sequence[int]) -> NDArray[np.int64]:
        """The count of each key, 0 where it is rare or unknown.

        Raises:
            DataError: a file is damaged.
        """
        found = np.zeros(len(keys), np.int64)
        asked = np.array(keys, np.uint64)
        parts = np.array([(key * self.parts) >> 64 for key in keys], np.int64)
        for part in np.unique(parts).tolist():
            places = np.flatnonzero(parts == part)
            counts = keep_open(self.step.path("counts", part))
            rows = np.searchsorted(counts["key"], asked[places])
            is_there = rows < len(counts)
            places, rows = places[is_there], rows[is_there]
            is_same = counts["key"][rows] == asked[places]
            found[places[is_same]] = counts["count"][rows[is_same]]
        return found


def count_keys(
    name: str,
    shards: Sequence[Path],
    work: Path,
    keys: KeysOf,
    run: Map,
    *,
    settings: object,
    least: int = 1,
    memory_bytes: int,
    read: Read,
    told: Told | None = None,
) -> Counts:
    """Count in how many documents each key occurs.

    Args:
        name: of the steps.
        shards, work, run, read, told: as ``dedup.find_duplicates``.
        keys: tells a document's keys; picklable.
        settings: plain values that ``keys`` depends on.
        least: keys in fewer documents are left out.
        memory_bytes: what a worker may hold.
    """
    runs = Step(work, f"{name}-runs", key_after(settings))
    count = _CountsOfShard(tuple(shards), read, keys)
    stamps = [stamp(path) for path in shards]
    markers = run_step(runs, len(shards), count, run, told, stamps)
    rows = sum(told["rows"] for marker in markers for told in marker["files"].values())
    parts = partitions(rows * COUNT.itemsize, memory_bytes)
    step = Step(work, f"{name}-counts", key_after((parts, least), markers))
    run_step(step, parts, _SumsOfRange(runs, len(shards), parts, least), run, told)
    return Counts(step, parts)


def key_of_text(*parts: str) -> int:
    """64 bits of some texts."""
    data = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def _counted(keys: list[int]) -> Array:
    counted = np.empty(len(keys), COUNT)
    counted["key"], counted["count"] = np.array(keys, np.uint64), 1
    return counted


def _summed(counts: list[Array]) -> Array:
    """Counts of equal keys added, in the order of keys."""
    rows = np.concatenate(counts or [np.empty(0, COUNT)])
    rows = rows[np.argsort(rows["key"], kind="stable")]
    is_new = np.ones(len(rows), np.bool_)
    is_new[1:] = rows["key"][1:] != rows["key"][:-1]
    starts = np.flatnonzero(is_new)
    summed = rows[starts]
    if len(starts):
        summed["count"] = np.add.reduceat(rows["count"], starts)
    return summed
