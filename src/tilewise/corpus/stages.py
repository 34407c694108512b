"""The stages by name: what each needs before its shards, and what it does with one of them.

A process imports the stages that it works for: images and the network take as long to load as some
hundred pages to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from tilewise.corpus.crawl.step import EXTRACT, READ, read_shard
from tilewise.corpus.filters.preliminary import filter_text
from tilewise.corpus.plan import Run
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
    if stage != FINAL:
        return len(run.shards)
    from tilewise.corpus.final_stage import groups  # noqa: PLC0415 - see above

    return len(groups(run))


def finish(run: Run, counts: Mapping[str, Any]) -> None:
    """Write what goes along with the output, once all of its shards are there."""
    from tilewise.corpus.final_stage import write_indexes  # noqa: PLC0415 - see above

    write_indexes(run, counts)


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


def _dedup(run: Run) -> ShardWork:
    from tilewise.corpus.dedup.stage import open_dedup  # noqa: PLC0415 - see above

    return open_dedup(run)


def _find_duplicates(run: Run, runner: Runner, told: Told) -> None:
    from tilewise.corpus.dedup.stage import find  # noqa: PLC0415 - see above

    find(run, runner, told)


def _images(run: Run) -> ShardWork:
    from tilewise.corpus.images.stage import open_images  # noqa: PLC0415 - see above

    return open_images(run)


def _find_images(run: Run, runner: Runner, told: Told) -> None:
    from tilewise.corpus.images.stage import find  # noqa: PLC0415 - see above

    find(run, runner, told)


def _detailed_text(run: Run) -> ShardWork:
    from tilewise.corpus.filters.detailed import filter_full  # noqa: PLC0415 - see above
    from tilewise.corpus.filters.scorers import from_files  # noqa: PLC0415

    cfg = run.cfg.detailed_text
    step = partial(filter_full, cfg=cfg, scorers=from_files(run.cfg.scorers))
    return _filter(run, DETAILED_TEXT, step, [cfg, run.cfg.scorers])


def _final(run: Run) -> ShardWork:
    from tilewise.corpus.final_stage import WriteGroup  # noqa: PLC0415 - see above

    return WriteGroup(run)


_OPEN: Final[Mapping[str, Callable[[Run], ShardWork]]] = {
    PRELIM_TEXT: _prelim_text,
    DEDUP: _dedup,
    IMAGE: _images,
    DETAILED_TEXT: _detailed_text,
    FINAL: _final,
}

_PREPARE: Final[Mapping[str, Callable[[Run, Runner, Told], None]]] = {
    DEDUP: _find_duplicates,
    IMAGE: _find_images,
}
