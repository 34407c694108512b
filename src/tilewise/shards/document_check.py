"""Whether shards are what their index says, and each of their rows keeps the form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from tilewise.errors import DataError
from tilewise.shards.conversation import BadError
from tilewise.shards.document_shards import Rows, opened
from tilewise.shards.document_tar import TarRows
from tilewise.shards.index import NAME, Index, read_index
from tilewise.shards.new_file import hash_of
from tilewise.shards.released import from_released

LISTED: Final = 100
"""Faults that are kept with their words; all are counted."""

Kind = Literal["missing shard", "other bytes", "damaged shard", "bad row", "unlisted file"]
"""What may be wrong."""

_FILES: Final = ("parquet", "tar", "jsonl")


class Fault(NamedTuple):
    """What is wrong, where, and in which way exactly."""

    kind: Kind
    where: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found: ``rows`` and ``images`` are those that are as they should be.

    ``images`` counts images of documents, also those that a filter dropped; ``faults`` are the
    first ``LISTED`` of those in ``counts``.
    """

    shards: int
    rows: int
    images: int
    bytes: int
    counts: Mapping[Kind, int]
    faults: tuple[Fault, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.counts


def verify(path: Path, told: Callable[[int, int], None] | None = None) -> Verified:
    """Read all of a folder of shards: hashes, and the invariants of every row.

    A fault never ends the reading: the rest of its shard is left out, or only the row.

    Args:
        path: the folder, or its index.
        told: called with (shards read, shards).

    Raises:
        DataError: there is no index, or it does not hold together.
        MissingExtraError: PyArrow is needed and not installed.
    """
    index = read_index(path)
    found: Counter[Kind] = Counter()
    faults: list[Fault] = []
    rows = images = 0

    def count(fault: Fault) -> None:
        found[fault.kind] += 1
        if len(faults) < LISTED:
            faults.append(fault)

    for fault in _unlisted(index):
        count(fault)
    for number in range(len(index.shards)):
        for seen in _shard(index, number):
            if isinstance(seen, Fault):
                count(seen)
            else:
                rows += 1
                images += seen
        if told is not None:
            told(number + 1, len(index.shards))
    return Verified(
        shards=len(index.shards),
        rows=rows,
        images=images,
        bytes=index.bytes,
        counts=dict(found),
        faults=tuple(faults),
    )


def _unlisted(index: Index) -> Iterator[Fault]:
    names = {shard.name for shard in index.shards}
    for path in sorted(index.folder.iterdir()):
        if path.suffix[1:] in _FILES and path.name not in names:
            yield Fault("unlisted file", str(path), f"{NAME} does not name it")


def _shard(index: Index, number: int) -> Iterator[int | Fault]:
    """How many images each row has, or what is wrong with it, or with all of them."""
    shard, path = index.shards[number], index.path(number)
    try:
        if shard.sha256 and hash_of(path) != shard.sha256:
            yield Fault("other bytes", str(path), "its SHA-256 is not that of the index")
        groups = opened(index, number)
        for group in range(len(shard.groups)):
            yield from _rows(f"{path}: group {group + 1}", groups.read(group))
    except OSError as err:
        yield Fault("missing shard", str(path), err.strerror or str(err))
    except DataError as err:
        yield Fault("damaged shard", str(path), str(err))


def _rows(where: str, rows: Rows) -> Iterator[int | Fault]:
    for place in range(len(rows)):
        try:
            row = rows[place]
            document = from_released(row)
            if isinstance(rows, TarRows):
                rows.files(place, row)
            yield len(document.images)
        except BadError as err:
            yield Fault("bad row", f"{where}, row {place + 1}", f"{err.reason}: {err.detail}")
