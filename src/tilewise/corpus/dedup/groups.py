"""Documents with an equal 128-bit hash: a shuffle on disk, of each group the best is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.corpus.dedup.facts import Sharded, best_first
from tilewise.corpus.dedup.steps import (
    Array,
    Made,
    Map,
    Step,
    Told,
    bounds,
    in_range,
    key_after,
    open_array,
    partitions,
    run_step,
)
from tilewise.corpus.stage_files import Marker

KEYED: Final = np.dtype([("key", "<u8"), ("rest", "<u8"), ("document", "<i8")])
"""A document with the two halves of a hash of it; 24 bytes."""

LOST: Final = np.dtype([("document", "<i8"), ("kept", "<i8")])
"""A document that goes, and the one that stays for it."""


@dataclass(frozen=True, slots=True)
class _RunOfShard:
    """Sorts the hashes of one shard's documents that are still there."""

    facts: Sharded
    field: str
    levels: Path

    def __call__(self, part: int) -> Made:
        hashes = self.facts.shard(part)[self.field]
        start = int(self.facts.starts[part])
        is_left = open_array(self.levels)[start : start + len(hashes)] == 0
        rows = np.flatnonzero(is_left & (hashes != 0).any(axis=1))
        run = np.empty(len(rows), KEYED)
        run["key"], run["rest"] = hashes[rows, 0], hashes[rows, 1]
        run["document"] = rows + start
        return Made({"run": np.sort(run, order=["key", "rest", "document"])})


@dataclass(frozen=True, slots=True)
class _GroupsOfRange:
    """Finds equal hashes within one range of them, over the runs of all shards."""

    facts: Sharded
    runs: Step
    parts: int

    def __call__(self, part: int) -> Made:
        low, high = bounds(part, self.parts)
        shards = range(len(self.facts.sizes))
        runs = (open_array(self.runs.path("run", shard)) for shard in shards)
        found = list(in_range(runs, "key", low, high))
        rows = np.concatenate(found) if found else np.empty(0, KEYED)
        order = np.lexsort((rows["document"], rows["rest"], rows["key"]))
        return Made({"lost": lost(rows[order], self.facts)})


def group(
    field: str,
    facts: Sharded,
    levels: Path,
    made: Sequence[Marker],
    memory_bytes: int,
    run: Map,
    told: Told | None = None,
) -> tuple[Step, list[Marker]]:
    """Find documents that share a hash with a better one.

    Args:
        field: the hash, one of ``facts.FACTS``.
        facts: of all documents.
        levels: a file with 0 for each document that is still there.
        made: the markers of all that this depends on.
        memory_bytes: what a worker may hold.
        run: where it runs.
        told: told of progress.

    Returns:
        The step whose parts have arrays of ``LOST`` by the name ``lost``, and their markers.
    """
    runs = Step(facts.step.work, f"{field}-runs", key_after(field, made))
    sort = _RunOfShard(facts, field, levels)
    markers = run_step(runs, len(facts.sizes), sort, run, told)
    parts = partitions(len(facts) * KEYED.itemsize, memory_bytes)
    groups = Step(facts.step.work, f"{field}-groups", key_after(parts, made, markers))
    return groups, run_step(groups, parts, _GroupsOfRange(facts, runs, parts), run, told)


def lost(rows: NDArray[np.void], facts: Sharded) -> Array:
    """Of rows sorted by hash, each group's members but the best."""
    is_same = np.zeros(len(rows), np.bool_)
    is_same[1:] = (rows["key"][1:] == rows["key"][:-1]) & (rows["rest"][1:] == rows["rest"][:-1])
    is_member = is_same.copy()
    is_member[:-1] |= is_same[1:]
    groups, documents = np.cumsum(~is_same)[is_member], rows["document"][is_member]
    if not len(documents):
        return np.empty(0, LOST)
    best = best_first(facts.take(documents))
    order = best[np.argsort(groups[best], kind="stable")]
    groups, documents = groups[order], documents[order]
    is_first = np.ones(len(groups), np.bool_)
    is_first[1:] = groups[1:] != groups[:-1]
    kept = documents[np.maximum.accumulate(np.where(is_first, np.arange(len(groups)), 0))]
    found = np.empty(int(np.count_nonzero(~is_first)), LOST)
    found["document"], found["kept"] = documents[~is_first], kept[~is_first]
    return np.sort(found, order="document")
