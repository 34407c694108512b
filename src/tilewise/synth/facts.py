"""What a synthetic page states, so that questions with true answers can be made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tilewise.synth.sheet import Run

Kind = Literal[
    "title", "value", "table", "after", "highest", "lowest", "chart", "all", "line", "unsupported"
]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A question about a page and its true answer.

    ``start`` and ``stop`` are the answer's characters among the page's glyphs; both are -1 and
    ``answer`` is None where the page does not hold it. ``tags`` has one digit for each character
    of ``text``: 1 for the label, row or quoted words, 2 for the column, 3 for a line number,
    0 for the rest.
    """

    kind: Kind
    text: str
    answer: str | None
    start: int
    stop: int
    tags: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A label and its value."""

    label: str
    value: Run
    is_chart: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Cells of a table by row and column name; the first column holds the row names."""

    head: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: tuple[tuple[Run, ...], ...]


@dataclass(frozen=True, slots=True)
class Series:
    """Named numbers of a chart: which is the highest, which the lowest."""

    noun: str
    labels: tuple[Run, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers of a chart before it is drawn: ``shown`` is how ``numbers`` are printed."""

    noun: str
    labels: tuple[str, ...]
    numbers: tuple[float, ...]
    shown: tuple[str, ...]

    def first(self, count: int) -> Figures:
        """The first of them."""
        return Figures(self.noun, self.labels[:count], self.numbers[:count], self.shown[:count])


@dataclass(slots=True)
class Facts:
    """Everything a page states, collected while it is set.

    ``is_single_flow``: one column, so that its lines can be counted. ``has_one_order``: people
    would agree in which order to read it. ``tabled``: figures that a table above shows, for the
    next chart to draw.
    """

    title: Run | None = None
    pairs: list[Pair] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    prose: list[tuple[int, int]] = field(default_factory=list)
    lines: list[tuple[int, int]] = field(default_factory=list)
    is_single_flow: bool = True
    has_one_order: bool = True
    used: set[str] = field(default_factory=set)
    tabled: Figures | None = None
