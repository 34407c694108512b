"""The stages by name: what each needs before its shards, and what it does with one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from tilewise.corpus import dedup_stage, final_stage, image_stage
from tilewise.corpus.filter_full import filter_full
from tilewise.corpus.filter_text import filter_text
from tilewise.corpus.plan import Run
from tilewise.corpus.read_step import EXTRACT, READ, read_shard
from tilewise.corpus.scorers import from_files
from tilewise.corpus.stage_files import StageFolder, Told
from tilewise.corpus.steps import Outcome, Step, filtered, shard_key
from tilewise.runners.work import Runner
from tilewise.settings import plain

PRELIM_TEXT: Final = "prelim_text"
DEDUP: Final = "dedup"
IMAGE: Final = "image"
DETAILED_TEXT: Final = "detailed_text"
FINAL: Final = "final"

STAGES: Final = (READ, EXTRACT, PRELIM_TEXT, DEDUP, IMAGE, DETAILED_TEXT, FINAL)
"""The stages in the order of the work.

Source: OmniCorpus (arXiv 2406.08418), the pipeline; dedup comes before images, as its appendix
advises.
"""

BEFORE: Final[Mapping[str, str]] = dict(zip(STAGES[1:], STAGES, strict=False))
"""The stage whose documents a stage takes."""

ShardWork = Callable[[int], list[Outcome]]
"""Does a shard for one stage, or for those that are done in one pass."""


def open_stage(run: Run, stages: tuple[str, ...]) -> ShardWork:
    """Make the work of a stage ready, in the process that does it."""
    if stages[-1] in (READ, EXTRACT):
        return partial(read_shard, run, stages=stages)
    return _OPEN[stages[-1]](run)


def prepare(run: Run, stage: str, runner: Runner, told: Told) -> None:
    """Do what a stage needs of all shards together before it works on one."""
    if stage in _PREPARE:
        _PREPARE[stage](run, runner, told)


def count_shards(run: Run, stage: str) -> int:
    """Shards that a stage leaves."""
    return len(final_stage.groups(run)) if stage == FINAL else len(run.shards)


def _filter(run: Run, stage: str, step: Step, settings: object) -> ShardWork:
    """A stage that judges documents one by one."""

    def work(shard: int) -> list[Outcome]:
        key = shard_key(run, stage, shard, [plain(settings)], BEFORE[stage])
        done = StageFolder(run.folder(stage)).believed(shard, key)
        if done is not None:
            return [Outcome(stage=stage, shard=shard, marker=done, was_done=True)]
        marker = filtered(run, stage, shard, key, step, BEFORE[stage])
        return [Outcome(stage=stage, shard=shard, marker=marker)]

    return work


def _prelim_text(run: Run) -> ShardWork:
    cfg = run.cfg.prelim_text
    return _filter(run, PRELIM_TEXT, partial(filter_text, cfg=cfg), cfg)


def _detailed_text(run: Run) -> ShardWork:
    cfg = run.cfg.detailed_text
    step = partial(filter_full, cfg=cfg, scorers=from_files(run.cfg.scorers))
    return _filter(run, DETAILED_TEXT, step, [cfg, run.cfg.scorers])


_OPEN: Final[Mapping[str, Callable[[Run], ShardWork]]] = {
    PRELIM_TEXT: _prelim_text,
    DEDUP: dedup_stage.open_dedup,
    IMAGE: image_stage.open_images,
    DETAILED_TEXT: _detailed_text,
    FINAL: final_stage.WriteGroup,
}

_PREPARE: Final[Mapping[str, Callable[[Run, Runner, Told], None]]] = {
    DEDUP: dedup_stage.find,
    IMAGE: image_stage.find,
}
