"""PNG written from top to bottom, a strip at a time: what is in memory is one strip.

The standard library's zlib is all that it takes; Pillow would need the whole picture.

Source: PNG (Third Edition, W3C); filters are chosen by the least sum of absolute differences.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

COLOUR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}
"""By samples of a pixel: grey, grey with transparency, RGB, RGB with transparency."""

MOST_SIDE: Final = 2**31 - 1

_LEVEL: Final = 4
_BAND: Final = 1 << 20
"""Bytes that are filtered at a time, so that the work stays in the processor's cache."""


class PngStrips:
    """A PNG being written.

    Args:
        file: takes bytes.
        width, height, samples: of the picture.
        bits: 8 or 16.
        chunks: what else goes in before the pixels, (name, data).
    """

    def __init__(
        self,
        file: BinaryIO,
        width: int,
        height: int,
        samples: int,
        bits: int,
        chunks: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._file = file
        self._step = samples * bits // 8
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
        self._above = np.zeros((1, width * self._step), np.uint8)
        file.write(b"\x89PNG\r\n\x1a\n")
        head = struct.pack(">IIBBBBB", width, height, bits, COLOUR_TYPES[samples], 0, 0, 0)
        self._chunk(b"IHDR", head)
        for name, data in chunks:
            self._chunk(name, data)

    def write(self, strip: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
        """Add rows (n, width, samples)."""
        big = strip.astype(">u2") if strip.dtype == np.uint16 else strip
        rows = np.ascontiguousarray(big).view(np.uint8).reshape(len(strip), -1)
        count = max(1, _BAND // rows.shape[1])
        for top in range(0, len(rows), count):
            band = rows[top : top + count]
            data = self._packer.compress(_filtered(band, self._above, self._step))
            self._above = band[-1:].copy()
            if data:
                self._chunk(b"IDAT", data)

    def close(self) -> None:
        """End the picture; the file stays open."""
        self._chunk(b"IDAT", self._packer.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, name: bytes, data: bytes) -> None:
        self._file.write(struct.pack(">I", len(data)) + name)
        self._file.write(data)
        self._file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))


def text(key: str, value: str) -> tuple[bytes, bytes]:
    """A chunk of text, UTF-8."""
    return b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + value.encode()


def profile(data: bytes) -> tuple[bytes, bytes]:
    """A chunk with an ICC profile."""
    return b"iCCP", b"ICC profile\0\0" + zlib.compress(data)


def density(dots_per_inch: tuple[float, float]) -> tuple[bytes, bytes]:
    """A chunk that says how large a pixel is."""
    across, down = (min(2**31 - 1, max(1, round(value / 0.0254))) for value in dots_per_inch)
    return b"pHYs", struct.pack(">IIB", across, down, 1)


def _filtered(rows: NDArray[np.uint8], above: NDArray[np.uint8], step: int) -> bytes:
    """Each row with the number of its filter before it. Shape: rows (n, bytes), above (1, bytes).

    Filters Sub, Up and Paeth are tried; the others seldom win on pictures that were enlarged.
    """
    up = np.concatenate([above, rows[:-1]]).astype(np.int16)
    left, corner = np.zeros_like(up), np.zeros_like(up)
    left[:, step:], corner[:, step:] = rows[:, :-step], up[:, :-step]
    to_left, to_up = np.abs(up - corner), np.abs(left - corner)
    to_corner = np.abs(left + up - 2 * corner)
    paeth = np.where(to_up <= to_corner, up, corner)
    paeth = np.where((to_left <= to_up) & (to_left <= to_corner), left, paeth)
    found = [(rows - guess).astype(np.uint8) for guess in (left, up, paeth)]
    costs = [np.abs(one.view(np.int8), dtype=np.int16).sum(1, np.int64) for one in found]
    best = np.argmin(costs, 0)
    result = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    result[:, 0] = np.array([1, 2, 4], np.uint8)[best]
    for index, one in enumerate(found):
        result[best == index, 1:] = one[best == index]
    return result.tobytes()
