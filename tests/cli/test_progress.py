"""The line that says how long it will take."""

from __future__ import annotations

from io import StringIO

from tilewise.cli.progress import ProgressLine


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_terminal_line_is_rewritten_with_the_time_left_and_taken_away() -> None:
    stream, clock = Terminal(), Clock()
    line = ProgressLine(stream=stream, clock=clock)
    line("tiles", 0, 50)
    clock.now = 20.0
    line("tiles", 10, 50)
    assert stream.getvalue() == "\rtiles 0/50" + "\rtiles 10/50, 1 min 20 s left"
    line.clear()
    assert stream.getvalue().endswith("\r" + " " * 28 + "\r")


def test_a_file_gets_no_lines_unless_asked_and_then_whole_ones() -> None:
    stream, clock = StringIO(), Clock()
    ProgressLine(stream=stream, clock=clock)("tiles", 1, 5)
    assert stream.getvalue() == ""
    line = ProgressLine(True, stream=stream, clock=clock)
    for done in range(6):
        clock.now += 1.0
        line("tiles", done, 5)
    line("answer", 1, 5)
    line.clear()
    assert stream.getvalue().splitlines() == [
        "tiles 0/5",
        "tiles 2/5, 3 s left",
        "tiles 4/5, 1 s left",
        "answer 1/5",
    ]


def test_a_shorter_text_covers_the_longer_one() -> None:
    stream = Terminal()
    line = ProgressLine(stream=stream, clock=Clock())
    line("sources", 10, 10)
    line("tiles", 1, 1)
    assert stream.getvalue() == "\rsources 10/10\rtiles 1/1    "


def test_a_stage_can_be_left_out() -> None:
    stream = Terminal()
    line = ProgressLine(skip="answer", stream=stream, clock=Clock())
    line("answer", 1, 2)
    line.clear()
    assert stream.getvalue() == ""
