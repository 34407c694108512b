"""Undoing a Gaussian blur that was measured: a Wiener filter, nothing learnt, nothing invented.

Source: N. Wiener, Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949.
"""

from __future__ import annotations

from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.records import Pixels
from tilewise.superres.resample import mirrored

Floats = NDArray[np.float32]

TILE: Final = 1024
"""Side of what is filtered at a time, without its margins, in px."""

REACH: Final = 8.0
"""Margin in standard deviations of the blur: further, the filter sees next to nothing."""


def deblurred(pixels: Pixels, sigma: float, floor: float) -> Pixels:
    """Sharpen a picture as if it had been blurred by a Gaussian.

    Args:
        pixels: uint8 (height, width, 3).
        sigma: standard deviation of the blur in px, above 0.
        floor: power of noise by that of the picture; frequencies that the blur left less of are
            left alone.

    Returns:
        uint8 of the same shape. Even areas keep their levels.
    """
    margin = ceil(REACH * sigma) + 8
    height, width = pixels.shape[:2]
    is_grey = bool((pixels[..., :1] == pixels).all())
    channels = pixels[..., :1] if is_grey else pixels
    out = np.empty(channels.shape, np.uint8)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            rows = mirrored(top - margin, min(top + TILE, height) + margin, height)
            cols = mirrored(left - margin, min(left + TILE, width) + margin, width)
            seen = channels[rows[:, None], cols].astype(np.float32)
            made = _filtered(seen, sigma, floor)[margin:-margin, margin:-margin]
            out[top : top + TILE, left : left + TILE] = made.round().clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(out, pixels.shape)) if is_grey else out


def _filtered(part: Floats, sigma: float, floor: float) -> Floats:
    """The filter over one part (rows, cols, channels), in its frequencies."""
    rows, cols = part.shape[:2]
    down = np.fft.fftfreq(rows).astype(np.float32)[:, None]
    across = np.fft.rfftfreq(cols).astype(np.float32)
    kept = np.exp(-2 * (np.pi * sigma) ** 2 * (down**2 + across**2)).astype(np.float32)
    gain = kept * (1 + floor) / (kept * kept + floor)
    spectrum = np.fft.rfft2(part, axes=(0, 1)) * gain[..., None]
    return np.fft.irfft2(spectrum, (rows, cols), axes=(0, 1)).astype(np.float32)
