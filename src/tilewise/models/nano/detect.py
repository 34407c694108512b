"""From what the encoder says of every slot to characters on the canvas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from tilewise.models.nano.config import COLUMN, HALF_ROW, TOKEN, TOKEN_SLOTS
from tilewise.models.nano.encoder import Dense
from tilewise.models.nano.slots import EM

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MOST_LIKELY: Final = 2
"""Classes kept of every slot's posterior; the rest holds less than it costs."""


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


def detect(slots: SlotMap, threshold: float = 0.35) -> Detections:
    """Characters where a slot is likelier than ``threshold`` to hold one, each found once."""
    present = slots.prob.sum(0)
    rows, cols = np.nonzero(present > threshold)
    dx, dy, size = slots.place[:, rows, cols]
    x = (cols + 0.5 + np.clip(dx, -1.5, 1.5)) * COLUMN
    y = (rows + 0.5 + np.clip(dy, -1.0, 1.0)) * HALF_ROW
    height = EM * np.exp(np.clip(size, -1.0, 2.2))
    cls, prob = slots.cls[0, rows, cols], present[rows, cols]
    keep = _once(rows, cols, x, y, height, cls, prob, present.shape)
    return Detections(
        cls[keep],
        slots.prob[0, rows, cols][keep],
        x[keep].astype(np.float32),
        y[keep].astype(np.float32),
        height[keep].astype(np.float32),
        slots.link[:, rows, cols].T[keep],
        present.shape[1] * COLUMN,
        present.shape[0] * HALF_ROW,
    )


def _once(
    rows: Ints,
    cols: Ints,
    x: Floats,
    y: Floats,
    height: Floats,
    cls: Ints,
    prob: Floats,
    shape: tuple[int, int],
) -> NDArray[np.bool_]:
    """Of neighbouring slots that name the same character, keep the surest."""
    index = np.full((shape[0] + 2, shape[1] + 4), -1, np.int64)
    index[rows + 1, cols + 2] = np.arange(len(rows))
    keep = np.ones(len(rows), np.bool_)
    for dr, dc in ((0, 1), (0, 2), (1, -2), (1, -1), (1, 0), (1, 1), (1, 2)):
        other = index[rows + 1 + dr, cols + 2 + dc]
        a = np.flatnonzero(other >= 0)
        b = other[a]
        size = np.minimum(height[a], height[b])
        reach = np.where(
            cls[a] == cls[b], np.maximum(1.9, 0.16 * size), np.maximum(1.4, 0.11 * size)
        )
        same = (np.abs(x[a] - x[b]) < reach) & (np.abs(y[a] - y[b]) < 0.4 * size)
        lower = np.where(prob[a] < prob[b], a, b)[same]
        keep[lower] = False
    return keep


def token_inputs(slots: SlotMap) -> tuple[torch.Tensor, torch.Tensor]:
    """What every visual token is made of: (tokens, 28) indices slot × class and their weights."""
    k, rows, cols = slots.cls.shape
    half = np.arange(rows) % 2
    slot = half[:, None] * 7 + (np.arange(cols) % 7)[None, :]
    index = slot[None] + slots.cls * TOKEN_SLOTS
    parts = []
    for value in (index, slots.prob):
        grid = value.reshape(k, rows // 2, 2, cols // 7, 7).transpose(1, 3, 0, 2, 4)
        parts.append(torch.from_numpy(np.ascontiguousarray(grid.reshape(-1, k * TOKEN_SLOTS))))
    return parts[0], parts[1]
