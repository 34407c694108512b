"""Shards of documents into files of texts, or of pairs of an image and a text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from tilewise.corpus.export.degrade import Pair, PairsConfig, pairs_of, pairs_of_similar, text_of
from tilewise.corpus.export.similarity import Similar, document_of, read_mmc4
from tilewise.errors import ConfigError, DataError
from tilewise.records import Document
from tilewise.shards.conversation import Bad, BadError
from tilewise.shards.document_shards import Shards, open_index
from tilewise.shards.documents import Row, image_name, line_of
from tilewise.shards.index import Index
from tilewise.shards.new_file import new_file, write_whole

SUMMARY: Final = "degraded.json"
"""What is in the folder of the files: rows, bytes and hash of each, and how they were made."""

_LINES: Final = 20
"""Lines at the beginning of a file by which its form is told."""

Kind = Literal["text", "pairs"]
"""What documents become."""

Run = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Calls a function with each of some items and gives the results in their order, as ``map``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradedFile:
    """One file that was written; ``bad`` counts documents and shards that could not be read."""

    name: str
    documents: int
    rows: int
    bytes: int
    sha256: str
    bad: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """All files of a run, in the order of the shards that they were made of."""

    kind: Kind
    files: tuple[DegradedFile, ...]

    @property
    def documents(self) -> int:
        """Documents that were read."""
        return sum(file.documents for file in self.files)

    @property
    def rows(self) -> int:
        """Texts, or pairs."""
        return sum(file.rows for file in self.files)

    @property
    def bad(self) -> Counter[str]:
        """Why documents and shards could not be read, with counts."""
        return sum((Counter(file.bad) for file in self.files), Counter())


def degrade(
    source: Path,
    out: Path,
    kind: Kind,
    *,
    cfg: PairsConfig | None = None,
    run: Run = map,
) -> Degraded:
    """Write the texts, or the pairs, of all documents of a folder of shards.

    Each shard gives a file of JSON Lines of the same stem, there whole or not at all; a shard that
    is damaged gives what could be read of it, and is counted. Training reads the files as they are
    (pairs with the folder of the images as their root).

    Args:
        source: a folder of shards, a shard, or a file of MMC4 records, whose images are matched
            with sentences first.
        out: is made.
        kind: what documents become.
        cfg: which texts go with images.
        run: does the work; ``map`` here, one shard after the other.

    Raises:
        ConfigError: there is no such kind, or ``out`` is the folder of the shards.
        DataError: there are no shards, or there is no room.
    """
    if kind not in ("text", "pairs"):
        raise ConfigError(f"kind is {kind!r}; text and pairs are allowed.")
    if source.is_dir() and out.resolve() == source.resolve():
        raise ConfigError(
            f"{out} is where the documents lie; give another folder, in which nothing else is."
        )
    cfg = cfg or PairsConfig()
    tasks: list[tuple[str, Index | Path, int]]
    if _is_mmc4(source):
        tasks = [(source.stem, source, 0)]
    else:
        index = open_index(source)
        tasks = [(Path(shard.name).stem, index, n) for n, shard in enumerate(index.shards)]
    files = tuple(run(partial(_degraded, out, kind, cfg), tasks))
    found = Degraded(kind=kind, files=files)
    value = {
        "kind": kind,
        "settings": asdict(cfg) if kind == "pairs" else {},
        "documents": found.documents,
        "rows": found.rows,
        "bad": dict(sorted(found.bad.items())),
        "files": [asdict(file) for file in files],
    }
    write_whole(out / SUMMARY, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())
    return found


def text_row(document: Document) -> Row:
    """A document without its images as a line of a corpus of text."""
    return {
        "id": document.id,
        "url": document.url,
        "lang": document.lang,
        "license": document.license,
        "text": text_of(document),
    }


def pair_row(document: Document, pair: Pair) -> Row:
    """A pair as a line; ``image`` is its file in the folder of images."""
    name = image_name(pair.image.url)
    return {
        "id": f"{document.id}-{pair.number}",
        "url": document.url,
        "image": f"{name[:2]}/{name}",
        "image_url": pair.image.url,
        "width": pair.image.width,
        "height": pair.image.height,
        "origin": pair.origin,
        "similarity": pair.similarity,
        "lang": document.lang,
        "license": document.license,
        "text": pair.text,
    }


def _degraded(
    out: Path, kind: Kind, cfg: PairsConfig, task: tuple[str, Index | Path, int]
) -> DegradedFile:
    """The file of one shard."""
    stem, source, number = task
    path = out / f"{stem}.{kind}.jsonl"
    documents = rows = 0
    bad: Counter[str] = Counter()
    with new_file(path) as file:
        for found in _documents(source, number, bad):
            documents += 1
            for row in _rows(found, kind, cfg):
                file.write(line_of(row))
                rows += 1
    return DegradedFile(
        name=path.name,
        documents=documents,
        rows=rows,
        bytes=file.size,
        sha256=file.sha256,
        bad=dict(bad),
    )


def _rows(found: Document | Similar, kind: Kind, cfg: PairsConfig) -> Iterator[Row]:
    document = document_of(found, cfg.least_similarity) if isinstance(found, Similar) else found
    if kind == "text":
        yield text_row(document)
        return
    made = pairs_of_similar(found, cfg) if isinstance(found, Similar) else pairs_of(found, cfg)
    for pair in made:
        yield pair_row(document, pair)


def _documents(
    source: Index | Path, number: int, bad: Counter[str]
) -> Iterator[Document | Similar]:
    """Documents of a shard that can be read; the others are counted."""
    if isinstance(source, Path):
        for found in read_mmc4(source):
            if isinstance(found, Similar):
                yield found
            else:
                bad[found.reason] += 1
        return
    shards = Shards(source, kept=0)
    try:
        for stored in shards.in_order(shards.rows_of(number)):
            try:
                if isinstance(stored, Bad):
                    raise BadError(stored.reason, stored.detail)
                yield stored.document()
            except BadError as err:
                bad[err.reason] += 1
    except DataError:
        bad["damaged shard"] += 1


def _is_mmc4(source: Path) -> bool:
    if source.is_dir():
        return False
    try:
        with source.open("rb") as file:  # the first line may be damaged, or blank
            return any(b'"similarity_matrix"' in file.readline(1 << 22) for _ in range(_LINES))
    except OSError as err:
        raise DataError(f"{source} cannot be read ({err.strerror}); check the path.") from err
