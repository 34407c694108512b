"""Names and starts of the streams in an OLE compound file (doc, xls, ppt, locked OOXML).

Source: [MS-CFB] Compound File Binary File Format, sections 2.2 to 2.6.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, Final, NamedTuple

SIGNATURE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_MAX_SECTORS: Final = 4096  # of the directory and of what is read of a stream: plenty, and no loops
_ENTRY_BYTES: Final = 128
_MINI_CUTOFF: Final = 4096  # shorter streams lie in the mini stream
_MINI_BYTES: Final = 64
_MAX_REGULAR: Final = 0xFFFFFFFA


class OleError(Exception):
    """The file does not hold together."""


class _Entry(NamedTuple):
    start: int
    size: int


class OleFile:
    """The directory of a compound file; ``file`` stays the caller's."""

    def __init__(self, file: BinaryIO) -> None:
        """Read header and directory.

        Raises:
            OleError: the file is damaged.
        """
        self._file = file
        self._size_bytes = file.seek(0, os.SEEK_END)
        header = self._read(0, 512)
        (shift,) = struct.unpack_from("<H", header, 30)
        if not header.startswith(SIGNATURE) or shift not in (9, 12):
            raise OleError("its header is damaged")
        self._sector = 1 << shift
        self._difat: list[int] = list(struct.unpack_from("<109I", header, 76))
        self._long_difat(*struct.unpack_from("<II", header, 68))
        (directory,) = struct.unpack_from("<I", header, 48)
        (self._mini_fat,) = struct.unpack_from("<I", header, 60)
        self._entries = self._directory(directory)

    @property
    def names(self) -> frozenset[str]:
        """Names of streams and storages, at any depth."""
        return frozenset(self._entries)

    def head(self, name: str, size_bytes: int) -> bytes:
        """The first bytes of a stream, fewer where it is shorter, none where it is not there.

        Raises:
            OleError: the file is damaged.
        """
        entry = self._entries.get(name)
        if entry is None:
            return b""
        size = min(size_bytes, entry.size)
        if entry.size >= _MINI_CUTOFF:
            return self._stream(entry.start, size)
        root = self._entries.get("Root Entry", _Entry(_MAX_REGULAR, 0))
        fat = self._stream(self._mini_fat, 4 * _MAX_SECTORS)
        mini = self._stream(root.start, min(root.size, self._sector * _MAX_SECTORS))
        out, at = b"", entry.start
        while len(out) < size and 4 * at + 4 <= len(fat):
            out += mini[at * _MINI_BYTES : (at + 1) * _MINI_BYTES]
            (at,) = struct.unpack_from("<I", fat, 4 * at)
        return out[:size]

    def _long_difat(self, start: int, count: int) -> None:
        """Files over 6.8 MB list more sectors of the allocation table in a chain of its own."""
        at = start
        for _ in range(min(count, _MAX_SECTORS)):
            if at >= _MAX_REGULAR:
                return
            *more, at = struct.unpack(f"<{self._sector // 4}I", self._sector_at(at))
            self._difat += more

    def _directory(self, start: int) -> dict[str, _Entry]:
        entries: dict[str, _Entry] = {}
        data = self._stream(start, self._sector * _MAX_SECTORS)
        for at in range(0, len(data) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
            length, kind = struct.unpack_from("<HB", data, at + 64)
            if kind and 2 <= length <= 64:
                name = data[at : at + length - 2].decode("utf-16-le", errors="replace")
                first, size = struct.unpack_from("<II", data, at + 116)
                entries.setdefault(name, _Entry(first, size))
        return entries

    def _stream(self, start: int, size_bytes: int) -> bytes:
        out, at = bytearray(), start
        for _ in range(_MAX_SECTORS):
            if at >= _MAX_REGULAR or len(out) >= size_bytes:
                break
            out += self._sector_at(at)
            at = self._next(at)
        return bytes(out[:size_bytes])

    def _next(self, sector: int) -> int:
        table, index = divmod(sector, self._sector // 4)
        if table >= len(self._difat) or self._difat[table] >= _MAX_REGULAR:
            raise OleError("its allocation table is cut short")
        place = (self._difat[table] + 1) * self._sector + 4 * index
        (following,) = struct.unpack("<I", self._read(place, 4))
        return int(following)

    def _sector_at(self, sector: int) -> bytes:
        return self._read((sector + 1) * self._sector, self._sector, is_last_short=True)

    def _read(self, place: int, count: int, is_last_short: bool = False) -> bytes:
        if place >= self._size_bytes:
            raise OleError("it is cut short")
        self._file.seek(place)
        data = self._file.read(count)
        if len(data) < count:
            if not is_last_short:
                raise OleError("it is cut short")
            data = data.ljust(count, b"\0")
        return data
