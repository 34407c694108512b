"""What every kind of run has: settings, a place, and what they open.

The loop trains a ``Task``: a network, batches, and what is learned from them. A kind of run is a
frozen dataclass of settings and a function that opens them as a ``Job``; ``train.task.OPENERS``
pairs the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol

from tilewise.train.loop import Batch, RunConfig, Task
from tilewise.train.optim import OptimConfig
from tilewise.train.ranks import Ranks
from tilewise.train.schedule import ScheduleConfig

Said = Callable[[str], None]
"""Told of what a run is about to do, in a few words."""


class AnyConfig(Protocol):
    """Settings of a whole run of any kind: a frozen dataclass that has at least these."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def optim(self) -> OptimConfig:
        """The optimiser."""

    @property
    def schedule(self) -> ScheduleConfig:
        """How long it is, and the learning rate."""

    @property
    def run(self) -> RunConfig:
        """How it goes on its machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run takes place: its folder, its processes, and who is told what it does.

    ``own`` are the batches of a step that each process takes.
    """

    out: Path
    ranks: Ranks
    own: int
    say: Said


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[Batch]):
    """A run that was opened.

    ``steps_per_epoch`` are batches in one pass over the data, None where that is not known.
    ``finish`` is called in every process when all steps are taken, and leaves the model in the
    run's folder; ``close`` ends what was opened, however the run ended.
    """

    task: Task[Batch]
    steps_per_epoch: int | None
    finish: Callable[[], None]
    close: Callable[[], None]
