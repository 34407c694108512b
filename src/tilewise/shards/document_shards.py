"""Shards of documents, with an index or without: rows by their number, or one after the other."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from tilewise.errors import DataError
from tilewise.records import Document
from tilewise.shards.conversation import Bad, BadError, ImageRef
from tilewise.shards.document_lines import LinesGroups
from tilewise.shards.document_parquet import ColumnRows, ParquetGroups, is_released
from tilewise.shards.document_tar import TarGroups, TarRows
from tilewise.shards.documents import from_row
from tilewise.shards.image_files import ImageFolder, images_of
from tilewise.shards.index import FORMAT, NAME, Form, Group, Index, Shard, read_index
from tilewise.shards.records import parsed
from tilewise.shards.released import from_released

KEPT: Final = 4
"""Rows that are kept decoded, in sizes of the largest group."""

AT_A_TIME: Final = 64
"""Rows that are decoded together."""

_GZIP: Final = b"\x1f\x8b"
_TAR_HEADER: Final = 512  # behind it is the first member
_ROW: Final = re.compile(rb'"general_metadata"\s*:')  # in a text its quotes have backslashes
_INDEX: Final = re.compile(rb'"format"\s*:\s*"%s"' % FORMAT.encode())


class Place(NamedTuple):
    """Where a row is: the number of its shard, and its own there."""

    shard: int
    row: int


class Rows(Protocol):
    """Rows of a group."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Mapping[str, Any]: ...


class Groups(Protocol):
    """A shard, read by groups."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """Its groups."""

    def read(self, group: int) -> Rows:
        """The rows of a group."""


class Stored(NamedTuple):
    """A row as it is stored, the name of its place, and its images in order.

    An image that is not there is None; one that lies in a folder may be missing all the same.
    """

    row: Mapping[str, Any]
    where: str
    images: tuple[ImageRef | None, ...]

    def document(self) -> Document:
        """The document; raises BadError."""
        return from_released(self.row)


class Shards:
    """Documents by their number through all shards. It travels to other processes.

    Args:
        index: of the shards.
        images: finds images whose bytes are not in the shards.
        columns: of Parquet files, those that are read; None for all.
        kept: rows whose groups are kept decoded; None for ``KEPT`` groups of the largest size.
    """

    def __init__(
        self,
        index: Index,
        images: ImageFolder | None = None,
        columns: Sequence[str] | None = None,
        kept: int | None = None,
    ) -> None:
        self.index = index
        self._images = images or images_of(index.folder)
        self._columns = columns
        counts = [len(shard.groups) for shard in index.shards]
        self._first = np.array([0, *accumulate(counts)], np.int64)  # group of each shard
        self.sizes = [group.rows for shard in index.shards for group in shard.groups]
        self._starts = np.array([0, *accumulate(self.sizes)], np.int64)  # row of each group
        self.kept = KEPT * max(self.sizes, default=0) if kept is None else kept
        self._open: tuple[int, Groups] | None = None
        self._kept: OrderedDict[int, Rows] = OrderedDict()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, number: int) -> Stored:
        """Row ``number`` through all shards, from 0.

        Raises:
            BadError: the row is damaged.
            DataError: its shard is damaged, or is another than the index says.
        """
        if not 0 <= number < len(self):
            raise IndexError(number)
        group = self._group(number)
        rows, within = self._rows(group), number - int(self._starts[group])
        return self._stored(number, rows, within, rows[within])

    def many(self, numbers: Sequence[int]) -> list[Stored | Bad]:
        """Several rows in the order asked for, damaged ones as ``Bad``.

        Rows of one group of a Parquet file are decoded together, which takes a fifth of the time.
        """
        found: dict[int, Stored | Bad] = {}
        groups: dict[int, list[int]] = {}
        for number in numbers:
            groups.setdefault(self._group(number), []).append(number)
        for group, own in groups.items():
            rows, start = self._rows(group), int(self._starts[group])
            taken: Sequence[Mapping[str, Any]] | None = None
            if isinstance(rows, ColumnRows):
                taken = rows.take([number - start for number in own])
            for at, number in enumerate(own):
                try:
                    row = rows[number - start] if taken is None else taken[at]
                    found[number] = self._stored(number, rows, number - start, row)
                except BadError as err:
                    where = self.where(self.place(number))
                    found[number] = Bad(where, err.reason, err.detail)
        return [found[number] for number in numbers]

    def in_order(self, numbers: range) -> Iterator[Stored | Bad]:
        """Rows one after the other; those in front of a damaged group come before its error."""
        at = numbers.start
        while at < numbers.stop:
            end = int(self._starts[self._group(at) + 1])
            end = min(end, numbers.stop, at + AT_A_TIME)
            yield from self.many(range(at, end))
            at = end

    def _group(self, number: int) -> int:
        return int(np.searchsorted(self._starts, number, side="right")) - 1

    def _stored(self, number: int, rows: Rows, within: int, row: Mapping[str, Any]) -> Stored:
        if isinstance(rows, TarRows):
            images = rows.files(within, row)
        else:
            images = tuple(self._file(url) for url in _urls(row))
        return Stored(row, self.where(self.place(number)), images)

    def place(self, number: int) -> Place:
        """Shard and row of a number."""
        group = self._group(number)
        shard = int(np.searchsorted(self._first, group, side="right")) - 1
        return Place(shard, number - int(self._starts[self._first[shard]]))

    def number(self, place: Place) -> int:
        """The number of a row of a shard."""
        return int(self._starts[self._first[place.shard]]) + place.row

    def rows_of(self, shard: int) -> range:
        """The numbers of a shard's rows."""
        first, behind = self._starts[self._first[shard]], self._starts[self._first[shard + 1]]
        return range(int(first), int(behind))

    def where(self, place: Place) -> str:
        """Names a place for messages."""
        return f"{self.index.path(place.shard)}: row {place.row + 1}"

    def _file(self, url: str) -> ImageRef:
        return ImageRef(name=url, path=self._images.find(url))

    def _rows(self, group: int) -> Rows:
        if group in self._kept:
            self._kept.move_to_end(group)
            return self._kept[group]
        shard = int(np.searchsorted(self._first, group, side="right")) - 1
        if self._open is None or self._open[0] != shard:
            self._open = (shard, opened(self.index, shard, self._columns))
        rows = self._open[1].read(group - int(self._first[shard]))
        self._kept[group] = rows
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > self.kept:
            self._kept.popitem(last=False)
        return rows

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": None, "_kept": OrderedDict()}


def _urls(row: Mapping[str, Any]) -> list[str]:
    """Addresses of a row's images in order; raises BadError."""
    found = row.get("images")
    urls = [url for url in found if url is not None] if isinstance(found, list) else []
    if not all(isinstance(url, str) for url in urls):
        raise BadError("unreadable record", "an image is no address")
    return urls


def opened(index: Index, number: int, columns: Sequence[str] | None = None) -> Groups:
    """A shard of an index.

    Raises:
        DataError: it cannot be read, or is not as the index says.
        MissingExtraError: PyArrow is needed and not installed.
    """
    shard, path = index.shards[number], index.path(number)
    try:
        size = path.stat().st_size
    except OSError as err:
        raise DataError(f"{path} cannot be read ({err.strerror}); get it back.") from err
    if size != shard.bytes:
        raise DataError(
            f"{path} has {size:,} bytes and by the index {shard.bytes:,}; get the file again, or "
            "write its index anew."
        )
    if index.form == "jsonl":
        return LinesGroups(path, shard.groups)
    if index.form == "webdataset":
        return TarGroups(path, shard.groups)
    found = ParquetGroups(path, columns)
    if [group.rows for group in found.groups] != [group.rows for group in shard.groups]:
        raise DataError(
            f"{path} has other row groups than the index says; get the file again, or write its "
            "index anew."
        )
    return found


def open_index(path: Path) -> Index:
    """The index of a folder or file, or one made of what lies there.

    Args:
        path: a folder with an index, the index itself, a folder of shards without one, or one
            shard, which may be a released Parquet file.

    Raises:
        DataError: there are no shards, or one is damaged.
        MissingExtraError: PyArrow is needed and not installed.
    """
    if path.name == NAME or (path / NAME).is_file():
        return read_index(path)
    if not path.is_dir():
        return index_files([path])
    files = sorted(p for end in ("parquet", "tar", "jsonl") for p in path.glob(f"*.{end}"))
    if not files:
        raise DataError(f"{path} holds no shards of documents; give a folder that does.")
    return index_files(files)


def index_files(files: Sequence[Path]) -> Index:
    """An index of files of one form, without hashes; of archives and lines all are read.

    Raises:
        DataError: a file is damaged, of no form that is known, or of another than the first.
    """
    forms = {_form(file): file for file in reversed(files)}
    if len(forms) > 1:
        told = " and ".join(f"{file} is {form}" for form, file in forms.items())
        raise DataError(f"{told}; give shards of one form.")
    (form,) = forms
    shards = []
    for file in files:
        groups = _KINDS[form](file).groups
        rows = sum(group.rows for group in groups)
        size = file.stat().st_size
        name = str(file.absolute())
        shards.append(Shard(name=name, rows=rows, bytes=size, sha256="", groups=groups))
    return Index(folder=files[0].absolute().parent, form=form, shards=tuple(shards))


def read_documents(path: Path) -> Iterator[Document | Bad]:
    """All documents of a folder or file, in order.

    Args:
        path: as for ``open_index``, or lines of documents compressed by gzip, also such as stages
            of the corpus write.

    Yields:
        Documents; a damaged row as ``Bad``.

    Raises:
        DataError: a file is damaged, behind the documents that could be read of it.
    """
    if not path.is_dir() and _head(path).startswith(_GZIP):
        yield from _zipped(path)
        return
    shards = Shards(open_index(path), kept=0)
    for stored in shards.in_order(range(len(shards))):
        if isinstance(stored, Bad):
            yield stored
            continue
        try:
            yield _document(stored.row)
        except BadError as err:
            yield Bad(stored.where, err.reason, err.detail)


def has_documents(path: Path, head: bytes) -> bool:
    """Whether a file is an index, or a shard in the released form, by the start of its content."""
    if head.startswith(b"PAR1"):
        return is_released(path)
    is_tar = head[257:262] == b"ustar"
    text = head[_TAR_HEADER:] if is_tar else head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith(b"{"):
        return False
    first = text.partition(b"\n")[0]
    return _ROW.search(first) is not None or (not is_tar and _INDEX.search(text) is not None)


def _document(row: Mapping[str, Any]) -> Document:
    """A document of either kind of row."""
    if "blocks" not in row:
        return from_released(row)
    try:
        return from_row(row)
    except DataError as err:
        raise BadError("unreadable record", str(err)) from err


def _zipped(path: Path) -> Iterator[Document | Bad]:
    number = 0
    try:
        with gzip.open(path, "rb") as file:
            for line in file:
                number += 1
                try:
                    row = parsed(line)
                    if not isinstance(row, dict):
                        raise BadError("unreadable record", "it is no object")
                    yield _document(row)
                except BadError as err:
                    yield Bad(f"{path}:{number}", err.reason, err.detail)
    except (EOFError, OSError, zlib.error) as err:
        raise DataError(
            f"{path} is damaged behind line {number} ({err}); write it anew, or get it again."
        ) from err


def _form(path: Path) -> Form:
    head = _head(path)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head[257:262] == b"ustar":
        return "webdataset"
    if head.lstrip()[:1] == b"{":
        return "jsonl"
    raise DataError(
        f"{path} holds no documents; Parquet, tar archives that are not compressed, and JSON Lines "
        "are read."
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError as err:
        raise DataError(f"{path} cannot be read ({err.strerror}); check the path.") from err


_KINDS: Final[Mapping[Form, Any]] = {
    "parquet": ParquetGroups,
    "webdataset": TarGroups,
    "jsonl": LinesGroups,
}
