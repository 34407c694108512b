"""From what the encoder says of every slot to characters on the canvas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from tilewise.models.nano.alphabet import ADVANCE_EM
from tilewise.models.nano.config import COLUMN, HALF_ROW, TOKEN, TOKEN_SLOTS
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

DOUBTFUL: Final = 0.25
"""Probability from which on a slot is a candidate."""

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
class Found:
    """Characters with the slots, at (rows, cols), that named them."""

    chars: Detections
    slots: SlotMap
    rows: Ints
    cols: Ints


def detect(slots: SlotMap, threshold: float = 0.45) -> Detections:
    """Characters where a slot is likelier than ``threshold`` to hold one, each found once."""
    return _find(slots, threshold, NEAR, LESS_NEAR).chars


def candidates(slots: SlotMap) -> Found:
    """Whatever may be a character: some doubtful, some twice. For the proofreader."""
    return _find(slots, DOUBTFUL, 0.75 * NEAR, 0.75 * LESS_NEAR)


def _find(slots: SlotMap, threshold: float, near: float, less_near: float) -> Found:
    present = slots.prob.sum(0)
    rows, cols = np.nonzero(present > threshold)
    dx, dy, size = slots.place[:, rows, cols]
    x = (cols + 0.5 + np.clip(dx, -1.5, 1.5)) * COLUMN
    y = (rows + 0.5 + np.clip(dy, -1.0, 1.0)) * HALF_ROW
    height = EM * np.exp(np.clip(size, -1.0, 2.2))
    cls, prob = slots.cls[0, rows, cols], present[rows, cols]
    near_to = (near, less_near)
    keep = _once(rows, cols, x, y, height, cls, prob, present.shape, near_to)
    rows, cols = rows[keep], cols[keep]
    chars = Detections(
        cls[keep],
        slots.prob[0, rows, cols],
        x[keep].astype(np.float32),
        y[keep].astype(np.float32),
        height[keep].astype(np.float32),
        slots.link[:, rows, cols].T,
        present.shape[1] * COLUMN,
        present.shape[0] * HALF_ROW,
    )
    return Found(chars, slots, rows, cols)


def _once(
    rows: Ints,
    cols: Ints,
    x: Floats,
    y: Floats,
    height: Floats,
    cls: Ints,
    prob: Floats,
    shape: tuple[int, int],
    near: tuple[float, float],
) -> NDArray[np.bool_]:
    """Of detections closer to each other than two characters can stand, keep the surest.

    Two characters stand about the mean of their advances apart. Anything nearer than ``near[0]``
    of that is one character named twice; up to ``near[1]`` it is where one of the two is unsure.
    """
    a, b = _neighbours(rows, cols, shape)
    size = np.minimum(height[a], height[b])
    apart = size * (ADVANCE_EM[cls[a]] + ADVANCE_EM[cls[b]]) / 2
    is_unsure = np.minimum(prob[a], prob[b]) < SURE
    reach = np.maximum(LEAST_PX, np.where(is_unsure, near[1], near[0]) * apart)
    hit = (np.abs(x[a] - x[b]) < reach) & (np.abs(y[a] - y[b]) < 0.4 * size)
    a, b = a[hit], b[hit]
    is_less = prob[a] < prob[b]
    winner, loser = np.where(is_less, b, a), np.where(is_less, a, b)
    keep = np.ones(len(rows), np.bool_)
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
