"""One line on stderr for a training run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from tilewise.train.report import StepReport

EVERY_S: Final = 0.2
"""Between two writes to a terminal."""

EVERY_LINE_S: Final = 10.0
"""The same for a log, where lines stay."""


class StepLine:
    """Shows steps as they are reported: a terminal's line is rewritten, a log gets some lines.

    Args:
        is_wanted: True or False; None is True.
        stream: stderr unless given.
        clock: seconds.
    """

    def __init__(
        self,
        is_wanted: bool | None = None,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._is_on = is_wanted is not False
        self._is_terminal, self._clock = self._stream.isatty(), clock
        self._last, self._shown = float("-inf"), 0

    def __call__(self, report: StepReport) -> None:
        """Take a report."""
        every = EVERY_S if self._is_terminal else EVERY_LINE_S
        now, is_end = self._clock(), report.step == report.steps
        if now - self._last >= every or is_end:
            self._last = now
            self.say(report.line)

    def say(self, text: str) -> None:
        """Show a text at once."""
        if not self._is_on:
            return
        if self._is_terminal:
            self._stream.write("\r" + text.ljust(self._shown))
            self._shown = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def keep(self, text: str) -> None:
        """Show a text that stays where a terminal's line is rewritten."""
        self.say(text)
        self.clear()

    def clear(self) -> None:
        """End a terminal's line, so that other text may follow."""
        if self._shown:
            self._stream.write("\n")
            self._stream.flush()
        self._shown = 0
