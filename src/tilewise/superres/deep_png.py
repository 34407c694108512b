"""Colour PNG of 16 bits, which Pillow cuts to 8: chunks, filters, interlacing.

Filters refer to the pixel on the left and to the row above. All rows of a band are undone at once
along the diagonal, where a pixel's neighbours are known for every row.

Source: PNG (Third Edition, W3C), sections 7 to 9, 11.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Deep = NDArray[np.uint16]

SAMPLES: Final = {2: 3, 4: 2, 6: 4}
"""By colour type: samples of a pixel. Grey alone, type 0, Pillow reads whole."""

_BAND_ROWS: Final = 512
_PASSES: Final = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
    (1, 0, 2, 1),
)  # fmt: skip
"""Adam7: first row, first column, step of rows, step of columns."""


class Head(NamedTuple):
    """What the first chunk of a PNG says."""

    width: int
    height: int
    bits: int
    colour: int
    is_interlaced: bool


def head_of(file: BinaryIO) -> Head | None:
    """Read the first chunk; None where it is no head."""
    file.seek(8)
    data = file.read(25)
    if len(data) < 25 or data[4:8] != b"IHDR":
        return None
    width, height, bits, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 8)
    return Head(width, height, bits, colour, interlace == 1)


def read_deep(file: BinaryIO, head: Head) -> Deep:
    """Decode the samples, (height, width, samples); a colour that is see-through adds one more.

    Raises:
        ValueError: the data are damaged or cut short.
        zlib.error: they do not unpack.
    """
    samples = SAMPLES[head.colour]
    result = np.zeros((head.height, head.width, samples), np.uint16)
    source = _Bytes(file)
    passes = _PASSES if head.is_interlaced else ((0, 0, 1, 1),)
    for row, col, down, across in passes:
        part = result[row::down, col::across]
        if part.size:
            _read_pass(source, part)
    clear = source.clear
    if samples == 3 and clear is not None and len(clear) == 6:
        seen = (result != np.array(struct.unpack(">3H", clear), np.uint16)).any(-1, keepdims=True)
        result = np.concatenate([result, seen * np.uint16(65535)], -1)
    return result


def _read_pass(source: _Bytes, part: Deep) -> None:
    rows, cols, samples = part.shape
    size = cols * samples * 2
    above = np.zeros((cols, samples * 2), np.int16)
    for top in range(0, rows, _BAND_ROWS):
        count = min(_BAND_ROWS, rows - top)
        raw = np.frombuffer(source.take(count * (size + 1)), np.uint8).reshape(count, size + 1)
        if raw[:, 0].max() > 4:
            raise ValueError(f"a row has the filter {raw[:, 0].max()}, which there is not")
        plain = _unfiltered(raw[:, 0], raw[:, 1:].reshape(count, cols, samples * 2), above)
        above = plain[-1].astype(np.int16)
        part[top : top + count] = np.ascontiguousarray(plain).view(">u2")


def _unfiltered(
    kinds: NDArray[np.uint8], raw: NDArray[np.uint8], above: NDArray[np.int16]
) -> NDArray[np.uint8]:
    """Undo the filters of rows below ``above`` (w, bytes). Shape: raw (n, w, bytes), kept."""
    rows, cols, size = raw.shape
    steps = cols + rows - 1
    # Row r moved to the right by r, so that a diagonal is a column: (steps, rows, bytes).
    wide = np.zeros((rows, steps + 1, size), np.int16)
    wide[:, :cols] = raw
    slant = wide.reshape(-1, size)[: rows * steps].reshape(rows, steps, size)
    slant = np.ascontiguousarray(slant.swapaxes(0, 1))
    first = np.zeros((steps + 1, size), np.int16)
    first[1 : cols + 1] = above
    is_kind = [(kinds == kind).astype(np.int16)[:, None] for kind in range(5)]
    left = np.zeros((rows, size), np.int16)
    corner, up = left.copy(), left.copy()
    for step in range(steps):
        up[1:], up[0] = left[:-1], first[step + 1]
        to_left, to_up = np.abs(up - corner), np.abs(left - corner)
        to_corner = np.abs(left + up - 2 * corner)
        is_up, is_left = to_up <= to_corner, (to_left <= to_up) & (to_left <= to_corner)
        paeth = np.where(is_left, left, np.where(is_up, up, corner))
        guess = is_kind[1] * left + is_kind[2] * up + is_kind[3] * ((left + up) >> 1)
        corner[:] = up
        left = slant[step]
        left += guess + is_kind[4] * paeth
        left &= 255
    straight = np.zeros((rows, steps + 1, size), np.uint8)
    straight.reshape(-1, size)[: rows * steps] = slant.swapaxes(0, 1).reshape(-1, size)
    return straight[:, :cols]


class _Bytes:
    """The unpacked bytes of a PNG's data, some at a time; ``clear`` is its see-through colour."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(8)
        self.clear: bytes | None = None
        self._parts = self._chunks(file)
        self._unpacker = zlib.decompressobj()
        self._packed = b""

    def take(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            ValueError: there are no more.
        """
        found = bytearray()
        while len(found) < size:
            if not self._packed:
                self._packed = next(self._parts, b"")
                if not self._packed:
                    raise ValueError("image file is truncated")
            found += self._unpacker.decompress(self._packed, size - len(found))
            self._packed = self._unpacker.unconsumed_tail
            if self._unpacker.eof and len(found) < size:
                raise ValueError("image file is truncated")
        return bytes(found)

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        while len(head := file.read(8)) == 8:
            size, name = struct.unpack(">I4s", head)
            if name == b"IEND":
                return
            if name == b"IDAT":
                while size:
                    data = file.read(min(size, 1 << 20))
                    if not data:
                        return
                    size -= len(data)
                    yield data
            elif name == b"tRNS" and size <= 6:
                self.clear = file.read(size)
            else:
                file.seek(size, 1)
            file.seek(size + 4 if name == b"IDAT" else 4, 1)


class Facts(NamedTuple):
    """What a PNG says beside its pixels; ``exif`` without a head, ``dpi`` across and down."""

    exif: bytes = b""
    xmp: bytes = b""
    profile: bytes | None = None
    dpi: tuple[float, float] | None = None


def facts_of(file: BinaryIO) -> Facts:
    """Read them, before and after the pixels; those that are damaged are as if not there."""
    file.seek(8)
    found = Facts()
    while len(head := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", head)
        wanted = name in (b"eXIf", b"iTXt", b"iCCP", b"pHYs") and size <= _MOST_FACT
        data = file.read(size) if wanted else b""
        file.seek(4 if wanted else size + 4, 1)
        if name == b"eXIf":
            found = found._replace(exif=data)
        elif data.startswith(b"XML:com.adobe.xmp\0\0"):
            found = found._replace(xmp=data[20:].split(b"\0", 2)[-1])
        elif name == b"iCCP" and b"\0\0" in data:
            found = found._replace(profile=_unpacked(data.split(b"\0\0", 1)[1]))
        elif name == b"pHYs" and size == 9 and data[8] == 1:
            across, down = struct.unpack_from(">II", data)
            found = found._replace(dpi=(across * 0.0254, down * 0.0254))
    return found


_MOST_FACT: Final = 1 << 26


def _unpacked(data: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(data, _MOST_FACT) or None
    except zlib.error:
        return None
