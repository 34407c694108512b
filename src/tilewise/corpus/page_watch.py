"""Which page of a shard a worker is at, on disk, so that a page that workers end on is found.

A page may take a library where no error can be caught: into a loop without an end, into more memory
than there is, into a crash. Its worker ends, and another one begins the shard anew. One that finds
that ``DEATHS`` workers have ended on the same page passes it over.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any, Final

from tilewise.corpus.stage_files import writing
from tilewise.records import Dropped
from tilewise.runners.processes import ProcessLimits
from tilewise.runners.spawned import is_worker

DEATHS: Final = ProcessLimits().attempts
"""How many workers a page may cost: as many as may be lost over a shard before that is told."""

REASON: Final = "worker_lost"

_DIGITS: Final = 20


class PageWatch:
    """Notes the page that is worked on; used in a ``with`` block, whose good end removes the note.

    Args:
        folder: of the stage; notes that an earlier run left there are removed when a run begins.
        shard: which one.
        limit_s: seconds of the processor that a page may take; then the worker is ended, if it is
            a process that works for another one.
    """

    def __init__(self, folder: Path, shard: int, limit_s: float) -> None:
        self._path, self._limit_s = note(folder, shard), limit_s
        self._deaths = deaths(self._path)
        with writing(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb", buffering=0)
            self._file.write(b"-" * _DIGITS + b"\n" + json.dumps(self._deaths).encode())
        self._is_timed = is_worker() and hasattr(signal, "setitimer")

    def begins(self, number: int) -> bool:
        """Work on the page of this number begins; False if it is to be passed over."""
        if self._deaths.get(str(number), 0) >= DEATHS:
            return False
        self._file.seek(0)
        self._file.write(b"%0*d" % (_DIGITS, number))
        self._allow(self._limit_s)
        return True

    def __enter__(self) -> PageWatch:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._allow(0.0)
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _allow(self, seconds: float) -> None:
        """Let the system end this process after so much work, 0 for never.

        An alarm of the system also comes where no line of Python is run any more.
        """
        if self._is_timed:
            signal.setitimer(signal.ITIMER_PROF, seconds)


def note(folder: Path, shard: int) -> Path:
    """The file of a shard; one that stayed behind is removed as all temporary ones are."""
    return folder / f".page-{shard:05}.tmp"


def deaths(path: Path) -> dict[str, int]:
    """How many workers ended on which page, by its number, from what the last of them left."""
    try:
        at, _, rest = path.read_bytes().partition(b"\n")
        found: dict[str, int] = json.loads(rest)
    except (OSError, ValueError):
        return {}
    if at.isdigit():
        number = str(int(at))
        found[number] = found.get(number, 0) + 1
    return found


def has_culprit(path: Path) -> bool:
    """Whether the page that the last worker ended on is now to be passed over."""
    try:
        at = path.read_bytes()[:_DIGITS]
    except OSError:
        return False
    return at.isdigit() and deaths(path).get(str(int(at)), 0) >= DEATHS


def passed_over(name: str, url: str, stage: str) -> Dropped:
    """The row of a page that workers ended on."""
    told = f"{DEATHS} workers ended on this page"
    return Dropped(id=name, url=url, stage=stage, reason=REASON, value=told)
