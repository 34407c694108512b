"""TIFF written from top to bottom, a strip at a time, packed by zlib; over 4 GB as BigTIFF.

Source: TIFF 6.0, Adobe's technical notes on Deflate (8) and on the predictor of 16 bits.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from math import ceil
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

MOST_SIDE: Final = 2**32 - 1

_STRIP_BYTES: Final = 1 << 18
_LARGE: Final = 3_900_000_000
"""Bytes of pixels from which on offsets take 8 bytes; fewer stay under 4 GiB, however packed."""

_LONG, _LONG8 = 4, 16
_OFFSETS, _SIZES = 273, 279


class TiffStrips:
    """A TIFF being written.

    Args:
        file: takes bytes, and can be sought in.
        width, height, samples: of the picture; 2 and 4 samples have transparency last.
        bits: 8 or 16.
        tags: what else is said of the picture, by number; tables inside are tables.
    """

    def __init__(
        self,
        file: BinaryIO,
        width: int,
        height: int,
        samples: int,
        bits: int,
        tags: Mapping[int, Any],
    ) -> None:
        self._file = file
        row_bytes = width * samples * bits // 8
        self._rows = max(1, _STRIP_BYTES // row_bytes)
        self._is_large = row_bytes * height > _LARGE
        kind = _LONG8 if self._is_large else _LONG
        head = (
            b"II\x2b\0\x08\0\0\0" + struct.pack("<Q", 16) if self._is_large else b"II*\0\x08\0\0\0"
        )
        self._start = len(head)
        self._ifd = ImageFileDirectory_v2(ifh=head)
        for tag, value in tags.items():
            self._ifd[tag] = value
        strips = ceil(height / self._rows)
        plain = {
            256: width, 257: height, 258: (bits,) * samples, 259: 8, 262: 2 if samples > 2 else 1,
            277: samples, 278: self._rows, 284: 1, 317: 2,
        }  # fmt: skip
        for tag, value in plain.items():
            self._ifd[tag] = value
        if samples in (2, 4):
            self._ifd[338] = 2  # transparency that the colours are not multiplied by
        for tag in (_OFFSETS, _SIZES):
            self._ifd.tagtype[tag] = kind
            self._ifd[tag] = (0,) * strips
        self._sizes: list[int] = []
        self._left: NDArray[Any] = np.empty(
            (0, width, samples), np.uint16 if bits > 8 else np.uint8
        )
        file.write(head + bytes(len(self._ifd.tobytes(self._start))))

    def write(self, strip: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
        """Add rows (n, width, samples)."""
        rows = np.concatenate([self._left, strip])
        whole = len(rows) - len(rows) % self._rows
        for top in range(0, whole, self._rows):
            self._pack(rows[top : top + self._rows])
        self._left = rows[whole:].copy()

    def close(self) -> None:
        """End the picture, and say at its start where everything is; the file stays open."""
        if len(self._left):
            self._pack(self._left)
        offsets = [0, *np.cumsum(self._sizes[:-1]).tolist()]
        self._ifd[_OFFSETS], self._ifd[_SIZES] = tuple(offsets), tuple(self._sizes)
        self._file.seek(self._start)
        self._file.write(self._ifd.tobytes(self._start))  # which counts offsets from its own end

    def _pack(self, rows: NDArray[Any]) -> None:
        steps = rows.copy()
        steps[:, 1:] -= rows[:, :-1]
        data = zlib.compress(steps.tobytes(), 4)
        self._sizes.append(len(data))
        self._file.write(data)
