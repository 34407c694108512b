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
TEXTURE_PX: Final = 5.5
"""Characters below this size are no characters: their slots should stay blank."""


@dataclass(frozen=True, slots=True, eq=False)
class SlotTargets:
    """What each slot of a canvas should say; rows × cols = canvas height / 14 × width / 4.

    ``char`` int64 (rows, cols): class, 0 blank, IGNORE where either answer is right. ``link``
    int64, IGNORE on blanks. ``near`` int64 (rows, cols): where char is IGNORE because a character
    stands just across the border, its class, else 0. ``place`` float32 (3, rows, cols): column
    and half-row offset, log height, where char or near is above 0.
    """

    char: NDArray[np.int64]
    link: NDArray[np.int64]
    near: NDArray[np.int64]
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
    nearby slot border may say the same character or none: a split answer is no mistake there, but
    if it speaks, it must give the same class and place, so that one of the two can be dropped.
    """
    rows, cols = canvas_height // HALF_ROW, canvas_width // COLUMN
    char = np.zeros((rows, cols), np.int64)
    links = np.full((rows, cols), IGNORE, np.int64)
    near = np.zeros((rows, cols), np.int64)
    place = np.zeros((3, rows, cols), np.float32)
    classes = classes_of(code)
    u, v = x / COLUMN, y / HALF_ROW
    col, row = np.floor(u).astype(int), np.floor(v).astype(int)
    inside = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
    legible = inside & (classes > 0) & (height >= SMALLEST_PX)
    size = np.log(np.maximum(height, 1.0) / EM)
    _across(char, near, place, u, v, size, np.where(legible, classes, 0), inside)
    for i in np.flatnonzero(inside):
        r, c = row[i], col[i]
        if height[i] < TEXTURE_PX:
            continue
        if classes[i] == 0 or height[i] < SMALLEST_PX:
            if char[r, c] <= 0:
                char[r, c] = IGNORE
                near[r, c] = 0
            continue
        if char[r, c] > 0:
            c += 1 if u[i] - c >= 0.5 else -1
            if not 0 <= c < cols or char[r, c] > 0:
                continue
        char[r, c], near[r, c] = classes[i], 0
        links[r, c] = link[i]
        place[:, r, c] = u[i] - c - 0.5, v[i] - r - 0.5, size[i]
    return SlotTargets(char, links, near, place)


def _across(
    char: NDArray[np.int64],
    near: NDArray[np.int64],
    place: NDArray[np.float32],
    u: NDArray[np.floating],
    v: NDArray[np.floating],
    size: NDArray[np.floating],
    classes: NDArray[np.int64],
    inside: NDArray[np.bool_],
) -> None:
    """Fill the neighbours across slot borders that lie within 1.2 px (columns) or 2 px (rows).

    Of two characters that both come near a slot neither is asked for there.
    """
    rows, cols = char.shape
    own_c, own_r = np.floor(u[inside]).astype(int), np.floor(v[inside]).astype(int)
    for du, dv in ((-0.3, 0.0), (0.3, 0.0), (0.0, -0.15), (0.0, 0.15)):
        c = np.clip(np.floor(u[inside] + du).astype(int), 0, cols - 1)
        r = np.clip(np.floor(v[inside] + dv).astype(int), 0, rows - 1)
        for i, k in enumerate(np.flatnonzero(inside)):
            if r[i] == own_r[i] and c[i] == own_c[i]:
                continue
            is_first = char[r[i], c[i]] == 0
            char[r[i], c[i]] = IGNORE
            near[r[i], c[i]] = classes[k] if is_first else 0
            place[:, r[i], c[i]] = u[k] - c[i] - 0.5, v[k] - r[i] - 0.5, size[k]
    char[own_r, own_c] = 0
    near[own_r, own_c] = 0
