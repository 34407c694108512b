"""Boxes in answers against reference boxes in pixels.

Both rules are InternVL's own, faults included, so that numbers can be compared with its.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

_BOX: Final = re.compile(r"\[*\[(.*?),(.*?),(.*?),(.*?)\]\]*")
"""The first list of four things, however many brackets stand around it."""

_UNITS: Final = 1000
_LEAST_SUM: Final = 4.0
"""Four numbers that add up to less are fractions of the page, else thousandths of it."""


class Size(NamedTuple):
    """Width and height of an image in pixels."""

    width: int
    height: int


def refcoco_iou(answer: str, box: Sequence[float], size: Size) -> float:
    """How well the first box of an answer meets the reference, by the rule of RefCOCO.

    Numbers that add up to 4 or more are thousandths of the image, others fractions; none are cut
    to the image. An answer without four numbers counts as an empty box in the corner.

    Args:
        answer: what the model said.
        box: left, top, right, bottom in pixels.
        size: of the image.

    Returns:
        Intersection over union, computed in float32. A hit is 0.5 or more.

    Source: InternVL's evaluation of RefCOCO.
    """
    match = _BOX.search(answer)
    try:
        numbers = [float(part) for part in match.groups()] if match else [0.0] * 4
    except ValueError:
        numbers = [0.0] * 4
    found, wanted = np.array(numbers, np.float32), np.array(box, np.float32)
    if found.sum() >= _LEAST_SUM:
        found = found / np.float32(_UNITS)
    found = found * np.array([*size, *size], np.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inside = np.minimum(found[2:], wanted[2:]) - np.maximum(found[:2], wanted[:2])
        both = np.prod(np.maximum(inside, 0))
        areas = [np.prod(some[2:] - some[:2]) for some in (found, wanted)]
        return float(both / (areas[0] + areas[1] - both))


def dior_rsvg_hit(answer: str, box: Sequence[float], size: Size) -> bool:
    """Whether an answer's box meets the reference, by the rule of DIOR-RSVG.

    The first list in brackets must be a list of one list of four numbers, in thousandths of the
    image, to which they are cut. A box of one pixel has sides of 1, not 0.

    Args:
        answer: what the model said.
        box: left, top, right, bottom in pixels.
        size: of the image.

    Source: InternVL's evaluation of remote sensing; more than half must be shared.
    """
    match = _BOX.search(answer)
    if match is None:
        return False
    try:
        x1, y1, x2, y2 = json.loads(match[0])[0]
        left, right = (_cut(x / _UNITS * size.width, size.width) for x in (x1, x2))
        top, bottom = (_cut(y / _UNITS * size.height, size.height) for y in (y1, y2))
        return _iou_of_pixels((left, top, right, bottom), box) > 0.5
    except (ValueError, TypeError, KeyError, IndexError, ZeroDivisionError):
        return False


def _cut(at: float, most: float) -> float:
    return min(max(at, 0), most)


def _iou_of_pixels(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union where right and bottom belong to the box."""
    width = min(one[2], other[2]) - max(one[0], other[0]) + 1
    height = min(one[3], other[3]) - max(one[1], other[1]) + 1
    both = max(0, width) * max(0, height)
    areas = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (one, other)]
    return both / (areas[0] + areas[1] - both)
