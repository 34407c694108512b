"""One line on stderr that says what is going on and how long it will take."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic
from typing import Final, TextIO

EVERY_S: Final = 0.1  # between two writes of the same stage to a terminal
ANSWER: Final = "answer"
"""The stage in which an answer streams."""

EVERY_LINE_S: Final = 2.0  # the same for a log, where lines stay


class ProgressLine:
    """Shows stage, done and total, and the time left in the stage. A terminal's line is rewritten.

    Args:
        is_wanted: True or False; None means: if stderr is a terminal.
        skip: a stage not to show, such as the one in which the answer itself is on the screen.
        stream: stderr unless given.
        clock: seconds.
    """

    def __init__(
        self,
        is_wanted: bool | None = None,
        *,
        skip: str = "",
        stream: TextIO | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._is_on = self._is_terminal if is_wanted is None else is_wanted
        self._skip = skip
        self._clock = clock
        self._stage = ""
        self._began = self._last = 0.0
        self._shown = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take a report, as a ``Progress`` callback."""
        if not self._is_on or stage == self._skip:
            return
        now = self._clock()
        is_new = stage != self._stage
        if is_new:
            self._stage, self._began = stage, now
        every = EVERY_S if self._is_terminal else EVERY_LINE_S
        if is_new or now - self._last >= every:
            self._last = now
            self._write(f"{stage} {done}/{total}{_left(now - self._began, done, total)}")

    def clear(self) -> None:
        """Take the line off the terminal, before other text or at the end."""
        if self._is_on and self._is_terminal and self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._stream.flush()
        self._shown, self._stage = 0, ""

    def _write(self, line: str) -> None:
        if self._is_terminal:
            self._stream.write("\r" + line.ljust(self._shown))
            self._shown = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def _left(elapsed_s: float, done: int, total: int) -> str:
    """Time left at the speed so far; nothing before there is a speed or after the end."""
    if not 0 < done < total or elapsed_s <= 0:
        return ""
    left_s = elapsed_s / done * (total - done)
    minutes, seconds = divmod(round(left_s), 60)
    return f", {minutes} min {seconds} s left" if minutes else f", {seconds} s left"
