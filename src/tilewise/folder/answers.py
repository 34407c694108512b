"""The file of answers: one JSON line for each question about each file, safe against any end.

A line is written in one piece and brought to the disk before the next question is asked. What a
killed run leaves is whole lines, and at most one torn one at the end, which the next run cuts off.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Final, Protocol

from tilewise.errors import ConfigError

try:
    import fcntl as _fcntl

    fcntl: ModuleType | None = _fcntl
except ImportError:  # Windows: two runs into one file are not told apart there
    fcntl = None

Line = dict[str, Any]
"""One answer, as ``lines.line`` makes it."""

BEGINNING: Final = b'{"source": '
"""How every line begins; a file that begins otherwise is not touched."""

KEYS: Final = frozenset({"source", "question", "settings", "stamp", "error"})


_BREAKS: Final = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}


class Answers(Protocol):
    """Where lines go."""

    kept: list[Line]

    def append(self, line: Line) -> None:
        """Add a line, for good."""

    def arrange(self, place: Callable[[Line], tuple[int, ...]]) -> None:
        """Sort the lines by their places."""

    def close(self) -> None:
        """Let go of the file."""


class AnswersFile:
    """A file of lines that only this process writes to. ``kept`` are the lines it holds.

    Args:
        path: the file; made if it is missing.
        restart: drop what it holds.

    Raises:
        ConfigError: it cannot be written, another run is writing to it, or it holds something
            else than answers.
    """

    def __init__(self, path: Path, *, restart: bool = False) -> None:
        self.path = path
        self.kept: list[Line] = []
        target = path.resolve()
        if target.is_dir():
            raise ConfigError(f"{path}: is a folder; give the name of a file for the answers.")
        if target.exists() and not target.is_file():
            raise ConfigError(f"{path}: is no file; --out takes a file, or - for standard output.")
        try:
            self._file: BinaryIO = target.open("a+b", buffering=0)
            self._lock(self._file)
            if restart:
                self._file.truncate(0)
            self.kept = self._read()
        except OSError as err:
            raise self._unwritable(err) from err

    def append(self, line: Line) -> None:
        """Add a line and wait until the disk has it.

        Raises:
            ConfigError: the disk is full or gone; what was there before is still whole.
        """
        try:
            end = self._file.seek(0, os.SEEK_END)
            try:
                _write(self._file, _bytes(line))
            except OSError:
                self._file.truncate(end)
                raise
        except OSError as err:
            raise self._unwritable(err) from err
        self.kept.append(line)

    def drop(self, is_old: Callable[[Line], bool]) -> int:
        """Take lines out, and say how many; the file changes as a whole or not at all."""
        kept = [line for line in self.kept if not is_old(line)]
        dropped = len(self.kept) - len(kept)
        if dropped:
            self._replace(kept)
        return dropped

    def arrange(self, place: Callable[[Line], tuple[int, ...]]) -> None:
        """Sort the lines by their places; nothing is written if they are in order already."""
        ordered = sorted(self.kept, key=place)
        if any(one is not other for one, other in zip(ordered, self.kept, strict=True)):
            self._replace(ordered)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _read(self) -> list[Line]:
        """The whole lines; a torn one at the end is cut off."""
        self._file.seek(0)
        data = self._file.read()
        whole, torn = data[: data.rfind(b"\n") + 1], data[data.rfind(b"\n") + 1 :]
        lines = list(self._parsed(whole))
        if torn:
            if torn[: len(BEGINNING)] != BEGINNING[: len(torn)]:
                raise self._strange(len(lines) + 1)
            self._file.truncate(len(whole))
        return lines

    def _parsed(self, data: bytes) -> Iterator[Line]:
        for number, text in enumerate(data.splitlines(), start=1):
            try:
                line = json.loads(text)
            except ValueError as err:
                raise self._strange(number) from err
            if not isinstance(line, dict) or not line.keys() >= KEYS:
                raise self._strange(number)
            yield line

    def _replace(self, lines: Sequence[Line]) -> None:
        """Put a new file in the old one's place, locked before it can be seen."""
        target = self.path.resolve()
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            try:
                file = part.open("w+b", buffering=0)
                self._lock(file)
                _write(file, b"".join(map(_bytes, lines)))
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as err:
            raise self._unwritable(err) from err
        self._file.close()
        self._file, self.kept = file, list(lines)

    def _lock(self, file: BinaryIO) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            file.close()
            raise ConfigError(
                f"{self.path}: another run is writing to it; wait for its end, or give another "
                "--out."
            ) from err

    def _unwritable(self, err: OSError) -> ConfigError:
        if err.errno not in (errno.ENOSPC, errno.EDQUOT):
            return ConfigError(
                f"{self.path}: cannot be written ({err.strerror}); give another --out."
            )
        return ConfigError(
            f"{self.path}: cannot be written ({err.strerror}); make room or give another --out. "
            "The same command goes on where this one stopped."
        )

    def _strange(self, number: int) -> ConfigError:
        self._file.close()
        return ConfigError(
            f"{self.path}: line {number} is not an answer of tilewise; give another --out, or "
            "--restart to write over the file."
        )


class Printed:
    """Lines on standard output, where nothing can be read back."""

    def __init__(self, out: BinaryIO) -> None:
        self.kept: list[Line] = []
        self._out = out

    def append(self, line: Line) -> None:
        """Print a line at once."""
        self._out.write(_bytes(line))
        self._out.flush()
        self.kept.append(line)

    def arrange(self, place: Callable[[Line], tuple[int, ...]]) -> None:
        """Nothing: they were printed in order."""

    def close(self) -> None:
        """Nothing: standard output stays open."""


def check_settings(path: Path, lines: Iterable[Line], settings: Mapping[str, Any]) -> None:
    """See that lines were made as new ones will be.

    Raises:
        ConfigError: they were not; it names each difference.
    """
    for line in lines:
        old = line["settings"]
        if old == settings:
            continue
        names = sorted(k for k in {*old, *settings} if old.get(k) != settings.get(k))
        told = ", ".join(f"{k} {_told(old.get(k))} (now {_told(settings.get(k))})" for k in names)
        raise ConfigError(
            f"{path}: holds answers made with {told}; give the same settings, another --out, or "
            "--restart to ask everything again."
        )


def _told(value: object) -> str:
    return "left out" if value is None else str(value)


def _bytes(line: Line) -> bytes:
    """A line as UTF-8; what some readers take for the end of a line is escaped, as it may be."""
    text = json.dumps(line, ensure_ascii=False).translate(_BREAKS)
    return text.encode("utf-8", "backslashreplace") + b"\n"  # half a surrogate pair is escaped too


def _write(file: BinaryIO, data: bytes) -> None:
    """All of it, to the disk; an unbuffered file may take less at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    os.fsync(file.fileno())
