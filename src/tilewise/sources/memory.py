"""Pictures that are in memory already: PIL images and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilewise.errors import SourceError
from tilewise.records import Page, Pixels
from tilewise.sources.colour import to_pixels
from tilewise.sources.image import decoding
from tilewise.sources.source import Closes, PageSize, RasterSize, check_number


class PixelSource(Closes):
    """One page whose pixels are known."""

    count = 1

    def __init__(self, pixels: Pixels, name: str) -> None:
        """Take uint8 (height, width, 3)."""
        self.name = name
        self._page = Page(pixels=pixels, name=name)

    def size(self, number: int) -> PageSize:
        """Size in pixels."""
        check_number(self.name, number, 1)
        return PageSize(self._page.width, self._page.height, "px")

    def page(self, number: int, raster_size: RasterSize | None = None) -> Page:
        """The page."""
        check_number(self.name, number, 1)
        return self._page


def open_picture(picture: Image.Image, name: str) -> PixelSource:
    """Take a PIL image in any mode; its profile, transparency and orientation are applied.

    Raises:
        SourceError: it has no pixels, or it was opened lazily and its file is damaged.
    """
    if 0 in picture.size:
        raise SourceError(f"{name} is {picture.width}x{picture.height} px; 1x1 is the least.")
    with decoding(name, picture.format or "picture"):
        return PixelSource(to_pixels(picture), name)


def open_array(array: NDArray[Any], name: str) -> PixelSource:
    """Take an array; it is copied.

    Args:
        array: (height, width), or (height, width, c) with c = 1 for grey, 3 for RGB or 4 for RGBA,
            laid on white. bool (True is white), uint8, uint16, or floats from 0 to 1.
        name: what messages call it.

    Raises:
        SourceError: another shape, another type, no pixels, or floats beyond 0 to 1.
    """
    shape = array.shape
    if len(shape) not in (2, 3) or 0 in shape or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        raise SourceError(
            f"{name} has the shape {shape}; (height, width), or (height, width, 1, 3 or 4) with at "
            "least one pixel is allowed."
        )
    eight = _to_8_bits(array.reshape(*shape[:2], -1), name)
    if eight.shape[2] == 4:
        alpha = eight[..., 3:].astype(np.uint16)
        over_white = eight[..., :3] * alpha + 255 * (255 - alpha)
        eight = ((over_white + 127) // 255).astype(np.uint8)
    pixels = np.ascontiguousarray(np.broadcast_to(eight, (*shape[:2], 3)))
    return PixelSource(pixels.copy() if np.shares_memory(pixels, array) else pixels, name)


def _to_8_bits(array: NDArray[Any], name: str) -> Pixels:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise SourceError(
            f"{name} is of type {array.dtype}; bool, uint8, uint16, or floats from 0 to 1 are "
            "allowed."
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # also true of not-a-number
        raise SourceError(
            f"{name} holds floats from {low:g} to {high:g}; 0 to 1 is allowed. Scale them, or "
            "convert the array to uint8."
        )
    scaled: Pixels = np.rint(array * 255).astype(np.uint8)
    return scaled
