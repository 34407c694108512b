"""A run from crawl to shards, stage by stage; what is done stays done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from types import ModuleType
from typing import Any, Final, cast

from tilewise.corpus.crawl.step import EXTRACT, READ
from tilewise.corpus.page_watch import has_culprit, note
from tilewise.corpus.plan import Run
from tilewise.corpus.stage_files import StageFolder, Told, key_of, write_whole, writing
from tilewise.corpus.stages import (
    BEFORE,
    FINAL,
    STAGES,
    ShardWork,
    count_shards,
    finish,
    open_stage,
    prepare,
)
from tilewise.corpus.stats import MEASURES, Tally, tally_of, total
from tilewise.corpus.steps import Outcome
from tilewise.errors import ConfigError, DataError, SourceError
from tilewise.runners.work import Runner, Work
from tilewise.settings import plain

try:
    import fcntl as _fcntl

    fcntl: ModuleType | None = _fcntl
except ImportError:  # Windows: two runs in one folder are not told apart there
    fcntl = None

SHOWN: Final = 3
"""Shards that a message names."""

SUMMARY: Final = "stage.json"
"""What a stage's folder holds once all of its shards are done."""

STEPS: Final = "work"
"""Where a stage keeps files of its steps over all shards."""

_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "dedup": ("dedup", "lines"),
    "image": ("image", "fetch"),
    "detailed_text": ("detailed_text", "scorers"),
    FINAL: ("output",),
}
"""Parts of the settings of a stage that has not just the one of its name."""

_PLAIN: Final = ("stage", "shards", "done_before", "worker_s", "cpu_s", "global_s", "wall_s")

Runners = Callable[[str], Runner]
"""The runner of a stage by its name, with as many workers as it is to have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSummary:
    """How a stage ended.

    ``counts`` of all shards; ``worker_s``: seconds of all workers together in shards, whenever they
    were done, and ``cpu_s`` those of the processor; ``global_s``: seconds of the clock in steps
    over all shards, ``wall_s``: in all.
    """

    stage: str
    shards: int
    done_before: int
    counts: Tally
    worker_s: float
    cpu_s: float
    global_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class _Start:
    """Makes the work of a stage ready in a process; see ``runners.work.Start``."""

    run: Run
    stages: tuple[str, ...]

    def __call__(self) -> Work[int, list[Outcome]]:
        work = open_stage(self.run, self.stages)

        def over(shards: Iterable[int]) -> Iterator[list[Outcome]]:
            for shard in shards:
                yield _tried(work, self.stages, shard)

        return over


def build(
    run: Run,
    runners: Runners,
    *,
    stages: Sequence[str] = STAGES,
    told: Told | None = None,
    ended: Callable[[StageSummary], None] | None = None,
) -> list[StageSummary]:
    """Do what is not done yet of some stages.

    Args:
        run: an open run (``plan.open_run``).
        runners: where each stage works.
        stages: which, in the order of ``STAGES``; those before them must be done.
        told: told of progress: a stage, shards done, shards.
        ended: called with each stage that has ended.

    Returns:
        How each stage ended.

    Raises:
        DataError: shards failed (all others are done), or counts do not add up.
        ConfigError: a stage before is not done, the disk is full, or another process builds here.
        Whatever a stage raises, such as MissingExtraError.
    """
    done = []
    with _locked(run):
        for names in _passes(stages):
            for summary in _run_pass(run, runners, names, told or _silent):
                done.append(summary)
                if ended is not None:
                    ended(summary)
    return done


def read_summary(run: Run, stage: str) -> StageSummary | None:
    """How a stage ended, None if it did not with these sources and settings of it and before it."""
    try:
        said = json.loads((run.folder(stage) / SUMMARY).read_bytes())
        if said["key"] != _summary_key(run, stage):
            return None
        counts = tally_of(said["counts"])
        return StageSummary(counts=counts, **{name: said[name] for name in _PLAIN})
    except (OSError, ValueError, KeyError):
        return None


def _summary_key(run: Run, stage: str) -> str:
    """What a stage's end depends on: the sources, and settings of it and of those before it."""
    told = run.cfg.told()
    stages = STAGES[: STAGES.index(stage) + 1]
    parts = {part: told[part] for one in stages for part in _PARTS.get(one, (one,))}
    return key_of({"parts": parts, "shards": len(run.shards), "last": plain(run.shards[-1])})


def _check_before(run: Run, stage: str) -> None:
    """A stage takes what the one before has left with these settings, and nothing older."""
    if read_summary(run, BEFORE[stage]) is None:
        raise ConfigError(
            f"stage {stage} needs stage {BEFORE[stage]}, which is not done with these sources and "
            f"settings; run it first, e.g. with --until {stage}."
        )


def _passes(stages: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Stages that are done in one go: those that read the archive, else one at a time."""
    wanted = [stage for stage in STAGES if stage in stages]
    if READ in wanted and EXTRACT in wanted:
        yield (READ, EXTRACT)
        wanted = [stage for stage in wanted if stage not in (READ, EXTRACT)]
    yield from ((stage,) for stage in wanted)


def _run_pass(
    run: Run, runners: Runners, stages: tuple[str, ...], told: Told
) -> list[StageSummary]:
    name, began = stages[-1], perf_counter()
    runner = runners(name)
    if name not in (READ, EXTRACT):  # which read the sources themselves
        _check_before(run, name)
    for stage in stages:
        with writing(run.folder(stage)):
            (run.folder(stage) / SUMMARY).unlink(missing_ok=True)
    prepare(run, name, runner, told)
    global_s = perf_counter() - began
    shards = range(count_shards(run, name))
    for stage in stages:
        StageFolder(run.folder(stage)).clear(shards_from=len(shards))
    told(name, 0, len(shards))
    found = _worked_on(run, runner, stages, shards, told)
    outcomes = {
        stage: [one for shard in shards for one in found[shard] if one.stage == stage]
        for stage in stages
    }
    _check_errors(name, outcomes[name])
    wall_s = perf_counter() - began
    summaries = [_summed(run, stage, outcomes[stage], global_s, wall_s) for stage in stages]
    if name == FINAL:
        finish(run, counts_of(run))
        if not run.cfg.run.keep_steps:
            for stage in STAGES:
                shutil.rmtree(run.folder(stage) / STEPS, ignore_errors=True)
    return summaries


def _worked_on(
    run: Run, runner: Runner, stages: tuple[str, ...], shards: Sequence[int], told: Told
) -> dict[int, list[Outcome]]:
    """Outcomes by shard.

    A shard whose workers all ended on one page is worked on again, now without that page.
    """
    found: dict[int, list[Outcome]] = {}
    waiting = list(shards)
    while waiting:
        given = runner(_Start(run, stages), waiting, partial(_lost, stages))
        with closing(cast(Generator[list[Outcome]], given)) as results:
            for shard, outcomes in zip(waiting, results, strict=True):
                found[shard] = outcomes
                told(stages[-1], len(found), len(shards))
        waiting = [
            shard
            for shard in waiting
            if found[shard][-1].is_lost and has_culprit(note(run.folder(stages[-1]), shard))
        ]
    return found


def counts_of(run: Run) -> dict[str, Any]:
    """The counts of all stages that have ended, as JSON has them; without histograms."""
    found = {stage: read_summary(run, stage) for stage in STAGES}
    counts = {stage: one.counts.plain() for stage, one in found.items() if one is not None}
    for one in counts.values():
        del one["bins"]
    return counts


def _tried(work: ShardWork, stages: tuple[str, ...], shard: int) -> list[Outcome]:
    """A shard's outcomes; a fault of what it reads is told, and leaves the others alone."""
    try:
        return work(shard)
    except (DataError, SourceError) as err:
        return [Outcome(stage=stage, shard=shard, error=str(err)) for stage in stages]


def _lost(stages: tuple[str, ...], shard: int, reason: str) -> Iterator[list[Outcome]]:
    yield [Outcome(stage=stage, shard=shard, error=reason, is_lost=True) for stage in stages]


def _check_errors(stage: str, outcomes: Sequence[Outcome]) -> None:
    failed = [one for one in outcomes if one.error is not None]
    if not failed:
        return
    told = "; ".join(f"shard {one.shard}: {one.error}" for one in failed[:SHOWN])
    more = "; ..." if len(failed) > SHOWN else ""
    raise DataError(
        f"stage {stage}: {len(failed)} of {len(outcomes)} shards failed ({told}{more}); the others "
        "are done. Mend what is wrong; the same command tries these again."
    )


def _summed(
    run: Run, stage: str, outcomes: Sequence[Outcome], global_s: float, wall_s: float
) -> StageSummary:
    """The stage's counts, checked against those of the stage before, written down."""
    markers = [one.marker for one in outcomes if one.marker is not None]
    counts = total(tally_of(marker["counts"]) for marker in markers)
    before = read_summary(run, BEFORE[stage]) if stage in BEFORE else None
    names = ("documents",) if stage == EXTRACT else MEASURES
    counts.check(f"stage {stage}", before.counts if before is not None else None, names)
    summary = StageSummary(
        stage=stage,
        shards=len(markers),
        done_before=sum(one.was_done for one in outcomes),
        counts=counts,
        worker_s=sum(marker["seconds"]["all"] for marker in markers),
        cpu_s=sum(marker["seconds"]["cpu"] for marker in markers),
        global_s=global_s,
        wall_s=wall_s,
    )
    said = {name: getattr(summary, name) for name in _PLAIN}
    said |= {
        "key": _summary_key(run, stage),
        "settings_hash": run.settings,
        "counts": counts.plain(),
    }
    write_whole(run.folder(stage) / SUMMARY, json.dumps(said, indent=1).encode())
    return summary


@contextmanager
def _locked(run: Run) -> Iterator[None]:
    """Only one process builds in a folder."""
    with writing(run.root):
        run.root.mkdir(parents=True, exist_ok=True)
        file = (run.root / ".lock").open("wb")
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                raise ConfigError(
                    f"{run.root}: another run is building here; wait for its end, or give another "
                    "--out."
                ) from err
        yield


def _silent(stage: str, done: int, of: int) -> None:
    """Tell nobody."""
