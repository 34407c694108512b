"""Named numbers on the page: the bars of a chart, its points, the entries of a list.

Which label is the highest needs to know which numbers belong together. Geometry says: labels in
one row with a number above each, or rows that begin with a label and end with a number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewise.models.nano.reading import CELL, Reading

Ints = NDArray[np.int64]
Numbers = tuple[Ints, Ints, NDArray[np.float64]]
"""First and last character and value of every word that is a number, each (n,)."""

FEWEST = 3
"""Entries from which on neighbours count as a series; two may be chance."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A label (characters first to last of the reading) with its number."""

    label: tuple[int, int]
    number: tuple[int, int]
    value: float


def series(reading: Reading, numbers: Numbers) -> list[list[Entry]]:
    """All series of a page; ``numbers`` are its words that are numbers: first, last, value."""
    if len(reading) == 0 or len(numbers[0]) < 2:
        return []
    segments = _segments(reading)
    return [*_standing(reading, segments, numbers), *_lying(reading, segments, numbers)]


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
    first, last, value = numbers
    x = (reading.chars.x[first] + reading.chars.x[last]) / 2
    y = reading.chars.y[first]
    rows: dict[int, list[tuple[int, int]]] = {}
    for segment in segments:
        rows.setdefault(int(reading.row[segment[0]]), []).append(segment)
    out: list[list[Entry]] = []
    for row in rows.values():
        entries = []
        for a, b in row:
            em = float(reading.chars.height[a])
            reach = 0.9 * em + 0.12 * float(reading.chars.x[b] - reading.chars.x[a])
            over = y < reading.chars.y[a] - 0.8 * em
            above = np.flatnonzero(over & (np.abs(x - _middle(reading, a, b)) < reach))
            if len(above):
                i = int(above[np.argmax(y[above])])
                entries.append(Entry((a, b), (int(first[i]), int(last[i])), float(value[i])))
        heights = {round(float(reading.chars.y[e.number[0]]) / 4) for e in entries}
        if len(entries) >= FEWEST and len(entries) >= 0.7 * len(row) and len(heights) > 1:
            out.append(entries)
    return out


def _lying(
    reading: Reading, segments: list[tuple[int, int]], numbers: Numbers
) -> list[list[Entry]]:
    """Runs of rows that are a label and then one number: lying bars, legends of pies."""
    first, last, value = numbers
    ends_at = {int(b): (int(a), float(v)) for a, b, v in zip(first, last, value, strict=True)}
    pairs: list[Entry] = []
    for k, (a, b) in enumerate(segments):
        nxt = segments[k + 1] if k + 1 < len(segments) else None
        if nxt is not None and reading.row[nxt[0]] == reading.row[a] and _is_number(nxt, ends_at):
            pairs.append(Entry((a, b), nxt, ends_at[nxt[1]][1]))
        elif b in ends_at and ends_at[b][0] > a:
            pairs.append(Entry((a, ends_at[b][0] - 1), (ends_at[b][0], b), ends_at[b][1]))
    return _neighbours(reading, pairs)


def _is_number(segment: tuple[int, int], ends_at: dict[int, tuple[int, float]]) -> bool:
    return segment[1] in ends_at and ends_at[segment[1]][0] == segment[0]


def _neighbours(reading: Reading, pairs: list[Entry]) -> list[list[Entry]]:
    """Group pairs that begin at one left edge in rows that follow each other."""
    groups: list[list[Entry]] = []
    for pair in pairs:
        em = float(reading.chars.height[pair.label[0]])
        for group in groups:
            before = group[-1].label[0]
            drop = float(reading.chars.y[pair.label[0]] - reading.chars.y[before])
            aside = abs(float(reading.chars.x[pair.label[0]] - reading.chars.x[before]))
            if 0.5 * em < drop < 3.2 * em and aside < 0.8 * em:
                group.append(pair)
                break
        else:
            groups.append([pair])
    return [g for g in groups if len(g) >= FEWEST]
