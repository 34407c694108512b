"""The index of a folder of shards: rows, bytes and hash of each, and where its groups begin."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

from tilewise.errors import DataError
from tilewise.shards.new_file import write_whole

NAME: Final = "index.json"
"""What the index of a folder is called."""

FORMAT: Final = "tilewise-documents"
VERSION: Final = 1

Form = Literal["parquet", "webdataset", "jsonl"]
"""What the shards of a folder are."""

FORMS: Final[tuple[Form, ...]] = get_args(Form)


class Group(NamedTuple):
    """Rows that are read together, and the byte of the shard at which they begin."""

    rows: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file: its name in the folder, what it holds, and its SHA-256.

    ``images`` is how many images have their bytes in the shard. ``sha256`` is "" where it is not
    known.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    groups: tuple[Group, ...]
    images: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """All shards of a folder, in their order; ``metadata`` is what a run said of itself."""

    folder: Path
    form: Form
    shards: tuple[Shard, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Documents of all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.bytes for shard in self.shards)

    def path(self, shard: int) -> Path:
        """Where a shard lies."""
        return self.folder / self.shards[shard].name


def write_index(
    folder: Path,
    shards: Sequence[Shard],
    form: Form = "parquet",
    metadata: Mapping[str, Any] | None = None,
) -> Index:
    """Write the index of a folder, whole or not at all.

    Args:
        folder: holds the shards.
        shards: in any order; by name they are in the index.
        form: of the shards.
        metadata: plain values that the run says of itself: thresholds, versions, counts.

    Raises:
        DataError: it cannot be written.
    """
    index = Index(
        folder=folder,
        form=form,
        shards=tuple(sorted(shards, key=lambda shard: shard.name)),
        metadata=dict(metadata or {}),
    )
    value = {
        "format": FORMAT,
        "version": VERSION,
        "form": form,
        "rows": index.rows,
        "bytes": index.bytes,
        "metadata": index.metadata,
        "shards": [
            {
                "name": shard.name,
                "rows": shard.rows,
                "bytes": shard.bytes,
                "images": shard.images,
                "sha256": shard.sha256,
                "groups": [list(group) for group in shard.groups],
            }
            for shard in index.shards
        ],
    }
    text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    write_whole(folder / NAME, text.encode())
    return index


def read_index(path: Path) -> Index:
    """Read the index of a folder, or an index by its own path.

    Raises:
        DataError: there is none, or it is none of this version.
    """
    file = path / NAME if path.is_dir() else path
    try:
        value = json.loads(file.read_bytes())
    except OSError as err:
        raise DataError(
            f"{file} cannot be read ({err.strerror}); give a folder of shards with its index."
        ) from err
    except (ValueError, RecursionError) as err:
        raise DataError(f"{file} is no JSON ({err}); build the shards again.") from err
    return index_of(value, file)


def index_of(value: object, file: Path) -> Index:
    """The index that a file holds; raises DataError as ``read_index`` does."""
    if not isinstance(value, Mapping) or value.get("format") != FORMAT:
        raise DataError(f"{file} is no index of shards; give one whose format is {FORMAT}.")
    if value.get("version") != VERSION:
        raise DataError(
            f"{file} is of version {value.get('version')!r} and version {VERSION} is read; build "
            "the shards again."
        )
    try:
        shards = tuple(_shard(item) for item in value["shards"])
        index = Index(
            folder=file.parent, form=value["form"], shards=shards, metadata=value["metadata"]
        )
        if index.form not in FORMS:
            raise ValueError(f"form is {index.form!r}")
        for name, counted in (("rows", index.rows), ("bytes", index.bytes)):
            if value[name] != counted:
                raise ValueError(f"its {name} are {value[name]} and those of its shards {counted}")
    except (KeyError, TypeError, ValueError) as err:
        raise DataError(
            f"{file} does not hold together ({_said(err)}); build the shards again."
        ) from err
    return index


def _shard(item: Mapping[str, Any]) -> Shard:
    groups = tuple(Group(*map(_count, group)) for group in item["groups"])
    shard = Shard(
        name=str(item["name"]),
        rows=_count(item["rows"]),
        bytes=_count(item["bytes"]),
        sha256=str(item["sha256"]),
        groups=groups,
        images=_count(item["images"]),
    )
    if Path(shard.name).name != shard.name or not shard.name:
        raise ValueError(f"{shard.name!r} is no name of a file in its folder")
    if sum(group.rows for group in groups) != shard.rows:
        raise ValueError(f"the groups of {shard.name} have not its {shard.rows} rows")
    return shard


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r:.40} is no count")
    return value


def _said(err: Exception) -> str:
    return f"{err.args[0]} is missing" if isinstance(err, KeyError) else str(err)
