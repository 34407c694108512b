"""JSON Lines and JSON lists: where each record lies is found once, and each is read when asked for.

Only places are kept in memory, eight bytes a record, so that files may be larger than that.
"""

from __future__ import annotations

import mmap
import os
import re
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tilewise.errors import DataError
from tilewise.shards.conversation import Bad, BadError, Sample
from tilewise.shards.records import file_in, parsed, sample_of

_BLOCK: Final = 1 << 22
_BLANK: Final = 64  # a line of so few bytes is looked at to see if it is blank


class JsonRecords:
    """Records of one file, by their first and last byte.

    Args:
        path: the file.
        root: where paths of images start; default, the file's folder.
        spans: first byte of each record and the one after its last, (records, 2).
        lines: number of the line of each, from 1.
        named: how messages name a record, of ``{path}``, ``{line}`` and ``{record}``, from 1.
    """

    def __init__(
        self,
        path: Path,
        root: Path | None,
        spans: NDArray[np.int64],
        lines: NDArray[np.int64],
        named: str,
    ) -> None:
        self.name = path.stem
        self.path = path
        self._root = path.parent if root is None else root
        self._spans, self._lines, self._named = spans, lines, named
        self._file = -1

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: int) -> Sample | Bad:
        """Record ``index``, from 0; a damaged one as ``Bad``."""
        where = self.where(index)
        try:
            record = parsed(self.read(index))
        except BadError as err:
            return Bad(where, err.reason, err.detail)
        return sample_of(record, where, partial(file_in, self._root))

    def where(self, index: int) -> str:
        """Names a record for messages."""
        return self._named.format(path=self.path, line=self._lines[index], record=index + 1)

    def read(self, index: int) -> bytes:
        """The record's bytes; raises DataError."""
        start, end = (int(place) for place in self._spans[index])
        try:
            if self._file < 0:
                self._file = os.open(self.path, os.O_RDONLY)
            return os.pread(self._file, end - start, start)
        except OSError as err:
            raise DataError(f"{self.path} cannot be read ({err.strerror}); get it back.") from err

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": -1}

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            os.close(self._file)


def json_lines(path: Path, root: Path | None = None) -> JsonRecords:
    """A record on each line; blank lines are none.

    Args:
        path: the file.
        root: where paths of images start; default, the file's folder.

    Raises:
        DataError: it cannot be read.
    """
    spans = _lines(path)
    short = np.flatnonzero(spans[:, 1] - spans[:, 0] <= _BLANK)
    with path.open("rb") as file:
        blank = [row for row in short if _is_blank(file, spans[row])]
    numbers = np.delete(np.arange(1, len(spans) + 1), blank)
    return JsonRecords(path, root, np.delete(spans, blank, axis=0), numbers, "{path}:{line}")


def json_list(path: Path, root: Path | None = None) -> JsonRecords:
    """One JSON list of records, as LLaVA's files are; arguments as for ``json_lines``.

    Raises:
        DataError: it cannot be read, or its list does not end.
    """
    spans, numbers = _items(path)
    return JsonRecords(path, root, spans, numbers, "{path}:{line} (record {record})")


def _lines(path: Path) -> NDArray[np.int64]:
    """First byte of each line and the one after its last, without line breaks; (lines, 2)."""
    found, at = [], 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                found.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + at)
                at += len(block)
    except OSError as err:
        raise DataError(f"{path} cannot be read ({err.strerror}); check the path.") from err
    breaks = np.concatenate([*found, [at]]).astype(np.int64)
    starts = np.concatenate([[0], breaks[:-1] + 1]).astype(np.int64)
    return np.stack([starts, breaks], axis=1)[starts < at]


def _is_blank(file: Any, span: NDArray[np.int64]) -> bool:
    file.seek(int(span[0]))
    return not file.read(int(span[1] - span[0])).strip()


_SIGNS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


def _items(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spans of the objects of a JSON list, (records, 2), and the numbers of their lines."""
    spans: list[tuple[int, int]] = []
    depth, start, is_ended = 0, 0, False
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for sign in _SIGNS.finditer(data):
                mark = data[sign.start()]
                if mark in b"[{":
                    if depth == 1:
                        start = sign.start()
                    depth += 1
                elif mark in b"]}":
                    depth -= 1
                    if depth == 1:
                        spans.append((start, sign.end()))
                is_ended = is_ended or depth == 0
            numbers = _line_numbers(data, [start for start, _ in spans])
    except OSError as err:
        raise DataError(f"{path} cannot be read ({err.strerror}); check the path.") from err
    if not is_ended or depth:
        raise DataError(
            f"{path} is a JSON list that does not end, after {len(spans):,} records; it is cut "
            "short or damaged, get it again."
        )
    return np.array(spans, np.int64).reshape(-1, 2), np.array(numbers, np.int64)


def _line_numbers(data: mmap.mmap, places: list[int]) -> list[int]:
    """Number of the line of each place; places rise."""
    numbers, line, at = [], 1, 0
    for place in places:
        line += data[at:place].count(b"\n")
        at = place
        numbers.append(line)
    return numbers
