"""Traces that JPEG compression left in a picture."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.records import Pixels

_TABLE: Final = (
    (16, 11, 10, 16, 24, 40), (12, 12, 14, 19, 26, 58), (14, 13, 16, 24, 40, 57),
    (14, 17, 22, 29, 51, 87), (18, 22, 37, 56, 68, 109), (24, 35, 55, 64, 81, 104),
)  # fmt: skip
"""The low frequencies of the luminance table of ITU-T T.81, annex K."""

MOST_LOOKED_AT: Final = 20_000
"""Blocks of a picture, in whole rows, that are searched for contents."""

MOST_BLOCKS: Final = 700
"""Of those with contents."""

QUALITIES: Final = tuple(range(5, 96))
SPREAD: Final = 0.7
"""Of rounding to whole grey levels, in units of the coefficients, with some room."""

LEAST_GAIN: Final = 0.25
"""Mean logarithm, per coefficient, by which quantised ones must be likelier than any."""


def jpeg_quality(levels: Pixels) -> int | None:
    """Guess the quality (libjpeg's scale) at which a picture was compressed last; None if not seen.

    Coefficients of its 8 x 8 blocks then lie on multiples of the steps of a quality's table. A
    picture that was scaled, turned or moved off its blocks afterwards shows no traces.

    Args:
        levels: uint8 (height, width), luminance.
    """
    rows, cols = levels.shape[0] // 8, levels.shape[1] // 8
    if rows * cols == 0:
        return None
    blocks = levels[: rows * 8, : cols * 8].reshape(rows, 8, cols, 8).swapaxes(1, 2)
    blocks = blocks[:: max(1, rows * cols // MOST_LOOKED_AT)]
    is_lively = blocks.max((2, 3)) - blocks.min((2, 3)) > 8
    row, col = np.nonzero(is_lively)
    if len(row) < 4:
        return None
    step = -(-len(row) // MOST_BLOCKS)
    chosen = blocks[row[::step], col[::step]].astype(np.float32)
    basis = _basis()
    found = np.einsum("ki,nij,lj->nkl", basis[:6], chosen, basis[:6], optimize=True)
    return _likeliest(found.reshape(len(chosen), 36)[:, 1:])


def _likeliest(found: NDArray[np.float32]) -> int | None:
    # Zeros lie on multiples of every step and say nothing.
    at_block, at_table = np.nonzero(np.abs(found) > 2.5)
    sizes, table = found[at_block, at_table], np.array(_TABLE, np.float32).ravel()[1:]
    best, at = LEAST_GAIN, None
    for quality in QUALITIES:
        scale = 5000 / quality if quality < 50 else 200 - 2 * quality
        steps = np.clip(np.floor((table * scale + 50) / 100), 1, 255)
        used = (steps >= 4)[at_table]
        if used.sum() < 60:
            continue
        step = steps[at_table[used]]
        off = sizes[used] / step
        off = (off - np.round(off)) * step
        level = np.log(steps / (SPREAD * (2 * np.pi) ** 0.5))[at_table[used]]
        gain = float(np.maximum(level - 0.5 * (off / SPREAD) ** 2, -4.0).mean())
        if gain > best:
            best, at = gain, quality
    return at


@lru_cache(maxsize=1)
def _basis() -> NDArray[np.float32]:
    """The cosines of the transform, (8, 8): frequency, place."""
    k, x = np.arange(8)[:, None], np.arange(8)
    cosines = np.cos((2 * x + 1) * k * np.pi / 16) / 2
    cosines[0] /= 2**0.5
    return cosines.astype(np.float32)
