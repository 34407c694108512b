"""Named numbers on the page: the bars of a chart, its points, the entries of a list.

Which label is the highest needs to know which numbers belong together. Geometry says: labels in
one row with a number above each, or rows that begin with a label and end with a number.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.models.nano.alphabet import PAGE_CHARS
from tilewise.models.nano.reading import CELL, SAME_WORD, Reading

Ints = NDArray[np.int64]
Numbers = tuple[Ints, Ints, NDArray[np.float64]]
"""First and last character and value of every word that is a number, each (n,)."""

FORMS: Final = 3

FEWEST = 3
"""Entries from which on neighbours count as a series; two may be chance."""

SAME_SIZE: Final = (0.84, 1.19)

UNIT = 4
"""Characters of a longest unit, as in «2079 MWh»."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A label (characters first to last of the reading) with its number."""

    label: tuple[int, int]
    number: tuple[int, int]
    value: float


def series(reading: Reading, numbers: Numbers) -> list[list[Entry]]:
    """All series of a page; ``numbers`` are its words that are numbers: first, last, value.

    The likeliest to be a chart come first: standing ones, then rows of nothing but a label and a
    number, then two columns of a table; of each, those with more entries.
    """
    standing, whole, part = by_form(reading, numbers)
    return [*standing, *whole, *part]


def by_form(
    reading: Reading, numbers: Numbers
) -> tuple[list[list[Entry]], list[list[Entry]], list[list[Entry]]]:
    """The series of a page as standing ones, rows of nothing else, and columns of tables."""
    if len(reading) == 0 or len(numbers[0]) < 2:
        return [], [], []
    segments = _segments(reading)
    whole, part = _lying(reading, segments, numbers)

    def likely(some: list[list[Entry]]) -> list[list[Entry]]:
        longest_first = sorted(some, key=len, reverse=True)
        return [group for group in longest_first if _are_names(reading, group)]

    return likely(_standing(reading, segments, numbers)), likely(whole), likely(part)


def entries(reading: Reading, numbers: Numbers) -> tuple[Ints, ...]:
    """For every form of ``by_form`` its entries, (m, 3): label's ends, the number's beginning."""
    return tuple(
        np.array([(*e.label, e.number[0]) for group in some for e in group], np.int64).reshape(
            -1, 3
        )
        for some in by_form(reading, numbers)
    )


def _are_names(reading: Reading, group: list[Entry]) -> bool:
    """Whether labels are names: few of them amounts or dates, unless all look like years."""
    labels = [_text(reading, e.label) for e in group]
    figures = [label for label in labels if _FIGURE.fullmatch(label)]
    years = [label for label in figures if _YEAR.fullmatch(label)]
    return 3 * len(figures) <= len(group) or len(years) == len(group)


def _text(reading: Reading, label: tuple[int, int]) -> str:
    """Characters of a label, without spaces."""
    return "".join(PAGE_CHARS[c - 1] for c in reading.chars.cls[label[0] : label[1] + 1].tolist())


_YEAR: Final = re.compile(r"[12]\d{3}")
_FIGURE: Final = re.compile(
    r"[-+]?[$€£¥]?\d[\d.,]*(%|[€£¥$]|°?[A-Za-z]{1,3})?|[$€£¥]|\d{1,4}([-/.]\d{1,4}){2}"
)


def _segments(reading: Reading) -> list[tuple[int, int]]:
    ends = np.flatnonzero(reading.gap >= CELL)
    starts = np.concatenate([[0], ends[:-1] + 1])
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _middle(reading: Reading, first: int, last: int) -> float:
    return float(reading.chars.x[first] + reading.chars.x[last]) / 2


def _standing(
    reading: Reading, segments: list[tuple[int, int]], numbers: Numbers
) -> list[list[Entry]]:
    """Rows of labels, most of which have a number straight above: bars and points."""
    rows: dict[int, list[tuple[int, int]]] = {}
    for segment in segments:
        rows.setdefault(int(reading.row[segment[0]]), []).append(segment)
    out: list[list[Entry]] = []
    for row in rows.values():
        # Labels that stand close together read as one segment; then every word may be a label.
        for labels, most in ((row, 0.7), (_words(reading, row), 1.0)):
            entries = [e for label in labels if (e := _below_its_number(reading, label, numbers))]
            heights = {round(float(reading.chars.y[e.number[0]]) / 4) for e in entries}
            are_own = len({e.number for e in entries}) > 0.9 * len(entries)
            is_full = len(entries) >= max(FEWEST, most * len(labels))
            if is_full and are_own and len(heights) > 1:
                out.append(entries)
                break
    return out


def _below_its_number(reading: Reading, label: tuple[int, int], numbers: Numbers) -> Entry | None:
    """A label with the lowest number straight above it; None where none is."""
    first, last, value = numbers
    a, b = label
    em = float(reading.chars.height[a])
    reach = 0.9 * em + 0.12 * float(reading.chars.x[b] - reading.chars.x[a])
    x = (reading.chars.x[first] + reading.chars.x[last]) / 2
    y = reading.chars.y[first]
    over = y < reading.chars.y[a] - 0.8 * em
    above = np.flatnonzero(over & (np.abs(x - _middle(reading, a, b)) < reach))
    if len(above) == 0:
        return None
    i = int(above[np.argmax(y[above])])
    return Entry(label, (int(first[i]), int(last[i])), float(value[i]))


def _words(reading: Reading, row: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The words of segments."""
    out: list[tuple[int, int]] = []
    for a, b in row:
        ends = [i for i in range(a, b) if reading.gap[i] != SAME_WORD]
        out += zip([a, *(i + 1 for i in ends)], [*ends, b], strict=True)
    return out


def _lying(
    reading: Reading, segments: list[tuple[int, int]], numbers: Numbers
) -> tuple[list[list[Entry]], list[list[Entry]]]:
    """Runs of rows with a label and then a number: lying bars, legends of pies.

    First those whose rows hold no more than the two, then the others.
    """
    first, last, value = numbers
    begins_at = {int(a): (int(b), float(v)) for a, b, v in zip(first, last, value, strict=True)}
    ends_at = {int(b): (int(a), float(v)) for a, b, v in zip(first, last, value, strict=True)}
    in_row = Counter(int(reading.row[a]) for a, _ in segments)
    whole: list[Entry] = []
    part: list[Entry] = []
    for k, (a, b) in enumerate(segments):
        row = int(reading.row[a])
        nxt = segments[k + 1] if k + 1 < len(segments) else None
        if nxt is not None and reading.row[nxt[0]] == row and _is_number(reading, nxt, begins_at):
            entry = Entry((a, b), nxt, begins_at[nxt[0]][1])
            (whole if in_row[row] == 2 else part).append(entry)
            continue
        tail = b if b in ends_at else _before_unit(reading, a, b)
        if tail in ends_at and ends_at[tail][0] > a:
            entry = Entry((a, ends_at[tail][0] - 1), (ends_at[tail][0], b), ends_at[tail][1])
            (whole if in_row[row] == 1 else part).append(entry)
    return _neighbours(reading, whole), _neighbours(reading, part)


def _is_number(
    reading: Reading, segment: tuple[int, int], begins_at: dict[int, tuple[int, float]]
) -> bool:
    """Whether a segment is a number, with a unit or without."""
    if segment[0] not in begins_at:
        return False
    end = begins_at[segment[0]][0]
    return end == segment[1] or end == _before_unit(reading, *segment)


def _before_unit(reading: Reading, first: int, last: int) -> int:
    """Last character before a segment's last word if that is as short as a unit, else -1."""
    for at in range(last - 1, max(first, last - UNIT) - 1, -1):
        if reading.gap[at] != SAME_WORD:
            return at
    return -1


def _neighbours(reading: Reading, pairs: list[Entry]) -> list[list[Entry]]:
    """Group pairs that begin at one left edge in rows that follow each other."""
    groups: list[list[Entry]] = []
    for pair in pairs:
        em = float(reading.chars.height[pair.label[0]])
        for group in groups:
            before = group[-1].label[0]
            drop = float(reading.chars.y[pair.label[0]] - reading.chars.y[before])
            aside = abs(float(reading.chars.x[pair.label[0]] - reading.chars.x[before]))
            size = em / float(reading.chars.height[before])
            is_alike = SAME_SIZE[0] < size < SAME_SIZE[1]  # no headline that ends in a year
            if is_alike and 0.5 * em < drop < 3.2 * em and aside < 0.8 * em:
                group.append(pair)
                break
        else:
            groups.append([pair])
    return [g for g in groups if len(g) >= FEWEST]
