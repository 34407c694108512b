"""A run over the golden archive, and what became of each of its pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tilewise.corpus.config import CorpusConfig, OutputConfig, RunConfig
from tilewise.corpus.crawl.raw import document_id
from tilewise.corpus.pipeline import Runners, build
from tilewise.corpus.plan import Run, open_run
from tilewise.corpus.stage_files import StageFolder, read_rows
from tilewise.corpus.stages import FINAL, STAGES
from tilewise.runners import local

Row = dict[str, Any]

SHARD_BYTES = 600_000
"""Makes eight shards of the golden archive."""


def config(**changes: Any) -> CorpusConfig:
    """Settings of small shards, and no file for each image."""
    given = {
        "run": RunConfig(shard_bytes=SHARD_BYTES),
        "output": OutputConfig(forms=("jsonl",), image_files=False),
    }
    return CorpusConfig(**{**given, **changes})


def built(
    out: Path, inputs: list[str], cfg: CorpusConfig | None = None, runners: Runners | None = None
) -> Run:
    """A run from beginning to end."""
    run, _ = open_run(out, inputs, cfg or config())
    build(run, runners or (lambda _: local.run))
    return run


def verdicts(run: Run) -> dict[str, tuple[str, str]]:
    """Stage and reason by a document's id; ``final`` and ``ok`` for those that are kept."""
    found: dict[str, tuple[str, str]] = {}
    for stage in STAGES[:-1]:
        for shard in range(len(run.shards)):
            for row in read_rows(StageFolder(run.folder(stage)).file("dropped", shard)):
                found[row["id"]] = stage, row["reason"]
    for row in final_rows(run):
        found[row["id"]] = FINAL, "ok"
    return found


def final_rows(run: Run) -> list[Row]:
    """The documents of the last stage."""
    folder = StageFolder(run.folder(FINAL))
    return [row for path in sorted(folder.path.glob("part-*")) for row in read_rows(path)]


def expected(path: Path) -> dict[str, Row]:
    """The golden's rows by the id of their page."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {document_id(row["url"], row["warc_date"]): row for row in rows}
