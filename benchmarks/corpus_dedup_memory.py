"""What do a million signatures take, from bands to clusters?

    python benchmarks/corpus_dedup_memory.py [--documents 1000000] [--memory 268435456]

Signatures are drawn at random, and one document in ten has those of another but for one value in
ten, as copies at 0.9 have. They go through the steps of a run that come after reading: bands
sorted on disk, pairs of each range of hashes, each pair once, union-find, in one process. Without
texts nothing is verified. Memory is the most of its own that the process held, less what it held at
the start; seconds are those of the processor.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.machine import processor
from tilewise.corpus.dedup.documents import DedupConfig
from tilewise.corpus.dedup.facts import FACTS, Sharded
from tilewise.corpus.dedup.pairs import BAND, BandsOfShard, PairsOfRange, UniquePairs
from tilewise.corpus.dedup.steps import Made, Step, open_array, partitions, run_step, write_array
from tilewise.corpus.dedup.union import UnionFind

SHARD: Final = 20_000
COPIES: Final = SHARD // 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--memory", type=int, default=1 << 28, help="bytes that a worker may hold")
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    print(
        f"{processor()} at the start; Python {platform.python_version()}, NumPy {np.__version__}."
    )
    with tempfile.TemporaryDirectory(dir=args.work) as work:
        measure(Path(work), args.documents // SHARD, DedupConfig(memory_bytes=args.memory))


@dataclass(frozen=True, slots=True)
class Drawn:
    """Signatures of one shard, the last tenth of them near the first ones."""

    values: int

    def __call__(self, part: int) -> Made:
        rng = np.random.default_rng(part)
        signatures = rng.integers(0, 2**32, (SHARD, self.values), dtype=np.uint32)
        is_kept = rng.random((COPIES, self.values)) < 0.9
        signatures[-COPIES:][is_kept] = signatures[:COPIES][is_kept]
        facts = np.zeros(SHARD, FACTS)
        facts["exact"] = facts["id"] = rng.integers(0, 2**64, (SHARD, 2), dtype=np.uint64)
        return Made({"facts": facts, "signatures": signatures})


def measure(work: Path, shards: int, cfg: DedupConfig) -> None:
    """Go through the steps, a line for each."""
    documents = shards * SHARD
    memory, last = Memory(), time.process_time()
    memory.start()

    def told(name: str, said: str) -> None:
        nonlocal last
        now = time.process_time()
        held = (memory.most - memory.first) / 2**20
        print(f"{name:<12} {now - last:6.1f} s  {held:6.0f} MiB at most so far  {said}", flush=True)
        last = now

    known = Step(work, "facts", "drawn")
    run_step(known, shards, Drawn(cfg.minhash.values), map)
    facts, signatures = (Sharded(known, kind, [SHARD] * shards) for kind in ("facts", "signatures"))
    told("drawn", f"{documents:,} signatures, {bytes_of(work) / documents:.0f} bytes each on disk")
    levels = work / "levels.npy"
    write_array(levels, np.zeros(documents, np.uint8))
    runs = Step(work, "band-runs", "")
    run_step(runs, shards, BandsOfShard(signatures, levels, cfg.bands, cfg.rows), map)
    told("bands", f"{bytes_of(work / runs.name) / documents:.0f} bytes a document on disk")
    parts = partitions(documents * cfg.bands * BAND.itemsize, cfg.memory_bytes)
    least = int(np.ceil((cfg.threshold - cfg.margin) * cfg.minhash.values))
    found = Step(work, "band-pairs", "")
    pairs = PairsOfRange(facts, signatures, runs, parts, cfg.bucket, least)
    run_step(found, parts, pairs, map)
    told("pairs", f"in {parts} parts")
    unique = Step(work, "pairs", "")
    fewer = partitions(bytes_of(work / found.name), cfg.memory_bytes)
    run_step(unique, fewer, UniquePairs(found, parts, fewer, documents), map)
    clusters = UnionFind(documents)
    for part in range(fewer):
        near = open_array(unique.path("pairs", part)).tolist()
        clusters.join_all(near, lambda one, other: one < other)
    clusters.settle()
    lost = int(np.count_nonzero(clusters.parents != np.arange(documents)))
    told(
        "clusters",
        f"{lost:,} of {shards * COPIES:,} copies found, {clusters.parents.nbytes:,} bytes",
    )


def bytes_of(folder: Path) -> int:
    """The size of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Memory(threading.Thread):
    """The most memory of its own that this process held; pages of mapped files are not its own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = self.first = self._now()

    def run(self) -> None:
        """Look every hundredth of a second."""
        while True:
            self.most = max(self.most, self._now())
            time.sleep(0.01)

    def _now(self) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
