"""Characters on a canvas ↔ slots of 4 × 14 px: training targets one way, detections the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.models.nano.alphabet import classes_of
from tilewise.models.nano.config import COLUMN, HALF_ROW

IGNORE: Final = -100
EM: Final = 16.0
"""Heights are coded as log(px per em / EM)."""
SMALLEST_PX: Final = 8.0
"""Characters below this size are neither asked for nor punished."""


@dataclass(frozen=True, slots=True, eq=False)
class SlotTargets:
    """What each slot of a canvas should say; rows × cols = canvas height / 14 × width / 4.

    ``char`` int64 (rows, cols): class, 0 blank, IGNORE where either answer is right. ``link``
    int64, IGNORE on blanks. ``place`` float32 (3, rows, cols): column and half-row offset, log
    height.
    """

    char: NDArray[np.int64]
    link: NDArray[np.int64]
    place: NDArray[np.float32]


def slot_targets(
    code: NDArray[np.uint32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    height: NDArray[np.float32],
    link: NDArray[np.uint8],
    canvas_width: int,
    canvas_height: int,
) -> SlotTargets:
    """Put every character into the slot that holds its centre; n characters, px of the canvas.

    Two in one slot: the later one goes to the free neighbour column. The neighbour across a
    nearby slot border is ignored, because there a split answer is no mistake.
    """
    rows, cols = canvas_height // HALF_ROW, canvas_width // COLUMN
    char = np.zeros((rows, cols), np.int64)
    links = np.full((rows, cols), IGNORE, np.int64)
    place = np.zeros((3, rows, cols), np.float32)
    classes = classes_of(code)
    u, v = x / COLUMN, y / HALF_ROW
    col, row = np.floor(u).astype(int), np.floor(v).astype(int)
    inside = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
    _ignore(char, u, v, inside)
    for i in np.flatnonzero(inside):
        r, c = row[i], col[i]
        if classes[i] == 0 or height[i] < SMALLEST_PX:
            if char[r, c] <= 0:
                char[r, c] = IGNORE
            continue
        if char[r, c] > 0:
            c += 1 if u[i] - c >= 0.5 else -1
            if not 0 <= c < cols or char[r, c] > 0:
                continue
        char[r, c] = classes[i]
        links[r, c] = link[i]
        place[:, r, c] = u[i] - c - 0.5, v[i] - r - 0.5, np.log(height[i] / EM)
    return SlotTargets(char, links, place)


def _ignore(
    char: NDArray[np.int64],
    u: NDArray[np.floating],
    v: NDArray[np.floating],
    inside: NDArray[np.bool_],
) -> None:
    """Mark the neighbours across slot borders that lie within 1.2 px (columns) or 2 px (rows)."""
    rows, cols = char.shape
    for du, dv in ((-0.3, 0.0), (0.3, 0.0), (0.0, -0.15), (0.0, 0.15)):
        c = np.clip(np.floor(u[inside] + du).astype(int), 0, cols - 1)
        r = np.clip(np.floor(v[inside] + dv).astype(int), 0, rows - 1)
        char[r, c] = IGNORE
    c, r = np.floor(u[inside]).astype(int), np.floor(v[inside]).astype(int)
    char[r, c] = 0
