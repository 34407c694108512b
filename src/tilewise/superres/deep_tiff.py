"""Colour TIFF of 16 bits, which Pillow cuts to 8.

Every strip or tile is given to Pillow's decoder again as a small grey picture of 16 bits, as wide
as all samples of its rows. Compression sees the same bytes; the differences that a predictor left
are summed here.

Source: TIFF 6.0, sections 8, 14, 15.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

Deep = NDArray[np.uint16]

_WIDTH, _HEIGHT, _BITS, _PACKING, _MEANING = 256, 257, 258, 259, 262
_OFFSETS, _SAMPLES, _STRIP_ROWS, _SIZES, _PLANES = 273, 277, 278, 279, 284
_PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_SIZES = 317, 322, 323, 324, 325
_EXTRA, _FORMAT, _FILL = 338, 339, 266

PREMULTIPLIED: Final = 1
"""Of the extra sample: colours are multiplied by it."""


class _Piece(NamedTuple):
    """A strip or tile: where it goes, and the bytes it stands in."""

    top: int
    left: int
    height: int
    width: int
    plane: int
    offset: int
    size: int


def tags_of(file: BinaryIO) -> Any:
    """The table of the first picture, by Pillow, which knows some pictures by their tables alone.

    Raises:
        SyntaxError, OSError, struct.error: there is none.
    """
    file.seek(0)
    head = file.read(8)
    if head[2:3] == b"+":
        head += file.read(8)
    found = ImageFileDirectory_v2(head)
    file.seek(found.next)
    found.load(file)
    return found


def is_deep(tags: Any) -> bool:
    """Whether a TIFF's picture has 16 bits in each of several samples of grey or RGB."""
    bits, formats = tags.get(_BITS, (1,)), tags.get(_FORMAT, (1,))
    samples = tags.get(_SAMPLES, 1)
    colours = {0: 1, 1: 1, 2: 3}.get(tags.get(_MEANING, -1), 0)
    return (
        set(bits) == {16}
        and set(formats) == {1}
        and samples in (colours, colours + 1)
        and samples > 1
        and tags.get(_PREDICTOR, 1) in (1, 2)
        and tags.get(_FILL, 1) == 1
        and isinstance(tags.get(_WIDTH), int)
        and isinstance(tags.get(_HEIGHT), int)
    )


def read_deep(file: BinaryIO, tags: Any) -> Deep:
    """Decode the samples of a picture, (height, width, samples).

    Raises:
        ValueError: they are damaged or cut short. And what Pillow raises.
    """
    samples = tags.get(_SAMPLES, 1)
    result = np.zeros((tags[_HEIGHT], tags[_WIDTH], samples), np.uint16)
    inside = 1 if tags.get(_PLANES, 1) == 2 else samples
    for piece in _pieces(tags, samples // inside):
        file.seek(piece.offset)
        data = file.read(piece.size)
        if len(data) < piece.size:
            raise ValueError("image file is truncated")
        found = _decoded(data, piece.width * inside, piece.height, tags)
        found = found.reshape(piece.height, piece.width, inside)
        if tags.get(_PREDICTOR, 1) == 2:
            found = np.add.accumulate(found, 1, np.uint16)
        to = result[piece.top : piece.top + piece.height, piece.left : piece.left + piece.width]
        to[..., piece.plane : piece.plane + inside] = found[: len(to), : to.shape[1]]
    return 65535 - result if tags.get(_MEANING) == 0 else result


def is_premultiplied(tags: Any) -> bool:
    """Whether the colours of a picture with transparency are multiplied by it."""
    return PREMULTIPLIED in tuple(tags.get(_EXTRA, ()))


def exif_of(file: BinaryIO, tags: Any) -> Image.Exif:
    """What the table says as EXIF, with the tables inside; read while the file is open."""
    exif = Image.Exif()
    exif.endian = ">" if tags.prefix == b"MM" else "<"
    file.seek(2)
    exif.bigtiff = b"\x2b" in file.read(2)
    exif.load_from_fp(file, tags.offset)
    return exif


def _pieces(tags: Any, planes: int) -> Iterator[_Piece]:
    width, height = tags[_WIDTH], tags[_HEIGHT]
    is_tiled = _TILE_WIDTH in tags
    cols, rows = (
        (tags[_TILE_WIDTH], tags[_TILE_HEIGHT])
        if is_tiled
        else (width, min(height, tags.get(_STRIP_ROWS, height)))
    )
    places = [
        (plane, top, left)
        for plane in range(planes)
        for top in range(0, height, max(1, rows))
        for left in range(0, width, max(1, cols))
    ]
    offsets = tags[_TILE_OFFSETS if is_tiled else _OFFSETS]
    sizes = tags[_TILE_SIZES if is_tiled else _SIZES]
    if len(offsets) != len(places) or len(sizes) != len(places):
        raise ValueError(f"it has {len(offsets)} strips or tiles, and {len(places)} are needed")
    for (plane, top, left), offset, size in zip(places, offsets, sizes, strict=True):
        tall = rows if is_tiled else min(rows, height - top)
        yield _Piece(top, left, tall, cols, plane, offset, size)


def _decoded(data: bytes, width: int, height: int, tags: Any) -> Deep:
    """Unpack one strip or tile as a grey picture (height, width)."""
    order = ">" if tags.prefix == b"MM" else "<"
    if tags.get(_PACKING, 1) == 1:
        return np.frombuffer(data, f"{order}u2", height * width).reshape(height, width)
    entries = (
        (_WIDTH, 4, width), (_HEIGHT, 4, height), (_BITS, 3, 16), (_PACKING, 3, tags[_PACKING]),
        (_MEANING, 3, 1), (_OFFSETS, 4, 8 + 2 + 9 * 12 + 4), (_SAMPLES, 3, 1),
        (_STRIP_ROWS, 4, height), (_SIZES, 4, len(data)),
    )  # fmt: skip
    parts = [tags.prefix, struct.pack(f"{order}HIH", 42, 8, len(entries))]
    for tag, kind, value in entries:
        short = struct.pack(f"{order}HH", value, 0) if kind == 3 else b""
        parts.append(struct.pack(f"{order}HHI", tag, kind, 1))
        parts.append(short or struct.pack(f"{order}I", value))
    parts += [bytes(4), data]
    with Image.open(BytesIO(b"".join(parts)), formats=["TIFF"]) as picture:
        return np.asarray(picture).astype(np.uint16)
