"""What a stage leaves on disk: parts of rows, and markers that are believed only if all fits.

A file is written under a temporary name, brought to the disk and renamed; a shard's marker comes
last. It names every file of the shard with its rows, bytes and SHA-256, and what the files were
made from, so that a damaged, torn or outdated shard is found and done again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from tilewise.errors import ConfigError, DataError
from tilewise.shards.documents import line_of

LEVEL: Final = 1
"""Of compression: the disk has room, processors are what a run is short of."""

_BLOCK: Final = 1 << 18
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Marker = dict[str, Any]
"""Of one shard: ``key``, ``files``, ``counts`` and whatever else the stage tells."""


@dataclass(frozen=True, slots=True)
class StageFolder:
    """Where the files of a stage lie."""

    path: Path

    def file(self, kind: str, shard: int) -> Path:
        """A file of rows, e.g. of kind ``part`` or ``dropped``."""
        return self.path / f"{kind}-{shard:05}.jsonl.gz"

    def marker(self, shard: int) -> Path:
        """Says that a shard is done."""
        return self.path / f"done-{shard:05}.json"

    def believed(self, shard: int, key: str) -> Marker | None:
        """The marker of a shard if it was made with this key and its files are as it says."""
        found = self.read_marker(shard)
        if found is None or found.get("key") != key:
            return None
        files = found["files"]
        fits = all(_fits(self.path / name, told) for name, told in files.items())
        return found if fits else None

    def read_marker(self, shard: int) -> Marker | None:
        """The marker as it stands, without a look at the files; None if there is none, or torn."""
        try:
            found = json.loads(self.marker(shard).read_bytes())
        except (OSError, ValueError):
            return None
        is_whole = isinstance(found, dict) and {"key", "files", "counts"} <= found.keys()
        return found if is_whole else None

    def write_marker(self, shard: int, marker: Marker) -> None:
        """Say that a shard is done; its files must be in place."""
        write_whole(self.marker(shard), json.dumps(marker, indent=1).encode())

    def clear(self, shards_from: int = 0) -> None:
        """Remove files of shards from a number on, markers first, and what a kill left half done.

        Args:
            shards_from: 0 removes all.
        """
        if not self.path.is_dir():
            return
        names = sorted(self.path.iterdir(), key=lambda path: not path.name.startswith("done-"))
        for path in names:
            number = path.name.partition(".")[0].rpartition("-")[2]
            if path.is_file() and number.isdigit() and int(number) >= shards_from:
                path.unlink(missing_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Remove what a kill left half written."""
        for path in self.path.glob(".*.tmp"):
            path.unlink(missing_ok=True)


class RowWriter:
    """Rows of JSON, a line each, gzipped, under a temporary name until ``commit``.

    Without it, or after an error in its ``with`` block, no file stays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.told: dict[str, Any] = {}
        self._part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._packer = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)  # 31: gzip, without a time
        self._hash, self._bytes = hashlib.sha256(), 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = self._part.open("wb", buffering=0)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row."""
        self.write_line(line_of(row))

    def write_line(self, line: bytes) -> None:
        """Add a row that is a line of JSON already."""
        self.rows += 1
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        if self._waiting_bytes >= _BLOCK:
            self._push(b"")

    def commit(self) -> dict[str, Any]:
        """Finish the file and give it its name; what a marker says of it."""
        with writing(self.path):
            self._push(None)
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)
        self.told = {"rows": self.rows, "bytes": self._bytes, "sha256": self._hash.hexdigest()}
        return self.told

    def _push(self, end: bytes | None) -> None:
        data = self._packer.compress(b"".join(self._waiting))
        if end is None:
            data += self._packer.flush()
        self._waiting, self._waiting_bytes = [], 0
        self._hash.update(data)
        self._bytes += len(data)
        with writing(self.path):
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file that ``RowWriter`` wrote, without their line breaks.

    Raises:
        DataError: it is missing, torn or damaged.
    """
    unpacker, rest = zlib.decompressobj(31), b""
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                lines = (rest + unpacker.decompress(block)).split(b"\n")
                rest = lines.pop()
                yield from lines
    except (OSError, zlib.error) as err:
        raise _damaged(path, err) from err
    if not unpacker.eof or rest:
        raise _damaged(path, "it is cut short")


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file that ``RowWriter`` wrote; raises DataError as ``read_lines``."""
    for line in read_lines(path):
        try:
            yield json.loads(line)
        except ValueError as err:
            raise _damaged(path, err) from err


def write_whole(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all.

    Raises:
        ConfigError: the disk is full, or the place cannot be written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hex; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def told_of(path: Path, rows: int) -> dict[str, Any]:
    """What a marker says of a file that others wrote."""
    return {"rows": rows, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def key_of(parts: Mapping[str, Any]) -> str:
    """A text that differs where any of the things that a result depends on does."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns errors of the disk into one sentence."""
    try:
        yield
    except OSError as err:
        why = err.strerror or str(err)
        # NumPy tells a short write without a number: "4000 requested and 512 written"
        if err.errno in _FULL or (err.errno is None and why.endswith(" written")):
            raise ConfigError(
                f"{path.parent}: there is no room ({why}); make some, and the same "
                "command goes on where this one stopped."
            ) from err
        raise ConfigError(
            f"{path}: cannot be written ({why}); check the folder given as --out."
        ) from err


def _fits(path: Path, told: Mapping[str, Any]) -> bool:
    try:
        return path.stat().st_size == told["bytes"] and sha256_of(path) == told["sha256"]
    except (OSError, KeyError):
        return False


def _damaged(path: Path, why: object) -> DataError:
    return DataError(
        f"{path} is damaged ({why}); run tilewise corpus build again, which makes it anew."
    )


Told = Callable[[str, int, int], None]
"""Called with what is going on, how much of it is done, and how much there is."""
