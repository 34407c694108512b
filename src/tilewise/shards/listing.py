"""From a file of training data to datasets, picked by what is in the file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Protocol

from tilewise.errors import DataError
from tilewise.shards.conversation import Bad, Sample
from tilewise.shards.document_samples import Documents
from tilewise.shards.document_shards import has_documents, open_index
from tilewise.shards.parquet import Parquet
from tilewise.shards.tar import Tar
from tilewise.shards.text_files import json_lines, json_list

_HEAD: Final = 1 << 16
_META_BYTES: Final = 1 << 24


class Dataset(Protocol):
    """Samples by their number from 0; reading one twice gives the same."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample | Bad:
        """A sample, or what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A dataset of a mixture.

    ``max_tiles``: its own tile limit, None for that of the run. ``is_augmented``: its images are
    seen as JPEG of varying quality. ``declared``: how many samples the listing says it has.
    """

    name: str
    data: Dataset
    max_tiles: int | None = None
    is_augmented: bool = False
    declared: int | None = None

    def __len__(self) -> int:
        return len(self.data)


class Portion:
    """The first ``count`` samples of a dataset, ``times`` over."""

    def __init__(self, data: Dataset, count: int, times: int) -> None:
        self._data, self._count, self._times = data, count, times

    def __len__(self) -> int:
        return self._count * self._times

    def __getitem__(self, index: int) -> Sample | Bad:
        """Sample ``index`` of the repeated ones."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._data[index % self._count]

    @property
    def runs(self) -> tuple[int, ...] | None:
        """Sizes of groups of samples that are read together, None if each is read alone."""
        runs = runs_of(self._data)
        if runs is None:
            return None
        starts = (end - size for size, end in zip(runs, accumulate(runs), strict=True))
        cut = [min(size, self._count - at) for size, at in zip(runs, starts, strict=True)]
        return tuple(size for size in cut if size > 0) * self._times


def runs_of(data: Dataset) -> tuple[int, ...] | None:
    """Sizes of groups of samples that are read together, None where each is read alone."""
    return getattr(data, "runs", None)


def open_data(path: Path, root: Path | None = None) -> tuple[Listed, ...]:
    """Open a file of samples, or all that a meta file of InternVL lists.

    What a file is, is told by its content: Parquet, a tar archive (WebDataset), a JSON list
    (LLaVA), an object whose values have ``annotation`` (the meta file), the index of shards of
    documents, else JSON Lines.

    Args:
        path: the file, or a folder of shards of documents.
        root: where paths of images start, instead of the file's folder; a meta file has its own.

    Raises:
        DataError: it cannot be read, is empty, or is of no such form.
        MissingExtraError: it needs a package that is not installed.
    """
    return _opened(path, root, is_first=True)


def _opened(path: Path, root: Path | None, *, is_first: bool) -> tuple[Listed, ...]:
    if path.is_dir():
        return _alone(Documents(open_index(path), root), path)
    head = _head(path)
    if has_documents(path, head):
        return _alone(Documents(open_index(path), root), path)
    if head.startswith(b"PAR1"):
        return _alone(Parquet(path, root), path)
    if head[257:262] == b"ustar":
        return _alone(Tar(path), path)
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")):
        raise DataError(f"{path} is compressed, so that no sample can be found in it; unpack it.")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        return _alone(json_list(path, root), path)
    if not text.startswith(b"{"):
        raise DataError(
            f"{path} is of no form that is read; JSON Lines, a JSON list, a meta file, Parquet and "
            "tar are."
        )
    meta = _meta(path, text)
    if meta is None:
        return _alone(json_lines(path, root), path)
    if not is_first:
        raise DataError(f"{path} lists datasets and is listed itself; list its files instead.")
    return tuple(_entry(path, name, entry, root) for name, entry in meta.items())


def _alone(data: Dataset, path: Path) -> tuple[Listed, ...]:
    if not len(data):
        raise DataError(f"{path} holds no samples; leave it out or fill it.")
    return (Listed(name=path.stem, data=data),)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as err:
        raise DataError(f"{path} cannot be read ({err.strerror}); check the path.") from err
    if not head.strip():
        raise DataError(f"{path} is empty; leave it out or fill it.")
    return head


def _meta(path: Path, text: bytes) -> Mapping[str, Any] | None:
    """The object of a meta file, None if it is none."""
    if b'"annotation"' not in text or path.stat().st_size > _META_BYTES:
        return None
    first = text.splitlines()[0]
    try:  # a line of JSON Lines is whole by itself, and its values are no datasets
        return _listing(json.loads(first))
    except ValueError:
        pass
    try:
        return _listing(json.loads(path.read_bytes()))
    except ValueError as err:
        raise DataError(f"{path} lists datasets and is no JSON: {err}; correct it.") from err


def _listing(value: object) -> Mapping[str, Any] | None:
    if isinstance(value, dict) and value:
        entries = value.values()
        if all(isinstance(entry, dict) and "annotation" in entry for entry in entries):
            return value
    return None


def _entry(path: Path, name: str, entry: Mapping[str, Any], root: Path | None) -> Listed:
    """One dataset of a meta file; its paths start at the meta file's folder."""
    where, said = f"{path}: {name}", entry["annotation"]
    base = path.parent if root is None else root
    images = entry.get("root", "")
    if not isinstance(said, str) or not isinstance(images, str):
        raise DataError(f"{where}: annotation and root must be paths; correct them.")
    (found,) = _opened(base / said, base / images, is_first=False)
    times = entry.get("repeat_time", 1)
    max_tiles = _whole(where, entry, "max_dynamic_patch")
    data, most_images = found.data, _whole(where, entry, "max_images")
    if isinstance(data, Documents) and most_images is not None:
        data = Documents(data.index, data.root, most_images)
    return Listed(
        name=name,
        data=_repeated(data, times, where),
        max_tiles=max_tiles,
        is_augmented=bool(entry.get("data_augment", False)),
        declared=_whole(where, entry, "length"),
    )


def _repeated(data: Dataset, times: object, where: str) -> Dataset:
    """Below 1 the first part of a dataset, above 1 all of it so many times."""
    if (
        not isinstance(times, int | float)
        or isinstance(times, bool)
        or not 0 < times < math.inf
        or (times > 1 and times != int(times))
    ):
        raise DataError(
            f"{where}: repeat_time is {times!r}; a fraction below 1, or a whole number is allowed."
        )
    count = int(len(data) * min(times, 1))
    if not count:
        raise DataError(
            f"{where}: repeat_time is {times} and of {len(data)} samples none is left; raise it."
        )
    return data if times == 1 else Portion(data, count, max(1, int(times)))


def _whole(where: str, entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DataError(f"{where}: {name} is {value!r}; a whole number from 1 up is allowed.")
    return value
