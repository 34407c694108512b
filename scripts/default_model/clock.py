"""Training budgets in CPU-minutes: schedules are functions of the share of the budget used."""

from __future__ import annotations

import time
from pathlib import Path


class Clock:
    """Counts CPU time on top of what earlier runs used; ``processes`` alike count as this one."""

    def __init__(self, budget_min: float, used_min: float = 0.0, processes: int = 1) -> None:
        self.budget_min = budget_min
        self._processes = processes
        self._before = used_min
        self._start = time.process_time()
        self._wall = time.monotonic()

    @property
    def used_min(self) -> float:
        """CPU-minutes used, earlier runs included."""
        return self._before + self._processes * (time.process_time() - self._start) / 60

    @property
    def share(self) -> float:
        """Used part of the budget, 0 to 1."""
        return min(1.0, self.used_min / self.budget_min)

    @property
    def left_s(self) -> float:
        """Wall seconds left, at the rate so far."""
        done = self.used_min - self._before
        rate = (time.monotonic() - self._wall) / max(done, 1e-6)
        return max(0.0, self.budget_min - self.used_min) * rate


def ramp_down(share: float, hold: float = 0.3, floor: float = 0.05) -> float:
    """Learning-rate factor: constant for ``hold`` of the budget, then linear to ``floor``."""
    if share <= hold:
        return 1.0
    return 1.0 - (1.0 - floor) * (share - hold) / (1.0 - hold)


def say(work: Path, stage: str, clock: Clock, text: str) -> None:
    """One line of progress, on standard output and at the end of ``work``/``stage``.log."""
    minutes = clock.left_s / 60
    line = (
        f"{stage} {clock.used_min:6.1f} of {clock.budget_min:.0f} CPU-min, "
        f"{minutes:.0f} min left: {text}"
    )
    print(line, flush=True)
    work.mkdir(parents=True, exist_ok=True)
    with (work / f"{stage}.log").open("a", encoding="utf-8") as log:
        log.write(line + "\n")
