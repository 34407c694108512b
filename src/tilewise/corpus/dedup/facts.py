"""What deduplication knows of each document: three hashes, its date, length, id and signature."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.corpus.dedup.minhash import (
    METHOD,
    UNICODE,
    MinHashConfig,
    fold,
    shingles,
    signature,
    text_hash,
)
from tilewise.corpus.dedup.steps import Array, Made, Read, Step, keep_open
from tilewise.corpus.dedup.urls import normal_url
from tilewise.errors import ConfigError, DataError
from tilewise.records import Document

FACTS: Final = np.dtype(
    [
        ("exact", "<u8", 2),
        ("url", "<u8", 2),
        ("images", "<u8", 2),
        ("captured", "<i8"),
        ("length", "<i8"),
        ("id", "<u8", 2),
    ]
)
"""One document: 128-bit hashes of its folded text, its URL and its set of image URLs (0: has none),
capture time in microseconds, length of its text in characters, and its id. 80 bytes."""

KIND: Final = f"{METHOD}, Unicode {UNICODE}"
"""What signatures depend on besides settings."""

NO_DATE: Final = np.iinfo(np.int64).min
"""Of a document whose time of capture is not known: older than all."""

_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FactsOfShard:
    """Work on one shard: reads its documents once and makes their facts and signatures."""

    shards: tuple[Path, ...]
    read: Read
    cfg: MinHashConfig
    kind: str

    def __call__(self, part: int) -> Made:
        check_kind(self.kind, KIND, "this worker")
        path = self.shards[part]
        facts, signatures = [], []
        for row, document in enumerate(self.read(path)):
            text = text_of(document)
            codes = fold(text)
            facts.append(_facts(document, text, text_hash(codes) if len(codes) else b"", path, row))
            signatures.append(signature(shingles(codes, self.cfg), self.cfg))
        shape = (len(facts), self.cfg.values)
        return Made(
            {
                "facts": np.array(facts, FACTS),
                "signatures": np.array(signatures, np.uint32).reshape(shape),
            },
            {"documents": len(facts)},
        )


def check_kind(kind: str, other: str, whose: str) -> None:
    """Refuse signatures of two kinds; raises ConfigError."""
    if kind != other:
        raise ConfigError(
            f"signatures of this run are of {kind} and those of {whose} of {other}, and the two "
            "cannot be compared; use one version of tilewise and Python, and a new folder."
        )


def text_of(document: Document) -> str:
    """The text that is compared: every block's, a line or more each, without the title."""
    return "\n".join(block.text for block in document.blocks if block.text)


def captured_us(captured: str) -> int:
    """A time in ISO 8601 as microseconds since 1970; ``NO_DATE`` where it is none."""
    try:
        when = datetime.fromisoformat(captured)
    except ValueError:
        return int(NO_DATE)
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    since = when - _START
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


class Sharded:
    """Arrays of all shards as one, by the number of the document."""

    def __init__(self, step: Step, kind: str, sizes: Sequence[int]) -> None:
        self.step, self.kind, self.sizes = step, kind, tuple(sizes)

    def __len__(self) -> int:
        return sum(self.sizes)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The number of each shard's first document, and the number of documents."""
        return np.concatenate(([0], np.cumsum(self.sizes, dtype=np.int64)))

    def shard(self, part: int) -> Array:
        """The array of one shard; raises DataError where it is damaged."""
        array = keep_open(self.step.path(self.kind, part))
        if len(array) != self.sizes[part]:
            raise DataError(
                f"{self.step.path(self.kind, part)} has {len(array):,} rows and its shard "
                f"{self.sizes[part]:,} documents: it belongs to another run; remove the folder "
                "and run again."
            )
        return array

    def take(self, documents: NDArray[np.int64]) -> Array:
        """The rows of documents, in the order asked for."""
        if not len(documents):
            return self.shard(0)[:0]
        parts = np.searchsorted(self.starts, documents, side="right") - 1
        first = self.shard(int(parts[0]))
        found = np.empty((len(documents), *first.shape[1:]), first.dtype)
        for part in np.unique(parts):
            is_here = parts == part
            found[is_here] = self.shard(int(part))[documents[is_here] - self.starts[part]]
        return found

    def __getstate__(self) -> dict[str, object]:
        return {"step": self.step, "kind": self.kind, "sizes": self.sizes}


def best_first(facts: Array) -> NDArray[np.intp]:
    """Places of documents, the one to be kept first.

    The latest capture, then the longest text, then the smallest id; documents with one id are told
    apart by their texts.
    """
    ids, texts = facts["id"], facts["exact"]
    keys = (texts[:, 1], texts[:, 0], ids[:, 1], ids[:, 0])
    # ~x is -x - 1: it turns the order round and cannot overflow
    return np.lexsort((*keys, ~facts["length"], ~facts["captured"]))


def is_better(one: Array, other: Array) -> bool:
    """Whether a document is kept rather than another, by the same rule."""
    return bool(best_first(np.array([one, other]))[0] == 0)


def hash_pair(data: bytes) -> tuple[int, int]:
    """128 bits of some bytes, never both 0."""
    digest = hashlib.blake2b(data, digest_size=16).digest()
    return _pair(digest)


def id_text(pair: Array) -> str:
    """The id of a document as 32 hex digits."""
    return f"{int(pair[0]):016x}{int(pair[1]):016x}"


def _facts(document: Document, text: str, exact: bytes, path: Path, row: int) -> tuple[object, ...]:
    url = normal_url(document.url)
    images = sorted({normal_url(image.url) for image in document.images})
    try:
        number = _pair(bytes.fromhex(document.id))
    except ValueError as err:
        raise DataError(
            f"{path}, row {row + 1}: the id is {document.id!r:.60}; 32 hex digits are allowed."
        ) from err
    return (
        _pair(exact) if exact else (0, 0),
        hash_pair(url.encode("utf-8", "surrogatepass")) if url else (0, 0),
        hash_pair("\n".join(images).encode("utf-8", "surrogatepass")) if images else (0, 0),
        captured_us(document.captured),
        len(text),
        number,
    )


def _pair(digest: bytes) -> tuple[int, int]:
    if len(digest) != 16:
        raise ValueError(f"{len(digest)} bytes and not 16")
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")
