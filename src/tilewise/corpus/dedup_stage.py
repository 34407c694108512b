"""The stage ``dedup``: what is found over all shards, applied to each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tilewise.corpus.dedup import Duplicates, deduplicated, find_duplicates
from tilewise.corpus.dedup_steps import Step
from tilewise.corpus.over import RunnerMap
from tilewise.corpus.plan import Run
from tilewise.corpus.settings import plain
from tilewise.corpus.stage_files import StageFolder, Told, read_rows, sha256_of, write_whole
from tilewise.corpus.steps import Outcome, ShardOutput, shard_key
from tilewise.errors import DataError
from tilewise.records import Dropped
from tilewise.runners.work import Runner
from tilewise.shards.documents import from_row

STAGE: Final = "dedup"
BEFORE: Final = "prelim_text"
WORK: Final = "work"
FOUND: Final = "found.json"
"""What was found over all shards, in numbers."""


def find(run: Run, runner: Runner, told: Told) -> None:
    """Find duplicates over all shards; what is on disk of it already is not done again."""
    work = run.folder(STAGE) / WORK
    found = find_duplicates(_parts(run), work, run.cfg.dedup, RunnerMap(runner), told=told)
    said = {name: getattr(found, name) for name in ("documents", "candidates", "pairs")}
    said |= {"lost": dict(found.lost), "state_bytes": found.state_bytes}
    write_whole(run.folder(STAGE) / FOUND, json.dumps(said, indent=1).encode())


def apply(run: Run, shard: int) -> list[Outcome]:
    """Drop the duplicates of one shard.

    Raises:
        DataError: the decisions are missing, or do not fit the shard.
    """
    step = Step(run.folder(STAGE) / WORK, "decisions", "")
    path = step.path("decisions", shard)
    if not path.exists():
        raise DataError(f"{path} is missing; run tilewise corpus build again, which makes it anew.")
    settings = [plain(run.cfg.dedup), sha256_of(path)]
    key = shard_key(run, STAGE, shard, settings, BEFORE)
    done = StageFolder(run.folder(STAGE)).believed(shard, key)
    if done is not None:
        return [Outcome(stage=STAGE, shard=shard, marker=done, was_done=True)]
    decisions = Duplicates(step, 0, {}, 0, 0, 0).of(shard)
    documents = (from_row(row) for row in read_rows(_parts(run)[shard]))
    with ShardOutput(run, STAGE, shard, key) as out:
        for verdict in deduplicated(documents, decisions, run.cfg.dedup):
            if isinstance(verdict, Dropped):
                out.drop(verdict.document, verdict)
            else:
                out.keep(verdict, verdict)
        return [Outcome(stage=STAGE, shard=shard, marker=out.commit())]


def _parts(run: Run) -> list[Path]:
    folder = StageFolder(run.folder(BEFORE))
    return [folder.file("part", shard) for shard in range(len(run.shards))]
