"""RAW images: mosaics with one value a pixel, RGGB, and what keeps their pattern.

A pixel's colour is told by its place: red at even rows and columns, green at the two beside it,
blue at odd ones. So what moves or mirrors a mosaic must keep that, or swap planes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from tilewise.errors import MissingExtraError, SourceError

BLACK: Final = 512
WHITE: Final = 16383
"""Levels of 14-bit sensors as SR-RAW has them."""

RAW_ENDINGS: Final = frozenset((".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"))
"""Files of cameras, which need a reader of their own."""


def read_mosaic(path: Path) -> NDArray[np.uint16]:
    """Read a mosaic: 16-bit grey PNG or TIFF as it is, files of cameras by rawpy.

    Returns:
        uint16 (rows, cols), both even, red first.

    Raises:
        SourceError: it cannot be read, is no 16-bit grey picture, or its pattern is another.
        MissingExtraError: a file of a camera, and rawpy is not installed.
    """
    if path.suffix.lower() in RAW_ENDINGS:
        mosaic = _of_camera(path)
    else:
        try:
            with Image.open(path) as picture:
                mode, mosaic = picture.mode, np.array(picture)
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as err:
            raise SourceError(f"{path}: cannot be read as a mosaic ({err}).") from err
        if not mode.startswith("I") or mosaic.ndim != 2:
            raise SourceError(
                f"{path}: is a picture of mode {mode}; a mosaic is grey with 16 bits, as PNG or "
                "TIFF."
            )
    if min(mosaic.shape) < 2:
        raise SourceError(f"{path}: is {mosaic.shape[1]}x{mosaic.shape[0]} px; 2x2 are needed.")
    rows, cols = (size // 2 * 2 for size in mosaic.shape)
    return mosaic[:rows, :cols].astype(np.uint16)


def scaled(mosaic: NDArray[np.uint16], black: int = BLACK, white: int = WHITE) -> Tensor:
    """Levels → float32 (1, rows, cols), 0 at black and 1 at white."""
    levels = (mosaic.astype(np.float32) - black) / (white - black)
    return torch.from_numpy(np.clip(levels, 0, 1))[None]


def mosaic_of(image: Tensor) -> Tensor:
    """What an RGGB sensor has of an image: (3, h, w), both even -> (1, h, w)."""
    out = image[1].clone()
    out[0::2, 0::2] = image[0, 0::2, 0::2]
    out[1::2, 1::2] = image[2, 1::2, 1::2]
    return out[None]


def planes_of(mosaic: Tensor) -> Tensor:
    """A mosaic → its planes R, G of row 0, B, G of row 1: (1, 2 h, 2 w) -> (4, h, w)."""
    one = mosaic[0]
    return torch.stack([one[0::2, 0::2], one[0::2, 1::2], one[1::2, 1::2], one[1::2, 0::2]])


def mosaic_from(planes: Tensor) -> Tensor:
    """The inverse of ``planes_of``."""
    out = planes.new_empty(2 * planes.shape[1], 2 * planes.shape[2])
    out[0::2, 0::2], out[0::2, 1::2] = planes[0], planes[1]
    out[1::2, 1::2], out[1::2, 0::2] = planes[2], planes[3]
    return out[None]


def flipped(mosaic: Tensor, *, is_upside_down: bool, is_mirrored: bool) -> Tensor:
    """The mosaic of the image turned over, less two rows and two columns.

    Turned over, the pattern begins with another colour; without its first row or column it begins
    with red again, and without the last its size is even. Along an axis that is not turned over
    the last two go. So pixels lie just where they lie in the image that ``flipped_image`` gives.

    Shape: (1, h, w) -> (1, h - 2, w - 2)
    """
    mosaic = mosaic.flip(1)[:, 1:-1] if is_upside_down else mosaic[:, :-2]
    return mosaic.flip(2)[:, :, 1:-1] if is_mirrored else mosaic[:, :, :-2]


def flipped_image(image: Tensor, scale: int, *, is_upside_down: bool, is_mirrored: bool) -> Tensor:
    """An image of ``scale`` times the size, turned over and cut as ``flipped`` does a mosaic.

    Shape: (c, scale * h, scale * w) -> (c, scale * (h - 2), scale * (w - 2))
    """
    one, two = scale, 2 * scale
    image = image.flip(1)[:, one:-one] if is_upside_down else image[:, :-two]
    return image.flip(2)[:, :, one:-one] if is_mirrored else image[:, :, :-two]


def demosaicked(mosaic: Tensor) -> Tensor:
    """Colours filled in from their nearest neighbours, linearly: (1, h, w) -> (3, h, w).

    Mirrored at the edges, where the pattern goes on as it is.
    """
    _, rows, cols = mosaic.shape
    known = mosaic.new_zeros(3, rows, cols)
    known[0, 0::2, 0::2] = mosaic[0, 0::2, 0::2]
    known[1, 0::2, 1::2] = mosaic[0, 0::2, 1::2]
    known[1, 1::2, 0::2] = mosaic[0, 1::2, 0::2]
    known[2, 1::2, 1::2] = mosaic[0, 1::2, 1::2]
    cross = mosaic.new_tensor([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    square = mosaic.new_tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
    taps = torch.stack([square, cross, square])[:, None]
    wide = F.pad(known[None], (1, 1, 1, 1), mode="reflect")
    return F.conv2d(wide, taps, groups=3)[0]


def _of_camera(path: Path) -> NDArray[Any]:
    try:
        import rawpy  # noqa: PLC0415 - 12 MB, needed for files of cameras alone
    except ModuleNotFoundError as err:
        raise MissingExtraError(
            f"{path}: is a camera's RAW file, which needs the package rawpy; install it with "
            "`pip install rawpy`, or give the mosaic as 16-bit grey PNG or TIFF."
        ) from err
    try:
        with rawpy.imread(str(path)) as raw:
            mosaic, pattern = raw.raw_image_visible.copy(), raw.raw_pattern.tolist()
            names = raw.color_desc.decode()
    except (OSError, rawpy.LibRawError) as err:
        raise SourceError(f"{path}: cannot be read as RAW ({err}).") from err
    colours = "".join(names[index] for row in pattern for index in row)
    starts = {"RGGB": (0, 0), "GRBG": (0, 1), "GBRG": (1, 0), "BGGR": (1, 1)}
    if colours not in starts:
        raise SourceError(f"{path}: has the pattern {colours}; four colours in 2x2 are read.")
    row, col = starts[colours]
    return mosaic[row:, col:]
