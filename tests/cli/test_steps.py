"""The line of a training run."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from tests.train.test_report import REPORT
from tilewise.cli.steps import StepLine
from tilewise.train.report import StepReport


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_now_and_then_and_the_last_one() -> None:
    stream, times = StringIO(), iter([0.0, 1.0, 11.0, 11.5])
    line = StepLine(stream=stream, clock=lambda: next(times))
    for step in (1, 2, 3, 4):
        line(_at(step))
    assert [text.split(",")[0] for text in stream.getvalue().splitlines()] == [
        "step 1/4",
        "step 3/4",
        "step 4/4",
    ]


def test_a_terminal_has_one_line_that_is_rewritten() -> None:
    stream, times = Terminal(), iter([0.0, 0.1, 5.0])
    line = StepLine(stream=stream, clock=lambda: next(times))
    for step in (1, 2, 3):
        line(_at(step))
    line.clear()
    assert stream.getvalue().count("\r") == 2
    assert stream.getvalue().endswith("\n")


def test_nothing_is_shown_where_it_is_not_wanted() -> None:
    stream = StringIO()
    line = StepLine(False, stream=stream)
    line(_at(1))
    line.say("opening")
    assert stream.getvalue() == ""


def _at(step: int) -> StepReport:
    return replace(REPORT, step=step, steps=4)
