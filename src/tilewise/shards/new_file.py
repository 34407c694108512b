"""Files that are there whole or not at all, with their hash."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tilewise.errors import DataError

_READ: Final = 1 << 22


class NewFile(io.RawIOBase):
    """What is written is counted and hashed on its way; nothing is read or sought.

    Raises:
        DataError: from each method that writes, where there is no room.
    """

    def __init__(self, path: Path, part: Path) -> None:
        self._path = path
        with _blamed(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = part.open("wb", buffering=1 << 20)
        self._hash = sha256()
        self.size = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Write bytes."""
        with _blamed(self._path):
            count = self._file.write(data)
        self._hash.update(data)
        self.size += count
        return count

    def tell(self) -> int:
        """Bytes so far."""
        return self.size

    @property
    def sha256(self) -> str:
        """The hash of all that was written so far, in hex."""
        return self._hash.hexdigest()

    def sync(self) -> None:
        """Bring all of it onto the disk."""
        with _blamed(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            with _blamed(self._path):
                self._file.close()
            super().close()


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """A file under another name until the block ends, then under its own, on the disk.

    After an error, or a kill, nothing stands under its name that did not before.

    Raises:
        DataError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        file = NewFile(path, part)
        try:
            yield file
            file.sync()
        finally:
            file.close()
        with _blamed(path):
            part.replace(path)
            _sync_folder(path.parent)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise DataError(
            f"{path} cannot be written ({err.strerror or err}); make room, or choose another place."
        ) from err


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in one go; raises DataError as ``new_file`` does."""
    with new_file(path) as file:
        file.write(data)


def hash_of(path: Path) -> str:
    """SHA-256 of a file, in hex; raises OSError."""
    found = sha256()
    with path.open("rb") as file:
        while data := file.read(_READ):
            found.update(data)
    return found.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Bring a renaming onto the disk, where folders can be synced."""
    if os.name != "posix":
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
