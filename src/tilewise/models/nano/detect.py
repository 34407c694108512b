"""From what the encoder says of every slot to characters on the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from tilewise.models.nano.alphabet import ADVANCE_EM
from tilewise.models.nano.config import COLUMN, HALF_ROW, TILE, TOKEN, TOKEN_SLOTS
from tilewise.models.nano.encoder import Dense
from tilewise.models.nano.slots import EM

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MOST_LIKELY: Final = 4
"""Classes kept of every slot's posterior; the rest holds less than it costs."""

IN_TOKENS: Final = 2
"""Of these, classes that visual tokens are made of."""

NEAR: Final = 0.6
LESS_NEAR: Final = 0.75
SURE: Final = 0.98
LEAST_PX: Final = 1.4
"""How near two characters may stand; chosen on 60 held-out pages (docs/log.md)."""

SIZE_RANGE: Final = (-1.0, 2.2)
"""Of the logarithm of a character's height by ``slots.EM``."""

DOUBTFUL: Final = 0.25
"""Probability from which on a slot is a candidate."""

HAND_OVER: Final = {1.0: (14.0, 17.0), 0.75: (20.0, 27.0), 0.5: (34.0, 44.0), 0.25: (68.0, 88.0)}
"""Heights, in px of the canvas, at which a level of this scale takes over from the finer one before
it: below the first only the finer one is believed, above the second only this one, between them the
surer. Chosen on pages made for development (docs/log.md)."""

INSIDE: Final = 0.55
"""What is less than this part of a large character's height and stands inside it is a piece."""

FULL: Final = 0.15
"""Part of a large character's box under sure small ones from which on these are believed."""

FEWEST_SURER: Final = 2
"""Small characters, surer than a large one that they stand in, from which on there is none."""

REACH_ROWS: Final = 2
REACH_COLS: Final = 9
"""Slots within which one large character may be named twice."""


@dataclass(frozen=True, slots=True, eq=False)
class SlotMap:
    """Every slot of a canvas or tile: rows × cols, best non-blank classes first.

    ``cls`` int64 and ``prob`` float32 are (MOST_LIKELY, rows, cols), ``link`` float32 (3, rows,
    cols) probabilities, ``place`` float32 (3, rows, cols) as in ``encoder.Dense``.
    """

    cls: Ints
    prob: Floats
    link: Floats
    place: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Characters found on a canvas of ``width`` × ``height`` px; arrays of length n.

    ``cls`` class, ``prob`` probability that a character stands there at all times its class's,
    ``x`` and ``y`` centre in px, ``height`` px per em, ``link`` float32 (n, 3) what follows.
    """

    cls: Ints
    prob: Floats
    x: Floats
    y: Floats
    height: Floats
    link: Floats
    width: int
    canvas_height: int

    def __len__(self) -> int:
        return len(self.cls)

    def only(self, keep: NDArray[np.bool_] | Ints) -> Detections:
        """Part of the characters."""
        return Detections(
            self.cls[keep], self.prob[keep], self.x[keep], self.y[keep], self.height[keep],
            self.link[keep], self.width, self.canvas_height,
        )  # fmt: skip

    def token_slots(self) -> tuple[Ints, Ints]:
        """Visual token (row-major on the assembled map) and slot (0 to 13) of every character."""
        cols = self.width // TOKEN
        row = np.clip(self.y // HALF_ROW, 0, self.canvas_height // HALF_ROW - 1).astype(np.int64)
        col = np.clip(self.x // COLUMN, 0, self.width // COLUMN - 1).astype(np.int64)
        return (row // 2) * cols + col // 7, (row % 2) * 7 + col % 7


def slot_map(out: Dense) -> list[SlotMap]:
    """Posterior of every tile's slots, kept to the likeliest classes."""
    prob = out.char.softmax(1)[:, 1:]
    top, cls = prob.topk(MOST_LIKELY, dim=1)
    link = out.link.softmax(1)
    return [
        SlotMap(
            (cls[i] + 1).numpy(),
            top[i].float().numpy(),
            link[i].float().numpy(),
            out.place[i].float().numpy(),
        )
        for i in range(len(cls))
    ]


def assemble(maps: list[SlotMap], cols: int) -> SlotMap:
    """Slots of tiles, row by row with ``cols`` tiles a row → slots of the whole canvas."""

    def join(name: str) -> NDArray[np.generic]:
        rows = [
            np.concatenate([getattr(m, name) for m in maps[i : i + cols]], axis=2)
            for i in range(0, len(maps), cols)
        ]
        return np.concatenate(rows, axis=1)

    return SlotMap(
        join("cls").astype(np.int64),
        join("prob").astype(np.float32),
        join("link").astype(np.float32),
        join("place").astype(np.float32),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Slots of a page at ``scale`` px to one of its canvas, encoded in blocks of ``block`` px.

    ``covers`` bool (rows, cols): which tiles of the canvas were looked at; None for all.
    """

    slots: SlotMap
    scale: float = 1.0
    block: int = TILE
    covers: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Characters, n of them, and what the slots that named them say.

    ``cls`` int64 and ``prob`` float32 (MOST_LIKELY, n): likeliest classes. ``frame`` (n, 4):
    distance in em to the left and right edges of what was encoded together, place in the slot's
    column and half-row (0 to 1).
    """

    chars: Detections
    cls: Ints
    prob: Floats
    frame: Floats

    def only(self, keep: NDArray[np.bool_] | Ints) -> Found:
        """Part of the characters."""
        return Found(self.chars.only(keep), self.cls[:, keep], self.prob[:, keep], self.frame[keep])


def detect(levels: Sequence[Level], threshold: float = 0.45) -> Detections:
    """Characters where a slot is likelier than ``threshold`` to hold one, each found once.

    ``levels``: one page at one scale or more, finest first, one of them the canvas itself.
    """
    return _find(levels, threshold, NEAR, LESS_NEAR).chars


def candidates(levels: Sequence[Level]) -> Found:
    """Whatever may be a character: some doubtful, some twice. For the proofreader."""
    return _find(levels, DOUBTFUL, 0.75 * NEAR, 0.75 * LESS_NEAR)


def _find(levels: Sequence[Level], threshold: float, near: float, less_near: float) -> Found:
    canvas = next(level.slots for level in levels if level.scale == 1.0)
    rows, cols = canvas.cls.shape[1:]
    size = (cols * COLUMN, rows * HALF_ROW)
    near_to = (near, less_near)
    found = _on_level(levels[0], size, threshold, near_to)
    for finer, coarser in pairwise(levels):
        more = _on_level(coarser, size, threshold, near_to)
        found = _hand_over(found, more, finer, coarser, near_to)
    return found


def _on_level(
    level: Level, canvas: tuple[int, int], threshold: float, near: tuple[float, float]
) -> Found:
    """What one level shows, in px of the canvas of ``canvas`` = (width, height)."""
    slots = level.slots
    present = slots.prob.sum(0)
    rows, cols = np.nonzero(present > threshold)
    dx, dy, size = slots.place[:, rows, cols]
    x = ((cols + 0.5 + np.clip(dx, -1.5, 1.5)) * COLUMN).astype(np.float32)
    y = ((rows + 0.5 + np.clip(dy, -1.0, 1.0)) * HALF_ROW).astype(np.float32)
    height = (EM * np.exp(np.clip(size, *SIZE_RANGE))).astype(np.float32)
    pairs = _neighbours(rows, cols, present.shape)
    cls, prob = slots.cls[0, rows, cols], present[rows, cols]
    keep = _once(*pairs, x, y, height, cls, prob, near)
    rows, cols, x, y, height = rows[keep], cols[keep], x[keep], y[keep], height[keep]
    left, right = x % level.block / height, (level.block - x % level.block) / height
    inside = (x % COLUMN / COLUMN, y % HALF_ROW / HALF_ROW)
    frame = np.stack([np.minimum(left, 2.0), np.minimum(right, 2.0), *inside], 1)
    chars = Detections(
        cls[keep],
        slots.prob[0, rows, cols],
        x / np.float32(level.scale),
        y / np.float32(level.scale),
        height / np.float32(level.scale),
        slots.link[:, rows, cols].T,
        *canvas,
    )
    return Found(
        chars, slots.cls[:, rows, cols], slots.prob[:, rows, cols], frame.astype(np.float32)
    )


def _hand_over(
    fine: Found, coarse: Found, finer: Level, coarser: Level, near: tuple[float, float]
) -> Found:
    """Of all levels so far, down to ``finer``, and the next, what each is believed for."""
    low, high = HAND_OVER[coarser.scale]
    if finer.covers is None:
        is_shared = np.ones(len(coarse.chars), np.bool_)
    else:
        rows, cols = finer.covers.shape  # a centre may lie a little beyond the edge
        row = np.clip(coarse.chars.y // TILE, 0, rows - 1).astype(np.int64)
        col = np.clip(coarse.chars.x // TILE, 0, cols - 1).astype(np.int64)
        is_shared = finer.covers[row, col]
    coarse = coarse.only(~is_shared | (coarse.chars.height >= low))
    fine = fine.only(fine.chars.height < high)
    coarse = coarse.only(~_texture(fine.chars, coarse.chars))
    coarse = coarse.only(~_shapes(fine.chars, coarse.chars))
    fine = fine.only(~_pieces(fine.chars, coarse.chars, high))
    return _surer(fine, coarse, coarser, near)


def _within(fine: Detections, coarse: Detections, i: int) -> NDArray[np.bool_]:
    """Which characters stand inside one that is much larger, (n,)."""
    size = coarse.height[i]
    reach = 0.5 * ADVANCE_EM[coarse.cls[i]] * size
    return (
        (np.abs(fine.x - coarse.x[i]) < reach)
        & (np.abs(fine.y - coarse.y[i]) < 0.4 * size)
        & (fine.height < INSIDE * size)
    )


def _texture(fine: Detections, coarse: Detections) -> NDArray[np.bool_]:
    """Whether what looks like a large character is made of small ones that are sure, (n,)."""
    area = (fine.prob > 0.7) * ADVANCE_EM[fine.cls] * fine.height**2
    box = ADVANCE_EM[coarse.cls] * coarse.height**2
    full = [area[_within(fine, coarse, i)].sum() > FULL * box[i] for i in range(len(coarse))]
    return np.array(full, np.bool_)


def _shapes(fine: Detections, coarse: Detections) -> NDArray[np.bool_]:
    """Whether what looks like a large character is a thing with type on it, (n,).

    The bar of a chart with its number looks like a letter from afar; the number is surer.
    """
    surer = [
        (_within(fine, coarse, i) & (fine.prob > coarse.prob[i])).sum() >= FEWEST_SURER
        for i in range(len(coarse))
    ]
    return np.array(surer, np.bool_)


def _pieces(fine: Detections, coarse: Detections, high: float) -> NDArray[np.bool_]:
    """Whether what looks like small characters are strokes of large ones, (n,)."""
    out = np.zeros(len(fine), np.bool_)
    for i in np.flatnonzero((coarse.height >= high) & (coarse.prob > 0.5)).tolist():
        out |= _within(fine, coarse, i)
    return out


def _surer(fine: Found, coarse: Found, level: Level, near: tuple[float, float]) -> Found:
    """Drop one of each two that are the same character on both levels, the less sure one."""
    both = _together([fine, coarse])
    chars, n = both.chars, len(fine.chars)
    rows, cols = level.slots.cls.shape[1:]
    row = np.clip(chars.y * level.scale // HALF_ROW, 0, rows - 1).astype(np.int64)
    col = np.clip(chars.x * level.scale // COLUMN, 0, cols - 1).astype(np.int64)
    a, b = _between(row[:n], col[:n], row[n:], col[n:], (rows, cols))
    # Surer of what stands there, not that something does: of a colon and a full stop at one place
    # both levels are sure of the latter.
    keep = _once(a, b + n, chars.x, chars.y, chars.height, chars.cls, both.prob[0], near)
    return both.only(keep)


def _together(parts: Sequence[Found]) -> Found:
    """Characters of several levels as one."""
    chars = [p.chars for p in parts]
    joined = Detections(
        np.concatenate([c.cls for c in chars]),
        np.concatenate([c.prob for c in chars]),
        np.concatenate([c.x for c in chars]),
        np.concatenate([c.y for c in chars]),
        np.concatenate([c.height for c in chars]),
        np.concatenate([c.link for c in chars]),
        chars[0].width,
        chars[0].canvas_height,
    )
    return Found(
        joined,
        np.concatenate([p.cls for p in parts], axis=1),
        np.concatenate([p.prob for p in parts], axis=1),
        np.concatenate([p.frame for p in parts]),
    )


def _once(
    a: Ints,
    b: Ints,
    x: Floats,
    y: Floats,
    height: Floats,
    cls: Ints,
    prob: Floats,
    near: tuple[float, float],
) -> NDArray[np.bool_]:
    """Of pairs (a, b) closer to each other than two characters can stand, keep the surer.

    Two characters stand about the mean of their advances apart. Anything nearer than ``near[0]``
    of that is one character named twice; up to ``near[1]`` it is where one of the two is unsure.
    """
    size = np.minimum(height[a], height[b])
    apart = size * (ADVANCE_EM[cls[a]] + ADVANCE_EM[cls[b]]) / 2
    is_unsure = np.minimum(prob[a], prob[b]) < SURE
    reach = np.maximum(LEAST_PX, np.where(is_unsure, near[1], near[0]) * apart)
    hit = (np.abs(x[a] - x[b]) < reach) & (np.abs(y[a] - y[b]) < 0.4 * size)
    a, b = a[hit], b[hit]
    is_less = prob[a] < prob[b]
    winner, loser = np.where(is_less, b, a), np.where(is_less, a, b)
    keep = np.ones(len(x), np.bool_)
    for i in np.argsort(-prob[winner], kind="stable"):
        if keep[winner[i]]:
            keep[loser[i]] = False
    return keep


def _neighbours(rows: Ints, cols: Ints, shape: tuple[int, int]) -> tuple[Ints, Ints]:
    """All pairs of slots at most ``REACH_ROWS`` and ``REACH_COLS`` apart, each once."""
    index = np.full((shape[0] + REACH_ROWS, shape[1] + 2 * REACH_COLS), -1, np.int64)
    index[rows, cols + REACH_COLS] = np.arange(len(rows))
    first: list[Ints] = []
    second: list[Ints] = []
    for dr in range(REACH_ROWS + 1):
        for dc in range(1 if dr == 0 else -REACH_COLS, REACH_COLS + 1):
            other = index[rows + dr, cols + REACH_COLS + dc]
            found = np.flatnonzero(other >= 0)
            first.append(found)
            second.append(other[found])
    return np.concatenate(first), np.concatenate(second)


def _between(
    rows: Ints, cols: Ints, other_rows: Ints, other_cols: Ints, shape: tuple[int, int]
) -> tuple[Ints, Ints]:
    """All pairs of a slot of one set and a slot of the other that are so near each other.

    Of several of the other set in one slot only the last is paired.
    """
    index = np.full((shape[0] + 2 * REACH_ROWS, shape[1] + 2 * REACH_COLS), -1, np.int64)
    index[other_rows + REACH_ROWS, other_cols + REACH_COLS] = np.arange(len(other_rows))
    first: list[Ints] = []
    second: list[Ints] = []
    for dr in range(2 * REACH_ROWS + 1):
        for dc in range(2 * REACH_COLS + 1):
            other = index[rows + dr, cols + dc]
            found = np.flatnonzero(other >= 0)
            first.append(found)
            second.append(other[found])
    return np.concatenate(first), np.concatenate(second)


def token_inputs(slots: SlotMap) -> tuple[torch.Tensor, torch.Tensor]:
    """What every visual token is made of: (tokens, 28) indices slot × class and their weights."""
    k, rows, cols = IN_TOKENS, *slots.cls.shape[1:]
    half = np.arange(rows) % 2
    slot = half[:, None] * 7 + (np.arange(cols) % 7)[None, :]
    index = slot[None] + slots.cls[:k] * TOKEN_SLOTS
    parts = []
    for value in (index, slots.prob[:k]):
        grid = value.reshape(k, rows // 2, 2, cols // 7, 7).transpose(1, 3, 0, 2, 4)
        parts.append(torch.from_numpy(np.ascontiguousarray(grid.reshape(-1, k * TOKEN_SLOTS))))
    return parts[0], parts[1]
