"""How long a run is: so many steps, or so much processor time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

UNKNOWN: Final = 1_000_000_000
"""Steps of a run of which no time has passed yet, and whose length is a time."""


class Length:
    """How long a run is, and how far it has come.

    Args:
        steps: of the whole run; None for a length in time.
        minutes: of processor time, those of all processes together; not read where there are steps.
    """

    def __init__(self, steps: int | None, minutes: float | None) -> None:
        assert steps is not None or minutes is not None, "a run has an end"
        self._steps, self._minutes = steps, minutes
        self.used_s = 0.0

    def share(self, step: int) -> float:
        """What part of the run lies behind ``step`` steps, 0 to 1."""
        if self._steps is not None:
            return min(1.0, step / self._steps)
        assert self._minutes is not None
        return min(1.0, self.used_s / 60 / self._minutes)

    def steps(self, step: int) -> float:
        """Steps of the whole run, estimated by the time so far where that is its length."""
        if self._steps is not None:
            return self._steps
        share = self.share(step)
        return max(step / share, step) if share and step else UNKNOWN

    def is_over(self, step: int) -> bool:
        """Whether nothing is left behind ``step`` steps."""
        if self._steps is not None:
            return step >= self._steps
        return self.share(step) >= 1.0


class ProcessorTime:
    """Seconds of processor time that this process has used for a run.

    Args:
        clock: seconds of this process so far.
    """

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self._clock, self._start, self._before = clock, clock(), 0.0

    def go_on(self, before_s: float) -> None:
        """Count on top of what was used before the run was left."""
        self._before, self._start = before_s, self._clock()

    def __call__(self) -> float:
        """Seconds so far."""
        return self._before + self._clock() - self._start
