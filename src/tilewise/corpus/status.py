"""How far each stage of a run is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tilewise.corpus.pipeline import read_summary
from tilewise.corpus.plan import Run
from tilewise.corpus.stage_files import StageFolder
from tilewise.corpus.stages import STAGES, count_shards
from tilewise.corpus.stats import Tally, tally_of, total
from tilewise.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class StageState:
    """A stage: its shards that are done (by their markers), and what they count."""

    stage: str
    done: int
    shards: int
    is_ended: bool
    counts: Tally
    cpu_s: float

    def line(self) -> str:
        """As a person reads it."""
        if not self.done:
            return f"{self.stage:<13} not begun"
        came, kept = self.counts.taken.documents, self.counts.kept.documents
        rate = came / self.cpu_s if self.cpu_s else 0.0
        state = "" if self.is_ended else ", goes on with the next build"
        return (
            f"{self.stage:<13} {self.done:,} of {self.shards:,} shards{state}: {came:,} documents, "
            f"{kept:,} kept, {came - kept:,} dropped; {rate:,.0f}/s of a core"
        )


def stage_states(run: Run) -> Iterator[StageState]:
    """The state of every stage, in their order."""
    for stage in STAGES:
        folder = StageFolder(run.folder(stage))
        shards = _shards(run, stage)
        markers = [found for i in range(shards) if (found := folder.read_marker(i)) is not None]
        yield StageState(
            stage=stage,
            done=len(markers),
            shards=shards,
            is_ended=read_summary(run, stage) is not None,
            counts=total(tally_of(marker["counts"]) for marker in markers),
            cpu_s=sum(marker["seconds"]["cpu"] for marker in markers),
        )


def _shards(run: Run, stage: str) -> int:
    """Shards of a stage; those of the last one are not known before it begins."""
    try:
        return count_shards(run, stage)
    except ConfigError:
        return 0
