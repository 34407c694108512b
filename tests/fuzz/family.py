"""What a process and all that it started use, as Linux tells it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tilewise.sources.processes import family


def family_pss(pid: int) -> int:
    """Memory of a process and what it started, that which several share counted once."""
    total = 0
    for each in family(pid):
        with suppress(OSError, IndexError, ValueError):
            rollup = Path("/proc", str(each), "smaps_rollup").read_text()
            total += int(rollup.split("\nPss:")[1].split()[0]) * 1024
    return total


class Waiting:
    """Seconds that a process and its children, by their first threads, waited for a processor."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._known: dict[int, float] = {}  # those that have ended too

    def total_s(self) -> float:
        """Look again, and say what is known."""
        for each in family(self._pid):
            with suppress(OSError, IndexError, ValueError):
                told = Path("/proc", str(each), "schedstat").read_text().split()[1]
                self._known[each] = int(told) / 1e9
        return sum(self._known.values())
