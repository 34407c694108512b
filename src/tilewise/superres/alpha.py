"""Colours beneath what is transparent, so that none of them shows after enlarging.

What a program left beneath transparent pixels, often black, would bleed into the edge as a halo.
The visible colours are carried over it instead, as far as an enlarger looks.
"""

from __future__ import annotations

import numpy as np

from tilewise.superres.resample import Floats
from tilewise.superres.tiles import Rows


def bled(rows: Rows, height: int, reach: int) -> Rows:
    """Rows (n, w, 2 or 4) whose transparent pixels take the colours of visible ones nearby.

    Args:
        rows: of the image.
        height: of the image.
        reach: how far colours are carried at least, in pixels.
    """
    around = sum(_steps(reach))

    def filled(top: int, bottom: int) -> Floats:
        first, last = max(0, top - around), min(height, bottom + around)
        return _filled(rows(first, last), reach)[top - first : bottom - first]

    return filled


def _steps(reach: int) -> list[int]:
    """Reaches of the windows that are tried, each twice the last, so that few suffice."""
    return [2**i for i in range(max(1, reach).bit_length())]


def _filled(pixels: Floats, reach: int) -> Floats:
    weight = pixels[..., -1:].copy()
    if weight.min() > 0:
        return pixels
    colours = pixels[..., :-1].copy()
    for step in _steps(reach):
        sums, weights = _box(colours * weight, step), _box(weight, step)
        is_new = (weight <= 0) & (weights > 1e-4)
        colours = np.where(is_new, sums / np.maximum(weights, 1e-4), colours)
        weight = np.where(is_new, np.float32(1), weight)
    return np.concatenate([colours, pixels[..., -1:]], 2, dtype=np.float32)


def _box(values: Floats, reach: int) -> Floats:
    """Sums over the window of ``reach`` pixels to all sides, cut at the border; float64 inside."""
    found = values.astype(np.float64)
    for axis in (0, 1):
        size = found.shape[axis]
        edges = np.arange(size)
        sums = np.concatenate([np.zeros_like(found.take([0], axis)), found.cumsum(axis)], axis)
        found = sums.take(np.minimum(edges + reach + 1, size), axis) - sums.take(
            np.maximum(edges - reach, 0), axis
        )
    return found.astype(np.float32)
