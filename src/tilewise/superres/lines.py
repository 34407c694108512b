"""Lines of print on a picture: where they are, and how high their small letters are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tilewise.sources.components import Boxes, pieces

Floats = NDArray[np.float32]
Inks = NDArray[np.bool_]

MOST_PIECES, BANDS = 700, 4
"""Of a picture, so many are looked at, in so many bands: half tones have thousands."""

LEAST_HEIGHT, MOST_HEIGHT = 3, 110
"""Of pieces that may be letters, in px."""

CAPITALS: Final = 0.70
"""Small letters by capitals and figures, the middle of common faces."""

PIECE: Final = 14.0
"""A line is measured in stretches of so many of its heights, so that it may be askew."""

DOTS, EVEN = 8, 0.8
"""A dotted line has so many pieces, and so much of them are alike and at even steps."""

LEAST_STRETCH: Final = 3.0
"""A stretch has at least so many heights of its small letters, and two pieces."""

OUTSIDE: Final = 0.12
"""Ink just above and below a line, by that among its small letters: at most so much."""

UNEVEN: Final = 0.5
"""How far paper around a line strays from its middle, by how far ink is from it: at most."""

LEAST_INK: Final = 6.0
"""Mean difference from paper among small letters, in grey levels."""

ASCENDERS: Final = 0.045
"""Ink above small letters, by that among them, from which on there are taller ones; capitals and
figures alone have at most 0.02, lines with small letters 0.1 to 0.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A stretch of a line of print in px of its picture.

    ``top`` and ``bottom`` bound its small letters, ``x_height`` is between them, ``is_dark`` says
    whether ink is darker than paper. Where the line has capitals or figures alone, ``top`` is
    theirs and ``x_height`` what small letters would have.
    """

    left: int
    right: int
    top: float
    bottom: float
    x_height: float
    is_dark: bool

    @property
    def length(self) -> int:
        """From left to right."""
        return self.right - self.left

    def reduced(self, factor: int) -> Line:
        """The line on its picture made so many times smaller."""
        return replace(
            self,
            left=self.left // factor,
            right=-(-self.right // factor),
            top=self.top / factor,
            bottom=self.bottom / factor,
            x_height=self.x_height / factor,
        )


def find_lines(levels: Floats, ink: Inks) -> list[Line]:
    """Find stretches of lines of print.

    Args:
        levels: grey levels (height, width), 0 to 255.
        ink: where the picture differs from its paper, (height, width).
    """
    boxes = _spread(_without_dots(_letters(pieces(ink))))
    found = []
    for chain in _chains(boxes):
        for part in _stretches(boxes[chain]):
            line = _measured(levels, ink, part)
            if line is not None:
                found.append(line)
    with_small = [line for line, has_small in found if has_small]
    if 3 * len(with_small) >= len(found):
        return with_small
    return [_as_capitals(line) for line, _ in found]


def _letters(boxes: Boxes) -> Boxes:
    """Pieces that may be letters, or words whose letters touch; from the top down."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    fits = (height >= LEAST_HEIGHT) & (height <= MOST_HEIGHT) & (width < 25 * height)
    chosen = boxes[fits]
    return chosen[np.argsort(chosen[:, 1], kind="stable")]


def _without_dots(boxes: Boxes) -> Boxes:
    """Leave out dotted and dashed lines, whose pieces would pass for letters of their height."""
    rows = boxes[:, [1, 3]]
    keys, counts = np.unique(rows, axis=0, return_counts=True)
    is_dot = np.zeros(len(boxes), np.bool_)
    for key in keys[counts >= DOTS]:
        at = np.flatnonzero((np.abs(rows - key) <= 1).all(1))
        is_dot[at] |= _is_dotted(boxes[at])
    return boxes[~is_dot]


def _is_dotted(boxes: Boxes) -> bool:
    """Whether pieces at one height are of one width, at even steps, and far apart.

    Figures and capitals are higher than wide; characters as wide as high stand closer.
    """
    left = np.sort(boxes[:, 0])
    wide, tall = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    width, height, step = (float(np.median(v)) for v in (wide, tall, np.diff(left)))
    if width < 0.8 * (height - 1) or step < 1.4 * width:
        return False
    is_like = np.abs(wide - width) <= 1
    is_next = np.abs(np.diff(left) - step) <= 1
    return bool(is_like.mean() >= EVEN and is_next.mean() >= EVEN)


def _spread(boxes: Boxes) -> Boxes:
    """At most ``MOST_PIECES``, in bands over the whole height where there are more."""
    if len(boxes) <= MOST_PIECES:
        return boxes
    band = MOST_PIECES // BANDS
    starts = np.linspace(0, len(boxes) - band, BANDS).astype(np.intp)
    return boxes[np.unique((starts[:, None] + np.arange(band)).ravel())]


def _chains(boxes: Boxes) -> list[list[int]]:
    """Pieces beside each other at one height, as lists from left to right."""
    if not len(boxes):
        return []
    left, top, right, bottom = boxes.T.astype(np.int32)
    height = bottom - top
    gap = left[None] - right[:, None]
    least = np.minimum(height[:, None], height[None])
    common = np.minimum(bottom[:, None], bottom[None]) - np.maximum(top[:, None], top[None])
    most = np.maximum(height[:, None], height[None])
    fits = (left[None] > left[:, None]) & (gap < 1.2 * most) & (gap > -least)
    fits &= (2 * common >= least) & (most <= 2.5 * least)
    far = np.where(fits, left[None] - left[:, None], np.iinfo(np.int32).max)
    follower = far.argmin(1)
    has = fits[np.arange(len(boxes)), follower]
    taken: dict[int, int] = {}
    for at in np.argsort(far.min(1), kind="stable").tolist():
        if has[at] and int(follower[at]) not in taken:
            taken[int(follower[at])] = at
    after = {before: one for one, before in taken.items()}
    chains = []
    for start in range(len(boxes)):
        if start not in taken:
            chain = [start]
            while chain[-1] in after:
                chain.append(after[chain[-1]])
            chains.append(chain)
    return chains


def _stretches(boxes: Boxes) -> list[Boxes]:
    """A chain cut so that no part is longer than ``PIECE`` of its heights."""
    height = float(np.median(boxes[:, 3] - boxes[:, 1]))
    number = ((boxes[:, 0] - boxes[0, 0]) // (PIECE * height)).astype(np.int32)
    cuts = np.flatnonzero(np.diff(number)) + 1
    return list(np.split(boxes, cuts))


def _measured(levels: Floats, ink: Inks, boxes: Boxes) -> tuple[Line, bool] | None:
    """A stretch's small letters and whether it has letters of other heights; None if no print."""
    left, top = int(boxes[:, 0].min()), int(boxes[:, 1].min())
    right, bottom = int(boxes[:, 2].max()), int(boxes[:, 3].max())
    tall = bottom - top
    if len(boxes) < 2 or right - left < 2 * tall or tall > MOST_HEIGHT:
        return None
    edge = max(3, tall // 3)
    first, last = max(0, top - edge), min(len(levels), bottom + edge)
    part, spots = levels[first:last, left:right], ink[first:last, left:right]
    if spots.all():
        return None
    counts = np.bincount(part[~spots].astype(np.uint8), minlength=256)
    paper, inked = _quantile(np.arange(256), counts, 0.5), float(part[spots].mean())
    apart = abs(inked - paper)
    if _quantile(np.abs(np.arange(256) - paper), counts, 0.75) > UNEVEN * apart:
        return None
    rows = np.clip((paper - part) if inked < paper else (part - paper), 0, None).mean(1)
    found = _zone(rows, top - first, tall)
    if found is None or right - left < LEAST_STRETCH * (found[1] - found[0]):
        return None
    start, stop, has_other = found
    line = Line(
        left=left, right=right, top=first + start, bottom=first + stop,
        x_height=stop - start, is_dark=inked < paper,
    )  # fmt: skip
    return line, has_other


def _quantile(values: NDArray[Any], counts: NDArray[np.intp], share: float) -> float:
    """The value that so much of all are at most, of values that come so many times."""
    order = np.argsort(values, kind="stable")
    reach = np.cumsum(counts[order])
    return float(values[order][int(np.searchsorted(reach, share * reach[-1]))])


def _zone(rows: Floats, top: int, tall: int) -> tuple[float, float, bool] | None:
    """Where ink rises and falls most, and whether there is ink above; None if no line.

    Ink reaches from ``top`` over ``tall`` rows. Its lower half holds the foot of letters, and a
    third of it lies between their heads and that: strokes within letters have steep edges too.
    """
    steps = np.diff(np.pad(rows, 1))
    half = top + tall // 2
    end = half + int(steps[half:].argmin())
    heads = steps[: max(2, end - round(0.33 * tall))]
    at = int(heads.argmax())
    if end - at < 2 or steps[at] <= 0 or steps[end] >= 0:
        return None
    start, stop = _peak(steps, at), _peak(-steps, end)
    core = float(np.median(rows[round(start) : max(round(stop), round(start) + 1)]))
    if core < LEAST_INK or max(float(rows[0]), float(rows[-1])) > OUTSIDE * core:
        return None
    places = np.linspace(start - 0.38 * (stop - start), start - 0.15 * (stop - start), 9)
    above = np.interp(places - 0.5, np.arange(len(rows)), rows)
    return start, stop, float(above.mean()) > ASCENDERS * core


def _peak(steps: Floats, at: int) -> float:
    """The place of a highest step between rows: the middle of it and its neighbours."""
    near = steps[max(0, at - 1) : at + 2].clip(0)
    places = np.arange(len(near)) + max(0, at - 1)
    return float((near * places).sum() / near.sum())


def _as_capitals(line: Line) -> Line:
    return replace(line, x_height=CAPITALS * line.x_height)
