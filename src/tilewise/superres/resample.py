"""Resizing by bicubic and Lanczos filters, in float32, any part of the result at a time.

Weights depend on the sizes of the whole image alone, so a result made strip by strip is the same
as one made at once. Pixel centres lie at halves: nothing shifts. Where an image
shrinks, the filter grows with it, so that nothing finer than the new pixels folds into them.

Source: Keys (1981), a = -0.5, and Lanczos of 3 lobes; both and their growth as in Pillow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Kernel = Literal["bicubic", "lanczos"]


_BLOCK: Final = 32
"""Output pixels that are summed by one matrix."""


class Taps(NamedTuple):
    """What one side of an image is read with: output pixel i sums ``weights[i]`` from ``first[i]``.

    ``first`` is (out,), ``weights`` (out, taps) float32; weights outside the image are 0.
    """

    first: NDArray[np.int64]
    weights: Floats
    size: int

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """The input pixels, first and past the last, that output pixels start..stop read."""
        return int(self.first[start]), min(
            int(self.first[stop - 1]) + self.weights.shape[1], self.size
        )


def taps(size: int, new_size: int, kernel: Kernel) -> Taps:
    """Weights for resizing a side of ``size`` pixels to ``new_size``."""
    radius, curve = _KERNELS[kernel]
    step = size / new_size
    stretch = max(step, 1.0)
    reach = radius * stretch
    centre = (np.arange(new_size) + 0.5) * step
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)  # truncated, as Pillow does
    past = np.minimum((centre + reach + 0.5).astype(np.int64), size)
    place = first[:, None] + np.arange(int((past - first).max()))
    weights = curve((place + 0.5 - centre[:, None]) / stretch)
    weights[place >= past[:, None]] = 0
    weights /= weights.sum(1, keepdims=True)
    return Taps(first, weights.astype(np.float32), size)


def resize(image: Floats, height: int, width: int, kernel: Kernel) -> Floats:
    """Resize an image (h, w, c) to (height, width, c)."""
    down, across = taps(image.shape[0], height, kernel), taps(image.shape[1], width, kernel)
    return resize_cols(resize_rows(image, 0, down, 0, height), across)


def resize_rows(strip: Floats, top: int, down: Taps, start: int, stop: int) -> Floats:
    """Rows start..stop of the result, from a strip of the image that begins at its row ``top``.

    Shape: strip (n, w, c) of at least ``down.span(start, stop)`` -> (stop - start, w, c)
    """
    flat = strip.reshape(len(strip), -1)
    return _product(flat, top, down, start, stop).reshape(-1, *strip.shape[1:])


def resize_cols(strip: Floats, across: Taps) -> Floats:
    """All columns of the result. Shape: (n, w, c) -> (n, new, c)."""
    rows, _, channels = strip.shape
    turned = np.ascontiguousarray(strip.swapaxes(0, 1)).reshape(-1, rows * channels)
    found = _product(turned, 0, across, 0, len(across.first))
    return np.ascontiguousarray(found.reshape(-1, rows, channels).swapaxes(0, 1))


def _product(rows: Floats, top: int, side: Taps, start: int, stop: int) -> Floats:
    """Weighted sums of rows, a block at a time by a small matrix: BLAS makes up for its zeros."""
    result = np.empty((stop - start, rows.shape[1]), np.float32)
    for begin in range(start, stop, _BLOCK):
        end = min(begin + _BLOCK, stop)
        low, high = side.span(begin, end)
        matrix = np.zeros((end - begin, high - low + side.weights.shape[1]), np.float32)
        place = side.first[begin:end, None] - low + np.arange(side.weights.shape[1])
        np.put_along_axis(matrix, place, side.weights[begin:end], 1)
        np.matmul(
            matrix[:, : high - low],
            rows[low - top : high - top],
            out=result[begin - start : end - start],
        )
    return result


def _bicubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


_KERNELS: Final[
    dict[Kernel, tuple[float, Callable[[NDArray[np.float64]], NDArray[np.float64]]]]
] = {"bicubic": (2.0, _bicubic), "lanczos": (3.0, _lanczos)}
"""Radius in pixels, and the curve."""


def mirrored(start: int, stop: int, length: int) -> NDArray[np.intp]:
    """Places from start to stop, mirrored at 0 and length; the edge itself is not repeated."""
    place = np.arange(start, stop) % max(1, 2 * length - 2)
    return np.minimum(place, np.abs(2 * length - 2 - place))
