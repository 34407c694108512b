"""Deduplication of documents over shards: equal texts, one address, near-equal texts.

A global step in sub-steps, each a function of one shard or of one range of hashes, so that it runs
anywhere and leaves the same bytes. Of each group the latest capture stays, of equally late ones
the longer text, then the smaller id. What one level removed, the next does not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Final, Literal

import numpy as np

from tilewise.corpus.dedup.facts import (
    KIND,
    FactsOfShard,
    Sharded,
    check_kind,
    id_text,
)
from tilewise.corpus.dedup.groups import group
from tilewise.corpus.dedup.minhash import MinHashConfig
from tilewise.corpus.dedup.pairs import BAND, PAIR, BandsOfShard, PairsOfRange, UniquePairs
from tilewise.corpus.dedup.steps import (
    Array,
    Made,
    Map,
    Read,
    Step,
    Told,
    key_after,
    open_array,
    partitions,
    read_documents,
    run_step,
    stamp,
    write_array,
)
from tilewise.corpus.dedup.union import UnionFind
from tilewise.corpus.dedup.verify import SetsOfShard, Verified
from tilewise.corpus.stage_files import Marker, StageFolder, key_of, write_whole
from tilewise.errors import ConfigError, DataError
from tilewise.records import Document, Dropped

Level = Literal["exact", "url", "images", "near"]

LEVELS: Final[tuple[Level, ...]] = ("exact", "url", "images", "near")
"""In the order in which they are gone through."""

STATE: Final = "state"
"""The folder of what is known of all documents at some point of a run."""

STAGE: Final = "dedup"
REASON: Final = "duplicate"

DECISION: Final = np.dtype([("level", "u1"), ("kept", "<u8", 2)])
"""A document: 0 where it stays, else 1 + the place of its level, and the id of the one kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupConfig:
    """What counts as a duplicate, and what a worker may hold.

    ``exact``, ``url``, ``image_set``, ``near``: levels that are gone through. ``threshold``: least
    Jaccard similarity of near-duplicates. ``bands`` of ``rows`` values each find candidates: 16 x
    7 meet of pairs at 0.8 97.7 %, 14 x 8 (as FineWeb has them) 92.4 %. ``margin``: candidates with
    an estimate below the threshold less this are not verified; 0.15 is four standard deviations.
    ``bucket``: documents in a band's bucket up to which all pairs of them are looked at.

    Source: OmniCorpus (arXiv 2406.08418) for the threshold and the order of keeping; the rest is
    not published.
    """

    exact: bool = True
    url: bool = True
    image_set: bool = False
    near: bool = True
    threshold: float = 0.8
    bands: int = 16
    rows: int = 7
    margin: float = 0.15
    bucket: int = 16
    memory_bytes: int = 1 << 28
    minhash: MinHashConfig = field(default_factory=MinHashConfig)

    def __post_init__(self) -> None:
        if not (0 < self.threshold <= 1 and 0 <= self.margin <= 1):
            raise ConfigError(
                f"threshold is {self.threshold} and margin is {self.margin}; above 0 to 1, and 0 "
                "to 1 are allowed."
            )
        if min(self.bands, self.rows) < 1 or self.bands * self.rows > self.minhash.values:
            raise ConfigError(
                f"bands is {self.bands} and rows is {self.rows}; from 1 up, and their product at "
                f"most the {self.minhash.values} values of a signature is allowed."
            )
        if self.bucket < 2 or self.memory_bytes < 1 << 16:
            raise ConfigError(
                f"bucket is {self.bucket} and memory_bytes is {self.memory_bytes:,}; from 2 and "
                "from 65,536 up are allowed."
            )


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a document: ``level`` is None where it stays, ``kept`` the one kept."""

    level: Level | None
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found: decisions of each shard in the order of its rows, and counts.

    ``lost`` are documents removed by level; ``candidates`` pairs that were verified and ``pairs``
    those found near; ``state_bytes`` is what this process held for each document.
    """

    step: Step
    documents: int
    lost: Mapping[Level, int]
    candidates: int
    pairs: int
    state_bytes: float

    def of(self, shard: int) -> Iterator[Decision]:
        """The decisions on a shard's documents, in their order; raises DataError if damaged."""
        for level, kept in open_array(self.step.path("decisions", shard)):
            yield Decision(LEVELS[level - 1], id_text(kept)) if level else Decision(None)


def find_duplicates(
    shards: Sequence[Path],
    work: Path,
    cfg: DedupConfig | None = None,
    run: Map = map,
    *,
    read: Read = read_documents,
    told: Told | None = None,
) -> Duplicates:
    """Find the documents that are to go as others say the same.

    After a kill the same call goes on where it stopped. Results do not depend on how the work is
    shared out, nor on the order of shards.

    Args:
        shards: files of documents.
        work: a folder of its own; about 1.1 kB a document lie there.
        cfg: what counts as a duplicate.
        run: where parts of the work run, such as the builtin ``map``.
        read: reads a file.
        told: told of progress.

    Raises:
        DataError: a shard cannot be read, or a file in ``work`` is damaged.
        ConfigError: ``work`` cannot be written to, or holds signatures of another kind.
    """
    return _Run(tuple(shards), work, cfg or DedupConfig(), run, read, told).result()


def deduplicated(
    documents: Iterable[Document], decisions: Iterable[Decision], cfg: DedupConfig
) -> Iterator[Document | Dropped]:
    """Documents of a shard, those that are to go as dropped ones.

    ``value`` of these is the level and the id of the document that is kept.

    Raises:
        DataError: there are more documents than decisions, or fewer.
    """
    for document, decision in zip_longest(documents, decisions):
        if document is None or decision is None:
            raise DataError(
                "a shard's documents and the decisions on duplicates among them are not equally "
                "many: they are of two runs. Find duplicates in these shards, in a new folder."
            )
        if decision.level is None:
            yield document
        else:
            yield Dropped(
                id=document.id,
                url=document.url,
                stage=STAGE,
                reason=REASON,
                value=f"{decision.level} {decision.kept}",
                threshold=cfg.threshold if decision.level == "near" else None,
                document=document,
            )


class _Run:
    """One run: the state of all documents, and the sub-steps one after another."""

    def __init__(
        self,
        shards: tuple[Path, ...],
        work: Path,
        cfg: DedupConfig,
        run: Map,
        read: Read,
        told: Told | None,
    ) -> None:
        self._shards, self._work, self._cfg = shards, work, cfg
        self._run, self._read, self._told = run, read, told
        self._made: list[Marker] = []
        self._lost: dict[Level, int] = {}
        self._candidates = self._pairs = 0

    def result(self) -> Duplicates:
        """Go through all sub-steps."""
        StageFolder(self._work / STATE).clear(shards_from=1)  # what a kill left half written
        self._facts, self._signatures = self._known()
        documents = len(self._facts)
        self._clusters = UnionFind(documents)
        self._levels = np.zeros(documents, np.uint8)
        wanted = {"exact": self._cfg.exact, "url": self._cfg.url, "images": self._cfg.image_set}
        for number, level in enumerate(LEVELS, start=1):
            if level == "near":
                found = self._near() if self._cfg.near else 0
            else:
                found = self._equal(level, number) if wanted[level] else 0
            self._lost[level] = found
        step = self._decided()
        held = self._clusters.parents.nbytes + self._levels.nbytes
        return Duplicates(
            step, documents, self._lost, self._candidates, self._pairs, held / max(1, documents)
        )

    def _known(self) -> tuple[Sharded, Sharded]:
        """Facts and signatures of all documents."""
        cfg = self._cfg.minhash
        step = Step(self._work, "facts", key_of({"kind": KIND, **asdict(cfg)}))
        self._check_kind(step)
        make = FactsOfShard(self._shards, self._read, cfg, KIND)
        keys = [stamp(path) for path in self._shards]
        self._made = run_step(step, len(keys), make, self._run, self._told, keys)
        sizes = [marker["counts"]["documents"] for marker in self._made]
        return Sharded(step, "facts", sizes), Sharded(step, "signatures", sizes)

    def _check_kind(self, step: Step) -> None:
        """Write down by what signatures are made, or see that those in the folder are the same."""
        path = step.folder.path / "kind.txt"
        if path.is_file():
            check_kind(KIND, path.read_text("utf-8", "replace").strip(), str(step.folder.path))
        else:
            write_whole(path, KIND.encode() + b"\n")

    def _equal(self, level: Level, number: int) -> int:
        """Let documents go that share a hash; how many."""
        path = self._saved(f"before-{level}", self._levels)
        step, markers = group(
            level, self._facts, path, self._made, self._cfg.memory_bytes, self._run, self._told
        )
        self._made += markers
        for part in range(len(markers)):
            lost = open_array(step.path("lost", part))
            self._clusters.parents[lost["document"]] = lost["kept"]
            self._levels[lost["document"]] = number
        return int(np.count_nonzero(self._levels == number))

    def _near(self) -> int:
        """Let near-duplicates go; how many."""
        pairs, markers = self._candidate_pairs()
        found = self._verified(pairs, markers)
        key = _Keys(self._facts)
        for part in range(len(markers)):
            near = open_array(found.path("near", part))
            self._clusters.join_all(near.tolist(), key.is_better)
        number = 1 + LEVELS.index("near")
        for part in range(len(markers)):
            near = open_array(found.path("near", part))
            documents = np.concatenate((near["one"], near["other"]))
            documents = documents[self._clusters.parents[documents] != documents]
            self._levels[documents] = number
        return int(np.count_nonzero(self._levels == number))

    def _candidate_pairs(self) -> tuple[Step, list[Marker]]:
        """Pairs that share a band and are alike by their signatures, each once."""
        cfg, shards = self._cfg, len(self._shards)
        path = self._saved("before-near", self._levels)
        shape = (cfg.bands, cfg.rows)
        runs = Step(self._work, "band-runs", key_after(shape, self._made))
        bands = BandsOfShard(self._signatures, path, *shape)
        markers = run_step(runs, shards, bands, self._run, self._told)
        total = sum(marker["counts"]["documents"] for marker in markers) * cfg.bands
        parts = partitions(total * BAND.itemsize, cfg.memory_bytes)
        least = int(np.ceil(max(0.0, cfg.threshold - cfg.margin) * cfg.minhash.values))
        shuffle = (parts, cfg.bucket, least)
        step = Step(self._work, "band-pairs", key_after(shuffle, self._made, markers))
        make = PairsOfRange(self._facts, self._signatures, runs, *shuffle)
        markers = run_step(step, parts, make, self._run, self._told)
        count = sum(told["rows"] for marker in markers for told in marker["files"].values())
        fewer = partitions(count * PAIR.itemsize, cfg.memory_bytes)
        unique = Step(self._work, "pairs", key_after(fewer, self._made, markers))
        one_each = UniquePairs(step, parts, fewer, len(self._facts))
        return unique, run_step(unique, fewer, one_each, self._run, self._told)

    def _verified(self, pairs: Step, markers: list[Marker]) -> Step:
        """Pairs that are near by their sets of shingles."""
        cfg = self._cfg
        is_wanted = np.zeros(len(self._facts), np.bool_)
        for part in range(len(markers)):
            array = open_array(pairs.path("pairs", part))
            is_wanted[array["one"]] = is_wanted[array["other"]] = True
        wanted = self._saved("to-verify", is_wanted)
        sets = Step(self._work, "sets", key_after("sets", self._made, markers))
        read = SetsOfShard(self._facts, self._shards, self._read, cfg.minhash, wanted)
        held = run_step(sets, len(self._shards), read, self._run, self._told)
        step = Step(self._work, "near", key_after(cfg.threshold, markers, held))
        compare = Verified(pairs, sets, self._facts, cfg.threshold)
        done = run_step(step, len(markers), compare, self._run, self._told)
        self._candidates = sum(marker["counts"]["candidates"] for marker in done)
        self._pairs = sum(marker["counts"]["near"] for marker in done)
        self._made += done
        return step

    def _decided(self) -> Step:
        """What becomes of each shard's documents, on disk."""
        self._clusters.settle()
        levels = self._saved("levels", self._levels)
        parents = self._saved("parents", self._clusters.parents)
        step = Step(self._work, "decisions", key_after("decisions", self._made))
        make = _DecisionsOfShard(self._facts, levels, parents)
        run_step(step, len(self._shards), make, self._run, self._told)
        return step

    def _saved(self, name: str, array: Array) -> Path:
        """A state of all documents as a file that workers open."""
        path = self._work / STATE / f"{name}.npy"
        write_array(path, array)
        return path


@dataclass(frozen=True, slots=True)
class _DecisionsOfShard:
    """Writes down what becomes of one shard's documents."""

    facts: Sharded
    levels: Path
    parents: Path

    def __call__(self, part: int) -> Made:
        start, size = int(self.facts.starts[part]), self.facts.sizes[part]
        parents = open_array(self.parents)
        made = np.zeros(size, DECISION)
        made["level"] = open_array(self.levels)[start : start + size]
        rows = np.flatnonzero(made["level"])
        made["kept"][rows] = self.facts.take(parents[rows + start])["id"]
        return Made({"decisions": made})


class _Keys:
    """The order of documents by what is to be kept, without holding it."""

    def __init__(self, facts: Sharded) -> None:
        self._facts = facts
        self._key: Callable[[int], tuple[int, ...]] = lru_cache(maxsize=1 << 16)(self._found)

    def is_better(self, one: int, other: int) -> bool:
        """Whether a document is kept rather than another."""
        return self._key(one) > self._key(other)

    def _found(self, document: int) -> tuple[int, ...]:
        part = int(np.searchsorted(self._facts.starts, document, side="right")) - 1
        row = self._facts.shard(part)[document - int(self._facts.starts[part])]
        least = (*row["id"].tolist(), *row["exact"].tolist(), document)
        return int(row["captured"]), int(row["length"]), *(-one for one in least)
