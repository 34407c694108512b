"""Documents as JSON Lines: each line is a row of the released form with our columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tilewise.errors import DataError
from tilewise.records import Document
from tilewise.shards.conversation import BadError
from tilewise.shards.documents import line_of
from tilewise.shards.index import Group
from tilewise.shards.new_file import NewFile
from tilewise.shards.records import parsed
from tilewise.shards.released import to_released


class LinesWriter:
    """Writes documents line by line; arguments as for ``ParquetWriter``, ``metadata`` is unused."""

    ending = "jsonl"

    def __init__(
        self,
        file: NewFile,
        *,
        group_bytes: int,
        filters_version: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._file, self._limit, self._version = file, group_bytes, filters_version
        self.groups: list[Group] = []

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._file.size

    def add(self, document: Document) -> None:
        """Write a document."""
        line = line_of(to_released(document, self._version))
        add_record(self.groups, self._file.size, len(line), self._limit)
        self._file.write(line)

    def close(self) -> None:
        """Nothing is left to write."""

    def abandon(self) -> None:
        """Nothing is held."""


class LinesGroups:
    """A file of documents by groups of lines, where the index says that they lie.

    Args:
        path: the file.
        groups: of it; None to find them, for which all of it is read.
        group_bytes: of a group that is found.

    Raises:
        DataError: it cannot be read.
    """

    def __init__(
        self, path: Path, groups: Sequence[Group] | None = None, *, group_bytes: int = 96 << 20
    ) -> None:
        self._path = path
        try:
            self._size = path.stat().st_size
            self.groups = _found(path, group_bytes) if groups is None else tuple(groups)
        except OSError as err:
            raise DataError(f"{path} cannot be read ({err.strerror}); check the path.") from err

    def read(self, group: int) -> LineRows:
        """The lines of a group; raises DataError where there are other lines."""
        start = self.groups[group].offset
        is_last = group + 1 == len(self.groups)
        end = self._size if is_last else self.groups[group + 1].offset
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                data = file.read(max(0, end - start))
        except OSError as err:
            raise DataError(f"{self._path} cannot be read ({err.strerror}); get it back.") from err
        lines = data.removesuffix(b"\n").split(b"\n") if data else []
        if len(lines) != self.groups[group].rows:
            raise DataError(
                f"{self._path}: group {group + 1} has {len(lines)} lines and by the index "
                f"{self.groups[group].rows}; get the file again, or write its index anew."
            )
        return LineRows(lines)


class LineRows:
    """Lines of JSON as rows."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        """The object of a line; raises BadError."""
        row = parsed(self._lines[index])
        if not isinstance(row, dict):
            raise BadError("unreadable record", f"it is a {type(row).__name__}, no object")
        return row


def add_record(groups: list[Group], at: int, size: int, limit: int) -> None:
    """Count a record of ``size`` bytes that begins at ``at`` to the last group, or to a new one."""
    if groups and at + size - groups[-1].offset <= limit:
        groups[-1] = groups[-1]._replace(rows=groups[-1].rows + 1)
    else:
        groups.append(Group(rows=1, offset=at))


def _found(path: Path, limit: int) -> tuple[Group, ...]:
    groups: list[Group] = []
    at = 0
    with path.open("rb") as file:
        for line in file:
            add_record(groups, at, len(line), limit)
            at += len(line)
    return tuple(groups)
