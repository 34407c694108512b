"""Characters on a canvas → words, segments, rows and one reading order.

A word is a run of neighbouring characters, a segment a run of words with spaces between, a row
all segments at one height. Everything is geometry; nothing here is learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.models.nano.alphabet import PAGE_CHARS
from tilewise.models.nano.config import HALF_ROW, TILE
from tilewise.models.nano.detect import Detections

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

SAME_WORD, SPACE, CELL, LINE, BLOCK = range(5)
"""What lies between a character and the next in reading order."""

REACH: Final = 1.7
"""Largest distance of two characters' centres within a segment, in em."""


SURE: Final = 0.85
"""Probability from which on the encoder is believed, at a tile edge, that a word goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A canvas as text. Characters are sorted in reading order.

    ``chars``: the detections, sorted. ``gap`` int64 (n,): what follows each character. ``word``,
    ``segment``, ``row`` int64 (n,): where each belongs. ``origin`` int64 (n,): index of each
    character before sorting.
    """

    chars: Detections
    gap: Ints
    word: Ints
    segment: Ints
    row: Ints
    origin: Ints

    def __len__(self) -> int:
        return len(self.gap)

    def text(self) -> str:
        """All text: spaces between words and cells, newlines between lines."""
        between = ("", " ", " ", "\n", "\n")
        return "".join(
            PAGE_CHARS[c - 1] + between[g]
            for c, g in zip(self.chars.cls.tolist(), self.gap.tolist(), strict=True)
        ).rstrip("\n ")


def read(found: Detections, *, is_proofread: bool = False) -> Reading:
    """Order characters into text; where they were proofread, ``link`` holds at tile edges too."""
    n = len(found)
    if n == 0:
        empty = np.zeros(0, np.int64)
        return Reading(found, empty, empty, empty, empty, empty)
    after, spaced = _right_neighbours(found, is_proofread)
    chains = _chains(after)
    boxes = np.array([_box(found, c) for c in chains], np.float32)
    rows = _rows(found, chains, boxes)
    order = _order(boxes, np.array([len(c) for c in chains]), np.arange(len(chains)))
    return _sorted(found, [chains[i] for i in order], rows[order], spaced)


def _right_neighbours(found: Detections, is_proofread: bool) -> tuple[Ints, NDArray[np.bool_]]:
    """The next character to the right in a segment (or -1), and whether a space lies between."""
    n, far = len(found), 1e6
    band = (found.y // HALF_ROW).astype(np.int64)
    key = band * far + found.x.astype(np.float64)
    by_key = np.argsort(key, kind="stable")
    sorted_key = key[by_key]
    best, best_dx = np.full(n, -1, np.int64), np.full(n, np.inf)
    for step in (-2, -1, 0, 1, 2):
        first = np.searchsorted(sorted_key, (band + step) * far + found.x + 1e-3, side="right")
        for k in range(4):
            at = np.minimum(first + k, n - 1)
            j = by_key[at]
            dx = found.x[j] - found.x
            size = np.minimum(found.height, found.height[j])
            most = np.maximum(found.height, found.height[j])
            fits = (first + k < n) & (band[j] == band + step) & (dx > 0) & (dx < REACH * size)
            fits &= (np.abs(found.y[j] - found.y) < 0.38 * size) & (most < 1.8 * size)
            better = fits & (dx < best_dx)
            best[better], best_dx[better] = j[better], dx[better]
    return _unique_followers(found, best, best_dx, is_proofread)


def _unique_followers(
    found: Detections, best: Ints, dx: NDArray[np.float64], is_proofread: bool
) -> tuple[Ints, NDArray[np.bool_]]:
    n = len(best)
    has = np.flatnonzero(best >= 0)
    nearest = has[np.argsort(-dx[has], kind="stable")]
    owner = np.full(n, -1, np.int64)
    owner[best[nearest]] = nearest  # the last one written is the nearest
    best[has[owner[best[has]] != has]] = -1
    has = np.flatnonzero(best >= 0)
    size = found.height[has]
    free = (dx[has] - (_WIDTH[found.cls[has]] + _WIDTH[found.cls[best[has]]]) / 2 * size) / size
    word, space, end = found.link[has].T
    at_edge = ((TILE - found.x[has] % TILE) < 0.75 * size) & (not is_proofread)
    # Near a tile's right edge the encoder cannot see what follows. There a gap decides, and a small
    # one, as narrow letters of a monospaced face leave, only where the encoder is not sure.
    by_gap = (free > 0.28) | ((free > 0.14) & (word < SURE))
    spaced = np.where(at_edge, by_gap, space + end > word)
    spaced = (spaced | (free > 0.6)) & (free > -0.12)
    is_end = spaced & np.where(at_edge, free > 0.7, (end > np.maximum(space, word)) & (free > 0.25))
    best[has[is_end]] = -1
    out = np.zeros(n, np.bool_)
    out[has] = spaced
    return best, out


def _widths() -> Floats:
    """Rough advance of every class in em, the mean over common faces."""
    table = np.full(len(PAGE_CHARS) + 1, 0.54, np.float32)
    for chars, width in (
        ("iljI.,:;'!|`îíï·", 0.27), ("tfr()[]{}/\\-°\"*", 0.36), ("sczJ", 0.48),
        ("ABCDEGHKNOPQRSTUVXYZÄÖÜ&wÉ", 0.66), ("mMW@%©®…æ→", 0.88),
    ):  # fmt: skip
        for char in chars:
            if char in PAGE_CHARS:
                table[PAGE_CHARS.index(char) + 1] = width
    return table


_WIDTH: Final = _widths()


def _chains(after: Ints) -> list[Ints]:
    """Segments as lists of characters, left to right."""
    n = len(after)
    is_first = np.ones(n, np.bool_)
    is_first[after[after >= 0]] = False
    follow = after.tolist()
    out: list[Ints] = []
    for start in np.flatnonzero(is_first).tolist():
        chain = [start]
        while (nxt := follow[chain[-1]]) >= 0:
            chain.append(nxt)
        out.append(np.array(chain, np.int64))
    return out


def _box(found: Detections, chain: Ints) -> tuple[float, float, float, float]:
    size = float(np.median(found.height[chain]))
    x, y = found.x[chain], found.y[chain]
    return (
        float(x[0]) - 0.25 * size,
        float(y.min()) - 0.42 * size,
        float(x[-1]) + 0.25 * size,
        float(y.max()) + 0.42 * size,
    )


def _rows(found: Detections, chains: list[Ints], boxes: Floats) -> Ints:
    """Number of the row of every segment: neighbours at one height share one."""
    first = np.array([c[0] for c in chains])
    last = np.array([c[-1] for c in chains])
    row = np.arange(len(chains))
    by_left = np.argsort(boxes[:, 0], kind="stable")
    lefts = boxes[by_left, 0]
    for i in by_left.tolist():
        start = int(np.searchsorted(lefts, boxes[i, 2] - 1.0))
        later = by_left[start:]
        size = np.minimum(found.height[first[later]], found.height[last[i]])
        level = later[np.abs(found.y[first[later]] - found.y[last[i]]) < 0.4 * size]
        if len(level):
            row[level[0]] = row[i]
    return row


def _order(boxes: Floats, sizes: Ints, index: Ints) -> list[int]:
    """Cut the page at white bands: into columns where both sides are prose, else into rows."""
    out: list[int] = []
    pending = [index]
    while pending:
        group = pending.pop()
        if len(group) == 1:
            out.append(int(group[0]))
            continue
        parts = _columns(boxes, sizes, group) or _bands(boxes, sizes, group)
        if len(parts) == 1:
            parts = [group[p] for p in _runs(boxes[group, 0], boxes[group, 2], 0.0)]
        if len(parts) == 1:
            out += group[np.lexsort((boxes[group, 0], boxes[group, 1]))].tolist()
        else:
            pending += reversed(parts)
    return out


def _runs(low: Floats, high: Floats, least: float) -> list[Ints]:
    """Groups of intervals that no gap of ``least`` divides, in order."""
    by_low = np.argsort(low, kind="stable")
    reach = np.maximum.accumulate(high[by_low])
    cuts = np.flatnonzero(low[by_low][1:] - reach[:-1] > least) + 1
    return [np.asarray(p) for p in np.split(by_low, cuts)]


def _columns(
    boxes: Floats, sizes: Ints, group: Ints, *, only_prose: bool = False
) -> list[Ints] | None:
    """Parts side by side that are read one after the other: prose, or rows that do not match."""
    box = boxes[group]
    em = float(np.median(box[:, 3] - box[:, 1])) / 0.84
    parts = [group[p] for p in _runs(box[:, 0], box[:, 2], 0.7 * em)]
    if len(parts) < 2:
        return None
    prose = [_is_prose(boxes[p], sizes[p]) for p in parts]
    other = sum(len(p) for p, yes in zip(parts, prose, strict=True) if not yes)
    if sum(prose) >= 2 and other <= 0.5 * len(group):
        return parts
    if only_prose:
        return None
    for cut in range(1, len(parts)):
        left, right = np.concatenate(parts[:cut]), np.concatenate(parts[cut:])
        if (
            boxes[right, 0].min() - boxes[left, 2].max() > 1.2 * em
            and min(len(parts[cut - 1]), len(parts[cut])) > 2
            and _matching_rows(boxes, left, right, em) < 0.5
        ):
            return [left, right]
    return None


def _is_prose(box: Floats, sizes: Ints) -> bool:
    """Whether segments fill their column like running text."""
    width = box[:, 2].max() - box[:, 0].min()
    full = np.mean((box[:, 2] - box[:, 0]) > 0.7 * width)
    return len(box) >= 2 and float(np.mean(sizes)) >= 17 and float(full) >= 0.55


def _matching_rows(boxes: Floats, left: Ints, right: Ints, em: float) -> float:
    """Share of rows, in the part with fewer, that have one at the same height beside them."""
    a, b = ((boxes[p, 1] + boxes[p, 3]) / 2 for p in (left, right))
    few, many = (a, b) if len(a) <= len(b) else (b, a)
    return float(np.mean(np.abs(few[:, None] - many[None]).min(1) < 0.25 * em))


def _bands(boxes: Floats, sizes: Ints, group: Ints) -> list[Ints]:
    """Split into what stands above columns of prose and these, else at the widest white bands."""
    box = boxes[group]
    shrink = 0.12 * (box[:, 3] - box[:, 1])
    parts = _runs(box[:, 1] + shrink, box[:, 3] - shrink, 0.0)
    if len(parts) < 3:
        return [group[p] for p in parts]
    for first in range(1, len(parts) - 1):
        below = group[np.concatenate(parts[first:])]
        if _columns(boxes, sizes, below, only_prose=True):
            return [group[np.concatenate(parts[:first])], below]
    low = np.array([(box[p, 1]).min() for p in parts])
    high = np.array([(box[p, 3]).max() for p in parts])
    white = low[1:] - high[:-1]
    widest = float(white.max())
    cuts = np.flatnonzero(white >= 0.75 * widest) + 1
    edges = [0, *cuts.tolist(), len(parts)]
    return [group[np.concatenate(parts[a:b])] for a, b in pairwise(edges)]


def _sorted(
    found: Detections, chains: list[Ints], rows: Ints, spaced: NDArray[np.bool_]
) -> Reading:
    """Put characters in order and say what lies between neighbours."""
    index = np.concatenate(chains)
    ends = np.cumsum([len(c) for c in chains]) - 1
    gap = np.where(spaced[index], SPACE, SAME_WORD).astype(np.int64)
    segment = np.repeat(np.arange(len(chains)), [len(c) for c in chains])
    row = np.repeat(rows, [len(c) for c in chains])
    size, x, y = found.height[index], found.x[index], found.y[index]
    for k, end in enumerate(ends[:-1].tolist()):
        a, b = end, end + 1
        if rows[k] == rows[k + 1]:
            gap[end] = CELL
            continue
        left_a, left_b = x[a - len(chains[k]) + 1], x[b]
        drop = (y[b] - y[a]) / size[a]
        is_near = 0.6 < drop < 2.1 and 0.8 < size[b] / size[a] < 1.25
        overlaps = left_b < x[a] and x[b + len(chains[k + 1]) - 1] > left_a
        gap[end] = LINE if is_near and overlaps else BLOCK
    gap[-1] = BLOCK
    word = np.concatenate([[0], np.cumsum(gap[:-1] != SAME_WORD)]).astype(np.int64)
    chars = Detections(
        found.cls[index],
        found.prob[index],
        x,
        y,
        size,
        found.link[index],
        found.width,
        found.canvas_height,
    )
    return Reading(chars, gap, word, segment, row, index)
