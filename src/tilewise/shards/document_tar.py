"""Documents as WebDataset archives: a record of JSON, and behind it the bytes of its images."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tilewise.errors import DataError
from tilewise.records import Document
from tilewise.shards.conversation import BadError, ImageRef, Part
from tilewise.shards.document_lines import add_record
from tilewise.shards.documents import line_of
from tilewise.shards.index import Group
from tilewise.shards.new_file import NewFile
from tilewise.shards.records import parsed
from tilewise.shards.released import to_released
from tilewise.sources.content import HEAD_BYTES, kind_of

Lookup = Callable[[str], bytes | None]
"""From the URL of an image to its bytes, None where there are none."""

FILES: Final = "image_files"
"""Field of a record: for each image in order the ending of its member, null where there is none."""

_BLOCK: Final = tarfile.BLOCKSIZE
_ENDINGS: Final = {
    "PNG": "png",
    "JPEG": "jpg",
    "WebP": "webp",
    "GIF": "gif",
    "TIFF": "tiff",
    "BMP": "bmp",
    "AVIF": "avif",
}
_ODD: Final = re.compile(r"[^0-9A-Za-z_-]")


class TarWriter:
    """Writes documents as members ``KEY.json``, ``KEY.0.jpg``, ...

    Args:
        file: gets the bytes.
        group_bytes: most of a group; a document that is larger is a group of its own.
        filters_version: names the rules that the documents passed.
        metadata: not used.
        lookup: finds the bytes of images that are not dropped; None for records alone.
    """

    ending = "tar"

    def __init__(
        self,
        file: NewFile,
        *,
        group_bytes: int,
        filters_version: str = "",
        metadata: Mapping[str, Any] | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self._file, self._limit, self._version = file, group_bytes, filters_version
        self._lookup = lookup
        self.groups: list[Group] = []
        self.rows = 0
        self.images = 0

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._file.size

    def add(self, document: Document) -> None:
        """Write a document with the images that are found."""
        key = f"{self.rows:06d}-{_ODD.sub('_', document.id)[:40]}"
        files: list[str | None] = []
        members: list[tuple[str, bytes]] = []
        for number, image in enumerate(document.images):
            data = self._lookup(image.url) if self._lookup and image.dropped is None else None
            files.append(None if data is None else f"{number}.{_ending(data)}")
            if data is not None:
                members.append((f"{key}.{files[-1]}", data))
        record = line_of(to_released(document, self._version) | {FILES: files})
        members.insert(0, (f"{key}.json", record))
        size = sum(_BLOCK + len(data) + -len(data) % _BLOCK for _, data in members)
        add_record(self.groups, self._file.size, size, self._limit)
        for name, data in members:
            self._file.write(_header(name, len(data)))
            self._file.write(data)
            self._file.write(bytes(-len(data) % _BLOCK))
        self.rows += 1
        self.images += len(members) - 1

    def close(self) -> None:
        """Write the end of the archive."""
        self._file.write(bytes(2 * _BLOCK))

    def abandon(self) -> None:
        """Nothing is held."""


class TarGroups:
    """An archive of documents by groups, where the index says that they lie.

    Args:
        path: the file, not compressed.
        groups: of it; None to find them, for which all headers are read.
        group_bytes: of a group that is found.

    Raises:
        DataError: it cannot be read, is damaged or cut short.
    """

    def __init__(
        self, path: Path, groups: Sequence[Group] | None = None, *, group_bytes: int = 96 << 20
    ) -> None:
        self._path = path
        try:
            self._size = path.stat().st_size
        except OSError as err:
            raise DataError(f"{path} cannot be read ({err.strerror}); check the path.") from err
        self.groups = self._found(group_bytes) if groups is None else tuple(groups)

    def read(self, group: int) -> TarRows:
        """The samples of a group; raises DataError where there are other ones."""
        is_last = group + 1 == len(self.groups)
        end = self._size if is_last else self.groups[group + 1].offset
        found = self._members(self.groups[group].offset, end)
        if len(found) != self.groups[group].rows:
            raise DataError(
                f"{self._path}: group {group + 1} has {len(found)} samples and by the index "
                f"{self.groups[group].rows}; get the file again, or write its index anew."
            )
        return TarRows(self._path, found)

    def _members(self, start: int, end: int) -> list[list[tuple[str, Part]]]:
        """Members of each sample that begins in a part of the file: their endings and places."""
        found: list[list[tuple[str, Part]]] = []
        last = None
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                with tarfile.open(fileobj=file, mode="r:") as archive:
                    for member in archive:
                        if member.offset >= end:
                            break
                        key, _, name = member.name.rpartition("/")[2].partition(".")
                        if not member.isreg() or not name:
                            continue
                        if key != last:
                            found.append([])
                            last = key
                        place = Part(member.offset_data, member.size)
                        if place.offset + place.size > self._size:
                            raise tarfile.ReadError("unexpected end of data")
                        found[-1].append((name, place))
        except tarfile.TarError as err:
            raise DataError(
                f"{self._path} is no whole tar archive ({err}); give an uncompressed one, or get "
                "it again."
            ) from err
        except OSError as err:
            raise DataError(f"{self._path} cannot be read ({err.strerror}); get it back.") from err
        return found

    def _found(self, limit: int) -> tuple[Group, ...]:
        groups: list[Group] = []
        for sample in self._members(0, self._size):
            start = sample[0][1].offset - _BLOCK
            end = sample[-1][1].offset + sample[-1][1].size
            add_record(groups, start, end - start, limit)
        return tuple(groups)


class TarRows:
    """Samples of an archive as rows, and their images."""

    def __init__(self, path: Path, samples: Sequence[Sequence[tuple[str, Part]]]) -> None:
        self._path, self._samples = path, samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        """The record of a sample; raises BadError."""
        members = dict(self._samples[index])
        if "json" not in members:
            raise BadError("unreadable record", "the sample has no json")
        row = parsed(self._bytes(members["json"]))
        if not isinstance(row, dict):
            raise BadError("unreadable record", f"its json is a {type(row).__name__}, no object")
        return row

    def files(self, index: int, row: Mapping[str, Any]) -> tuple[ImageRef | None, ...]:
        """The images of a row in order, None for those that are not there; raises BadError."""
        members = dict(self._samples[index])
        names = row.get(FILES)
        if not isinstance(names, list):
            return ()
        found: list[ImageRef | None] = []
        for name in names:
            if name is not None and name not in members:
                raise BadError("missing image", f"{name!r:.40} is no member of the sample")
            where = f"{self._path}: sample {index} {name}"
            found.append(
                None if name is None else ImageRef(name=where, path=self._path, part=members[name])
            )
        return tuple(found)

    def _bytes(self, place: Part) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(place.offset)
                return file.read(place.size)
        except OSError as err:
            raise DataError(f"{self._path} cannot be read ({err.strerror}); get it back.") from err


def _ending(data: bytes) -> str:
    return _ENDINGS.get(kind_of(data[:HEAD_BYTES]), "bin")


def _header(name: str, size: int) -> bytes:
    """A member's header; no time and no owner, so that equal documents give equal bytes."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.PAX_FORMAT)
