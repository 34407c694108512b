"""WebDataset archives: members of one name but for their endings are one sample."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from tilewise.errors import DataError
from tilewise.shards.conversation import Bad, BadError, ImageRef, Part, Sample
from tilewise.shards.records import FindImage, parsed, sample_of

PICTURES: Final = ("jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp", "gif", "avif", "heic")
"""Endings of members that are images."""

Members = tuple[tuple[str, Part], ...]
"""Endings of a sample's members and where they lie, in the archive's order."""


class Tar:
    """An uncompressed archive. Headers are read once; members are read when asked for.

    Of each sample ``json`` is the record, as a line of JSON Lines would be; where it names images
    they are members, by their name or ending, else all pictures are its images in their order.
    Without ``json``, ``txt`` is the text of a document behind its pictures: a caption.
    """

    def __init__(self, path: Path) -> None:
        """Find the members.

        Raises:
            DataError: it cannot be read, is compressed, damaged or cut short.
        """
        self.name = path.stem
        self.path = path
        self._samples = _grouped(path)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample | Bad:
        """Sample ``index``, from 0; a damaged one as ``Bad``."""
        key, members = self._samples[index]
        where = f"{self.path}: {key}"
        said = dict(members)
        if len(said) < len(members):
            return Bad(where, "unreadable record", "two members of the sample have the same ending")
        pictures = [end for end in said if _last(end) in PICTURES]
        try:
            record = self._record(key, said, pictures)
        except BadError as err:
            return Bad(where, err.reason, err.detail)
        return sample_of({"id": key} | record, where, self._find(key, said))

    def _record(self, key: str, said: Mapping[str, Part], pictures: list[str]) -> dict[str, object]:
        """The object of ``json``, with the pictures as its images if it names none."""
        if "json" in said:
            record = parsed(self._read(key, "json", said))
            if not isinstance(record, dict):
                raise BadError("unreadable record", "its json is no object")
            named = ("image", "images", "video", "texts")
            if not any(record.get(name) for name in named):
                record |= {"images": pictures}
            if any(record.get(name) for name in ("conversations", "messages", "texts")):
                return record
        if "txt" not in said:
            raise BadError("no conversation", "the sample has neither json with turns nor txt")
        try:
            text = self._read(key, "txt", said).decode()
        except UnicodeDecodeError as err:
            raise BadError("unreadable record", "its txt is not UTF-8") from err
        return {"texts": [*(None for _ in pictures), text], "images": [*pictures, None]}

    def _find(self, key: str, said: Mapping[str, Part]) -> FindImage:
        def find(name: object) -> ImageRef:
            for end in (_end(str(name)), str(name).lstrip(".")):
                if end in said:
                    return self._ref(key, end, said[end])
            raise BadError("missing image", f"{name!r:.80} is no member of the sample")

        return find

    def _read(self, key: str, end: str, said: Mapping[str, Part]) -> bytes:
        with self._ref(key, end, said[end]).open() as file:
            return file.read()

    def _ref(self, key: str, end: str, part: Part) -> ImageRef:
        return ImageRef(name=f"{self.path}: {key}.{end}", path=self.path, part=part)


def _grouped(path: Path) -> list[tuple[str, Members]]:
    """Names of samples and their members; a sample's members stand one after the other."""
    found: list[tuple[str, list[tuple[str, Part]]]] = []
    try:
        size = path.stat().st_size
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if not member.isreg() or name.name.startswith(".") or "." not in name.name:
                    continue
                stem = name.name.split(".", 1)[0]
                key = str(name.with_name(stem))
                if not found or found[-1][0] != key:
                    found.append((key, []))
                found[-1][1].append((_end(name.name), Part(member.offset_data, member.size)))
                if member.offset_data + member.size > size:
                    raise tarfile.ReadError("unexpected end of data")
    except tarfile.TarError as err:
        raise DataError(
            f"{path} is no whole tar archive ({err}); give an uncompressed one, or get it again."
        ) from err
    except OSError as err:
        raise DataError(f"{path} cannot be read ({err.strerror}); check the path.") from err
    return [(key, tuple(members)) for key, members in found]


def _end(name: str) -> str:
    """What follows the first dot of a file's name, in small letters."""
    return PurePosixPath(name).name.partition(".")[2].lower()


def _last(end: str) -> str:
    return end.rpartition(".")[2]
