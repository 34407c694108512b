"""How far a scanned page is turned from its axes, from the sharpness of its lines.

Edges of ink under lines of print (and beside columns, and along rules) fall into few rows when
the page is turned by the right angle, and into many otherwise. The angle at which they fall
together most is looked for, first coarsely and then finely.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewise.sources.components import Ink

MAX_SKEW_DEG: Final = 15.0
"""Largest angle that is looked for, either way."""

_COARSE_DEG: Final = 0.5
_FINE_DEG: Final = 0.05
_MAX_POINTS: Final = 60_000
_LEAST_POINTS: Final = 600

Points = NDArray[np.float32]


class Skew(NamedTuple):
    """An angle in degrees, clockwise, and how sure it is.

    ``gain``: sharpness at this angle over that at 0. ``peak``: over the median of all angles.
    ``spread_deg``: how far apart the two halves of the page are.
    """

    angle_deg: float
    gain: float
    peak: float
    spread_deg: float


def measure_skew(ink: Ink) -> Skew | None:
    """Angle by which the page was turned clockwise, within ``MAX_SKEW_DEG``; None if too empty.

    Lines may run along rows or along columns: turning by 90 degrees changes nothing here.

    Args:
        ink: (height, width); about 1600 px on the longer side give 0.1 degrees.
    """
    points = _edge_points(ink)
    if any(len(each) < _LEAST_POINTS for each in points):
        return None
    both = [_scores(each, _angles(0.0, MAX_SKEW_DEG, _COARSE_DEG), 2.0) for each in points]
    axis = int(max(both[1]) / np.median(both[1]) > max(both[0]) / np.median(both[0]))
    chosen, scores = points[axis], both[axis]
    coarse = _angles(0.0, MAX_SKEW_DEG, _COARSE_DEG)
    start = float(coarse[int(scores.argmax())])
    angle, best = _refined(chosen, start)
    flat = _scores(chosen, np.array([0.0]), 1.0)[0]
    middle = float(np.median(chosen[:, 0]))
    halves = [
        _refined(half, angle)[0]
        for half in (chosen[chosen[:, 0] < middle], chosen[chosen[:, 0] >= middle])
        if len(half) >= _LEAST_POINTS // 4
    ]
    return Skew(
        angle,
        float(best / flat),
        float(scores.max() / np.median(scores)),
        max(halves) - min(halves) if len(halves) == 2 else 90.0,
    )


def _edge_points(ink: Ink) -> tuple[Points, Points]:
    """Places (along, across) of edges below ink, and of edges right of it turned likewise.

    Both are in a frame where a clockwise turn of the page makes lines fall.
    """
    height, width = ink.shape
    y, x = np.nonzero(ink[:-1] & ~ink[1:])
    lower = np.stack([x - width / 2, y - height / 2], 1).astype(np.float32)
    y, x = np.nonzero(ink[:, :-1] & ~ink[:, 1:])
    right = np.stack([y - height / 2, width / 2 - x], 1).astype(np.float32)
    return _sampled(lower), _sampled(right)


def _sampled(points: Points) -> Points:
    if len(points) <= _MAX_POINTS:
        return points
    chosen = np.random.default_rng(0).choice(len(points), _MAX_POINTS, replace=False)
    return points[chosen]


def _angles(middle: float, reach: float, step: float) -> NDArray[np.float64]:
    count = round(reach / step)
    return middle + step * np.arange(-count, count + 1, dtype=np.float64)


def _scores(points: Points, angles: NDArray[np.float64], bin_px: float) -> NDArray[np.float64]:
    """Sum of squares of the number of points in each row, for each angle in degrees."""
    scores = np.empty(len(angles))
    for index, angle in enumerate(np.radians(angles)):
        across = points[:, 1] * np.float32(np.cos(angle)) - points[:, 0] * np.float32(np.sin(angle))
        bins = np.rint((across - across.min()) / np.float32(bin_px)).astype(np.int64)
        counts = np.bincount(bins).astype(np.float64)
        scores[index] = (counts**2).sum()
    return scores


def _refined(points: Points, start: float) -> tuple[float, float]:
    """Best angle near ``start`` and its score; a parabola through the best three."""
    angles = _angles(start, 0.8, _FINE_DEG)
    scores = _scores(points, angles, 1.0)
    at = int(np.clip(scores.argmax(), 1, len(scores) - 2))
    before, best, after = scores[at - 1 : at + 2]
    bend = before - 2 * best + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(angles[at] + np.clip(shift, -1, 1) * _FINE_DEG), float(best)
