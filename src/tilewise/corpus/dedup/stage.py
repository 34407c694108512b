"""The stage ``dedup``: what is found over all shards, applied to each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tilewise.corpus.dedup.counts_file import load_counts, save_counts
from tilewise.corpus.dedup.documents import Duplicates, deduplicated, find_duplicates
from tilewise.corpus.dedup.lines import repeated_lines, without_repeated
from tilewise.corpus.dedup.steps import Step, read_documents
from tilewise.corpus.over import RunnerMap
from tilewise.corpus.plan import Run
from tilewise.corpus.stage_files import StageFolder, Told, sha256_of, write_whole
from tilewise.corpus.steps import Outcome, ShardOutput, shard_key
from tilewise.errors import DataError
from tilewise.records import Document, Dropped
from tilewise.runners.work import Runner
from tilewise.settings import plain

STAGE: Final = "dedup"
BEFORE: Final = "prelim_text"
WORK: Final = "work"
FOUND: Final = "found.json"
"""What was found over all shards, in numbers."""

LINES: Final = "lines.json"
"""Where the counts of lines lie."""


def find(run: Run, runner: Runner, told: Told) -> None:
    """Find duplicates over all shards; what is on disk of it already is not done again."""
    work = run.folder(STAGE) / WORK
    found = find_duplicates(_parts(run), work, run.cfg.dedup, RunnerMap(runner), told=told)
    said = {name: getattr(found, name) for name in ("documents", "candidates", "pairs")}
    said |= {"lost": dict(found.lost), "state_bytes": found.state_bytes}
    write_whole(run.folder(STAGE) / FOUND, json.dumps(said, indent=1).encode())
    if run.cfg.lines is not None:
        shards = [_decisions(run, shard) for shard in range(len(run.shards))]
        lines = repeated_lines(
            shards, work, run.cfg.lines, RunnerMap(runner), read=Kept(run), told=told
        )
        save_counts(run.folder(STAGE) / LINES, lines)


@dataclass(frozen=True, slots=True)
class Kept:
    """Reads the documents of a shard that are no duplicates, given its file of decisions."""

    run: Run

    def __call__(self, decisions: Path) -> Iterator[Document]:
        """The documents, in order."""
        shard = int(decisions.stem.rpartition("-")[2])
        for verdict in _deduplicated(self.run, shard):
            if not isinstance(verdict, Dropped):
                yield verdict


def open_dedup(run: Run) -> Callable[[int], list[Outcome]]:
    """The work on one shard: duplicates go, then lines that their site repeats."""
    cfg = run.cfg.lines
    lines = None if cfg is None else load_counts(run.folder(STAGE) / LINES)

    def work(shard: int) -> list[Outcome]:
        settings = [plain(run.cfg.dedup), sha256_of(_decisions(run, shard))]
        settings += [] if lines is None else [plain(cfg), lines.step.key]
        key = shard_key(run, STAGE, shard, settings, BEFORE)
        done = StageFolder(run.folder(STAGE)).believed(shard, key)
        if done is not None:
            return [Outcome(stage=STAGE, shard=shard, marker=done, was_done=True)]
        with ShardOutput(run, STAGE, shard, key) as out:
            for verdict in _deduplicated(run, shard):
                if isinstance(verdict, Dropped):
                    out.drop(verdict.document, verdict)
                elif cfg is None or lines is None:
                    out.keep(verdict, verdict)
                else:
                    out.keep(verdict, without_repeated(verdict, lines, cfg))
            return [Outcome(stage=STAGE, shard=shard, marker=out.commit())]

    return work


def _deduplicated(run: Run, shard: int) -> Iterator[Document | Dropped]:
    decisions = Duplicates(_step(run), 0, {}, 0, 0, 0).of(shard)
    return deduplicated(read_documents(_parts(run)[shard]), decisions, run.cfg.dedup)


def _decisions(run: Run, shard: int) -> Path:
    """The file of what becomes of a shard's documents; raises DataError if it is not there."""
    path = _step(run).path("decisions", shard)
    if not path.exists():
        raise DataError(f"{path} is missing; run tilewise corpus build again, which makes it anew.")
    return path


def _step(run: Run) -> Step:
    return Step(run.folder(STAGE) / WORK, "decisions", "")


def _parts(run: Run) -> list[Path]:
    folder = StageFolder(run.folder(BEFORE))
    return [folder.file("part", shard) for shard in range(len(run.shards))]
