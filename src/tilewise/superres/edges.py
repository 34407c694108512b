"""How wide the edges of letters are, what blur makes them so, and how noisy paper is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.superres.lines import Line

Floats = NDArray[np.float32]

STEM: Final = 0.21
"""Width of a stem by the height of small letters, the middle of common faces."""

LEAST_STEP: Final = 0.55
"""Of the strongest steps of a stretch: steps from paper to ink that count."""

BLURS: Final = np.arange(0.0, 1.001, 0.02)
"""Blurs by stem widths for which edges are worked out; see ``sigma_of``."""


def edge_widths(levels: Floats, lines: Sequence[Line], x_height: float, noise: float) -> Floats:
    """Widths of edges across the small letters of lines, in px: their steps by their slopes.

    Args:
        levels: grey levels (height, width).
        lines: on the same picture.
        x_height: those much smaller or larger are left out.
        noise: of grey levels; steps that it may make are left out.
    """
    widths = [np.empty(0, np.float32)]
    for line in lines:
        if 0.7 * x_height <= line.x_height <= 1.45 * x_height:
            top, bottom = round(line.top + 0.5), max(round(line.bottom - 0.5), round(line.top) + 1)
            part = levels[top:bottom, max(0, line.left - 3) : line.right + 3]
            widths.append(_widths(part, noise))
    return np.concatenate(widths)


def _widths(part: Floats, noise: float) -> Floats:
    """Step by slope of each run of falling or rising levels along rows, the strong ones."""
    steps = np.diff(part, axis=1)
    if steps.size == 0:
        return np.empty(0, np.float32)
    sign = np.sign(steps)
    # A run ends where the sign changes or a row ends.
    ends = np.ones(sign.shape, np.bool_)
    ends[:, :-1] = sign[:, 1:] != sign[:, :-1]
    flat, marks = steps.ravel(), np.flatnonzero(ends.ravel())
    starts = np.concatenate([[0], marks[:-1] + 1])
    total = np.abs(np.add.reduceat(flat, starts))
    slope = np.maximum.reduceat(np.abs(flat), starts)
    strong = total >= max(LEAST_STEP * float(np.percentile(total, 97)), 6 * noise, 8.0)
    return (total[strong] / slope[strong]).astype(np.float32)


def sigma_of(edge: float, x_height: float) -> float:
    """Standard deviation in px of the blur that gives stems of letters edges of this width.

    Stems are bars of ``STEM`` times the height of small letters. Of bars thinner than the blur,
    edges grow more slowly with it than those of a half plane would.
    """
    widths = _bar_edges(round(STEM * x_height, 1))
    return float(np.interp(edge, widths, BLURS * max(STEM * x_height, 1.0) * 2))


@lru_cache(maxsize=256)
def _bar_edges(stem: float) -> Floats:
    """Edge width in px of a bar of so many px, for each of ``BLURS`` times twice its width."""
    fine = 20
    sigmas = BLURS * max(stem, 1.0) * 2
    reach = 4 * sigmas[-1] + stem + 4
    x = np.arange(-reach, reach, 1 / fine)
    out = []
    for sigma in sigmas:
        ink = (np.abs(x) < stem / 2).astype(np.float64)
        if sigma:
            y = np.arange(-4 * sigma, 4 * sigma + 1 / fine, 1 / fine)
            kernel = np.exp(-0.5 * (y / sigma) ** 2)
            ink = np.convolve(ink, kernel / kernel.sum(), "same")
        pixels = np.convolve(ink, np.full(fine, 1 / fine), "same")
        widths = []
        for phase in range(0, fine, 4):
            seen = pixels[phase::fine]
            widths.append(seen.max() / np.abs(np.diff(seen)).max())
        out.append(float(np.mean(widths)))
    return np.maximum.accumulate(np.array(out, np.float32))


def noise_level(levels: Floats, ink: NDArray[np.bool_]) -> float:
    """Standard deviation of noise on paper, in grey levels.

    From second differences along both axes, which slopes do not touch, on the calmer half of
    blocks without ink.

    Source: J. Immerkaer, Fast noise variance estimation, 1996.
    """
    if min(levels.shape) < 16:
        return 0.0
    rough = levels[:-2] - 2 * levels[1:-1] + levels[2:]
    rough = rough[:, :-2] - 2 * rough[:, 1:-1] + rough[:, 2:]
    side = 8
    rows, cols = rough.shape[0] // side, rough.shape[1] // side
    if rows * cols == 0:
        return 0.0
    blocks = _means(np.abs(rough), side)
    inked = _means(ink[1:-1, 1:-1].astype(np.float32), side) > 0
    free = blocks[~inked] if (~inked).sum() >= 4 else blocks.ravel()
    calm = np.sort(free)[: max(4, len(free) // 2)]
    # Of blocks of 64 the calmer half lies about 5 % below the mean of all.
    mean = float(np.median(free)) if len(free) < 16 else 1.05 * float(calm.mean())
    return mean * (np.pi / 2) ** 0.5 / 6


def _means(values: Floats, side: int) -> Floats:
    """Of each whole block of ``side`` px."""
    rows, cols = values.shape[0] // side, values.shape[1] // side
    cut = values[: rows * side, : cols * side]
    return cut.reshape(rows, side, cols, side).mean((1, 3))
