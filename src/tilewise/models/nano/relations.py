"""How places on the page where an answer may start lie to the anchors of a question, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.models.nano.alphabet import class_of
from tilewise.models.nano.match import ANCHOR_FEATURES, Anchors, numbers
from tilewise.models.nano.reading import CELL, LINE, SAME_WORD, SPACE, Reading
from tilewise.models.nano.series import FORMS

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

START_FEATURES: Final = 24
RELATION_FEATURES: Final = 22 + FORMS + ANCHOR_FEATURES

_OPENERS: Final = np.array([class_of(c) for c in "([{:=\"'/|"], np.int64)
_COLON: Final = np.array([class_of(c) for c in ":="], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Starts:
    """Places where an answer may start: word starts, and characters after an opening mark.

    ``char`` int64 (n,): characters of the reading. ``features`` float32 (n, START_FEATURES).
    ``left``, ``right``, ``middle``, ``size`` float32 (n,): extent of the word, its height, px.
    """

    char: Ints
    features: Floats
    left: Floats
    right: Floats
    middle: Floats
    size: Floats
    row_rank: Ints


def starts(reading: Reading) -> Starts:
    """Find the places where answers may start."""
    n = len(reading)
    gap, chars = reading.gap, reading.chars
    begins = np.ones(n, np.bool_)
    begins[1:] = (gap[:-1] != SAME_WORD) | np.isin(chars.cls[:-1], _OPENERS)
    at = np.flatnonzero(begins)
    word_last = np.zeros(n, np.int64)
    ends = np.flatnonzero(np.append(gap[:-1] != SAME_WORD, True)) if n else at
    word_last = ends[np.searchsorted(ends, at)] if n else at
    row_rank = _row_rank(reading)
    left = chars.x[at] - 0.25 * chars.height[at]
    right = chars.x[word_last] + 0.25 * chars.height[at] if n else left
    features = _own(reading, at, word_last, row_rank)
    return Starts(at, features, left, right, chars.y[at], chars.height[at], row_rank[at])


def _row_rank(reading: Reading) -> Ints:
    """Number of every character's row counted from the top of the page, from 0."""
    if len(reading) == 0:
        return np.zeros(0, np.int64)
    _, inverse = np.unique(reading.row, return_inverse=True)
    count = np.bincount(inverse)
    mean = np.bincount(inverse, reading.chars.y) / count
    rank = np.empty(len(count), np.int64)
    rank[np.argsort(mean, kind="stable")] = np.arange(len(count))
    return rank[inverse]


def _own(reading: Reading, at: Ints, word_last: Ints, row_rank: Ints) -> Floats:
    """What a place is by itself, (n, START_FEATURES)."""
    out = np.zeros((len(at), START_FEATURES), np.float32)
    if len(at) == 0:
        return out
    chars, gap = reading.chars, reading.gap
    size = chars.height[at]
    before = np.where(at > 0, gap[np.maximum(at - 1, 0)], CELL + 2)
    previous = np.where(at > 0, chars.cls[np.maximum(at - 1, 0)], 0)
    top = float(np.quantile(chars.height, 0.995))
    first, _, _ = numbers(reading)
    rank = row_rank[at]
    row_first = np.full(rank.max() + 1, np.inf)
    np.minimum.at(row_first, rank, chars.x[at])
    segment_length = np.bincount(reading.segment)[reading.segment[at]]
    is_tall = size > 0.93 * top
    columns = (
        np.log(size / np.median(chars.height)), is_tall, is_tall & _first_of(is_tall),
        chars.x[at] / chars.width, chars.y[at] / chars.canvas_height, np.log1p(rank) / 4, rank == 0,
        chars.x[at] <= row_first[rank] + 0.5, at == 0, before == SAME_WORD, before == SPACE,
        before == CELL, before == LINE, before > LINE, np.isin(previous, _COLON),
        np.isin(at, first),
        np.log1p(word_last - at) / 2, gap[word_last] >= CELL, np.log1p(segment_length) / 3,
        chars.cls[at] <= 32, size / 40, np.log(np.maximum(size, 1) / top),
    )  # fmt: skip
    for i, column in enumerate(columns):
        out[:, i] = column
    return out


def _first_of(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    out = np.zeros_like(mask)
    if mask.any():
        out[int(np.argmax(mask))] = True
    return out


LINE_FLAG: Final = START_FEATURES - 1
"""The last own feature: whether the place begins the line whose number the question names."""


def flag_line(places: Starts, line: int | None) -> NDArray[np.float32]:
    """(n,): 1 where a place begins line ``line``, counted from 1 at the top."""
    if line is None:
        return np.zeros(len(places.char), np.float32)
    return ((places.row_rank == line - 1) & (places.features[:, 7] > 0)).astype(np.float32)


def relations(
    reading: Reading, places: Starts, anchors: Anchors, entries: Sequence[Ints]
) -> Floats:
    """Every place against every anchor, float32 (n, k, RELATION_FEATURES); zeros where invalid.

    ``entries``: named numbers of the page, as ``series.entries`` gives them.
    """
    n, k = len(places.char), len(anchors.first)
    out = np.zeros((n, k, RELATION_FEATURES), np.float32)
    if n == 0 or not anchors.valid.any():
        return out
    chars, gap = reading.chars, reading.gap
    first, last = anchors.first, anchors.last
    em = chars.height[last]
    tail = _last_of_row(reading, first, last)
    a_left, a_right = chars.x[first] - 0.25 * em, chars.x[last] + 0.25 * em
    a_left = np.where(tail, chars.x[last] - 0.5 * em, a_left)
    middle = (a_left + a_right) / 2
    p_middle = (places.left + places.right) / 2
    word = reading.word
    overlap = np.minimum(places.right[:, None], a_right) - np.maximum(places.left[:, None], a_left)
    least = np.minimum((places.right - places.left)[:, None], a_right - a_left)
    dx = (places.left[:, None] - a_right) / em
    dy = (places.middle[:, None] - chars.y[last]) / em
    same_row = reading.row[places.char][:, None] == reading.row[last]
    steps = word[places.char][:, None] - word[last]
    between = _marks_between(reading, places.char, last)
    right_near = same_row & (dx > -0.4)
    below, above = (dy > 0.5) & (overlap > 0), (dy < -0.5) & (overlap > 0)
    columns = (
        _squash(dx), _squash(dy), _squash((p_middle[:, None] - middle) / em),
        overlap / np.maximum(least, 1), _squash((places.left[:, None] - a_left) / em),
        _squash((places.right[:, None] - a_right) / em), same_row,
        places.char[:, None] == last + 1, between, (steps == 1), _squash(steps / 3),
        right_near, _nearest(dx, right_near), below, _nearest(dy, below), above,
        _nearest(-dy, above), np.abs(dy) < 0.35, np.log(places.size[:, None] / em),
        (gap[last] >= CELL)[None] & (steps == 1),
        (places.char[:, None] >= first) & (places.char[:, None] <= last),
        np.ones((n, k), np.float32), *(_is_named(places.char, anchors, some) for some in entries),
    )  # fmt: skip
    for i, column in enumerate(columns):
        out[:, :, i] = column
    out[:, :, len(columns) :] = anchors.features
    return out * anchors.valid[None, :, None]


def _is_named(at: Ints, anchors: Anchors, entries: Ints) -> NDArray[np.bool_]:
    """Whether places begin the number of an entry whose label an anchor stands in, (n, k)."""
    first, last, number = entries.T
    touches = (anchors.first <= last[:, None]) & (anchors.last >= first[:, None])
    begins = at[:, None] == number
    return (begins.astype(np.int32) @ touches.astype(np.int32)) > 0


def _squash(x: NDArray[np.floating]) -> NDArray[np.floating]:
    """Signed logarithm, so that near is told from nearer and far from farther."""
    return np.sign(x) * np.log1p(np.abs(x)) / 2


def _nearest(distance: NDArray[np.floating], among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Marks the nearest of ``among`` for every anchor."""
    far = np.where(among, distance, np.inf)
    return among & (far <= far.min(0, keepdims=True) + 0.3)


def _marks_between(reading: Reading, at: Ints, last: Ints) -> NDArray[np.bool_]:
    """Whether only marks (colons, dots, dashes) stand between an anchor's end and a place."""
    is_mark = np.isin(reading.chars.cls, _FILLERS)
    count = np.concatenate([[0], np.cumsum(~is_mark)])
    inner = count[at][:, None] - count[np.minimum(last + 1, len(reading))]
    return (inner == 0) & (at[:, None] > last)


_FILLERS: Final = np.array([class_of(c) for c in ":=-.|()·…\"'"], np.int64)


def _last_of_row(reading: Reading, first: Ints, last: Ints) -> NDArray[np.bool_]:
    """Whether an anchor runs over a row's end."""
    return reading.row[first] != reading.row[last]
