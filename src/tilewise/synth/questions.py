"""Questions about a page that was made, with true answers; and questions it cannot answer."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Final

import numpy as np

from tilewise.synth import words
from tilewise.synth.facts import Facts, Kind, Question, Series, Table
from tilewise.synth.fonts import Split
from tilewise.synth.phrasing import UNSUPPORTED, phrase
from tilewise.synth.sheet import END, SPACE, Glyphs

ABSENT_SHARE: Final = 0.14
UNSUPPORTED_SHARE: Final = 0.03


def questions_about(
    facts: Facts, glyphs: Glyphs, rng: Random, split: Split, count: int, *, plain: float = 0.4
) -> list[Question]:
    """Up to ``count`` questions about one page, kinds mixed, none twice."""
    makers = {
        "title": _title, "value": _value, "table": _table, "after": _after, "chart": _chart,
        "highest": _extreme, "all": _all, "line": _line,
    }  # fmt: skip
    chances = {
        "title": 1.0,
        "value": 4.0,
        "table": 4.0,
        "after": 3.5,
        "chart": 4.0,
        "highest": 6.0,
        "all": 1.0,
        "line": 0.8,
    }
    asker = _Asker(facts, glyphs, rng, split, plain)
    out: dict[str, Question] = {}
    for _ in range(4 * count):
        if len(out) >= count:
            break
        if rng.random() < UNSUPPORTED_SHARE:
            text = rng.choice(UNSUPPORTED)
            made: Question | None = Question("unsupported", text, None, -1, -1, "0" * len(text))
        else:
            kind = rng.choices(list(makers), list(chances.values()))[0]
            made = makers[kind](asker)
        if made is not None:
            out.setdefault(made.text, made)
    return list(out.values())


class _Asker:
    """What the makers of questions share: the page, its text as words, and the dice."""

    def __init__(
        self, facts: Facts, glyphs: Glyphs, rng: Random, split: Split, plain: float
    ) -> None:
        self.facts, self.glyphs, self.rng, self.split, self.plain = facts, glyphs, rng, split, plain
        self.page = glyphs.text().replace("\n", " ").lower()

    def text(self, start: int, stop: int) -> str:
        """Text of glyphs [start, stop) with single spaces."""
        parts: list[str] = []
        for i in range(start, stop):
            parts.append(chr(self.glyphs.code[i]))
            if self.glyphs.link[i] != 0 and i < stop - 1:
                parts.append(" ")
        return "".join(parts)

    def ask(self, kind: Kind, span: tuple[int, int] | None, **parts: str) -> Question | None:
        """Put a question; None as span says that the page does not hold the answer."""
        text, tags = phrase(self.rng, kind, plain=self.plain, **parts)
        if span is None:
            return Question(kind, text, None, -1, -1, tags)
        if span[1] <= span[0]:
            return None
        return Question(kind, text, self.text(*span), span[0], span[1], tags)

    def wants_absent(self) -> bool:
        """Whether the next question should be one that the page does not answer."""
        return self.rng.random() < ABSENT_SHARE

    def other_label(self, label: str) -> str | None:
        """A label like ``label`` that is not on the page."""
        roll = self.rng.random()
        parts = label.split(" ")
        if roll < 0.3 and len(parts) > 1:
            parts[self.rng.randrange(len(parts))] = words.pseudo_word(
                self.rng, self.split
            ).capitalize()
            made = " ".join(parts)
        elif roll < 0.7:
            made = words.key(self.rng, self.split)
        else:
            made = words.name(self.rng, self.split, self.rng.choice((1, 2)))
        return None if made.lower() in self.page else made


def _title(a: _Asker) -> Question | None:
    run = a.facts.title
    return a.ask("title", (run.start, run.stop)) if run else None


def _value(a: _Asker) -> Question | None:
    plain = [p for p in a.facts.pairs if not p.is_chart]
    if a.wants_absent():
        label = a.other_label(a.rng.choice(plain).label if plain else words.key(a.rng, a.split))
        return a.ask("value", None, k=label) if label else None
    if not plain:
        return None
    pair = a.rng.choice(plain)
    return a.ask("value", (pair.value.start, pair.value.stop), k=pair.label)


def _chart(a: _Asker) -> Question | None:
    bars = [p for p in a.facts.pairs if p.is_chart]
    if not bars:
        return None
    pair = a.rng.choice(bars)
    if a.wants_absent():
        label = a.other_label(pair.label)
        return a.ask("chart", None, k=label) if label else None
    return a.ask("chart", (pair.value.start, pair.value.stop), k=pair.label)


def _table(a: _Asker) -> Question | None:
    if not a.facts.tables:
        return None
    table: Table = a.rng.choice(a.facts.tables)
    r, c = a.rng.randrange(len(table.rows)), a.rng.randrange(len(table.columns))
    row, column = table.rows[r], table.columns[c]
    if a.wants_absent():
        if a.rng.random() < 0.5:
            other = a.other_label(row)
            return a.ask("table", None, k=other, c=column) if other else None
        other = (
            words.COLUMNS[a.rng.randrange(len(words.COLUMNS))]
            if a.rng.random() < 0.7
            else a.other_label(column)
        )
        return (
            a.ask("table", None, k=row, c=other) if other and other.lower() not in a.page else None
        )
    run = table.cells[r][c]
    return a.ask("table", (run.start, run.stop), k=row, c=column)


def _words_of(a: _Asker, start: int, stop: int) -> list[tuple[int, int]]:
    """Words of a stretch of text as glyph ranges."""
    ends = [i + 1 for i in range(start, stop) if a.glyphs.link[i] != 0 or i == stop - 1]
    return list(zip([start, *ends[:-1]], ends, strict=True))


def _after(a: _Asker) -> Question | None:
    if not a.facts.prose:
        return None
    found = _words_of(a, *a.rng.choice(a.facts.prose))
    size = a.rng.choice((2, 3, 3, 3, 3, 4))
    if len(found) < size + 1:
        return None
    at = a.rng.randint(0, len(found) - size - 1)
    quoted = a.text(found[at][0], found[at + size - 1][1])
    if '"' in quoted or a.page.count(quoted.lower()) != 1:
        return None
    if a.wants_absent():
        parts = quoted.split(" ")
        for i in range(len(parts)):
            if i == 0 or a.rng.random() < 0.6:
                parts[i] = words.prose_word(a.rng, a.split)
        quoted = " ".join(parts)
        return a.ask("after", None, k=quoted) if quoted.lower() not in a.page else None
    last = found[min(at + size + 2, len(found) - 1)]
    return a.ask("after", (found[at + size][0], last[1]), k=quoted)


def _extreme(a: _Asker) -> Question | None:
    if not a.facts.series:
        return None
    series: Series = a.rng.choice(a.facts.series)
    if len(a.facts.series) > 1 and len({s.noun for s in a.facts.series}) < len(a.facts.series):
        return None
    if len(a.facts.series) > 1:
        return None
    kind: Kind = "highest" if a.rng.random() < 0.5 else "lowest"
    pick = max if kind == "highest" else min
    run = series.labels[series.values.index(pick(series.values))]
    return a.ask(kind, (run.start, run.stop), n=series.noun)


def _all(a: _Asker) -> Question | None:
    is_plain = a.facts.is_single_flow or not any(p.is_chart for p in a.facts.pairs)
    return a.ask("all", (0, len(a.glyphs))) if is_plain and a.facts.has_one_order else None


def _line(a: _Asker) -> Question | None:
    if not a.facts.is_single_flow or not a.facts.lines:
        return None
    middle = [float(np.mean(a.glyphs.y[s:e])) for s, e in a.facts.lines]
    if any(b - c < 0.4 for c, b in pairwise(middle)):
        return None
    n = a.rng.randint(1, len(a.facts.lines))
    if a.rng.random() < 0.1:
        return a.ask("line", None, n=str(len(a.facts.lines) + a.rng.randint(1, 40)))
    return a.ask("line", a.facts.lines[n - 1], n=str(n))


__all__ = ["ABSENT_SHARE", "END", "SPACE", "questions_about"]
