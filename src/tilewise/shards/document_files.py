"""Documents into shards and out of them again, in each of the forms."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from tilewise.errors import ConfigError
from tilewise.records import Document
from tilewise.shards.document_lines import LinesWriter
from tilewise.shards.document_parquet import ParquetWriter
from tilewise.shards.document_tar import Lookup, TarWriter
from tilewise.shards.index import FORMS, Form, Group, Shard
from tilewise.shards.new_file import NewFile, new_file

ENDINGS: Final[Mapping[Form, str]] = {
    "parquet": ParquetWriter.ending,
    "webdataset": TarWriter.ending,
    "jsonl": LinesWriter.ending,
}
"""Endings of shards by their form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardsConfig:
    """How documents are put into files.

    ``group_bytes``: most of a row group, which is what is read at a time. ``shard_bytes``: a file
    that is larger is followed by another. ``filters_version`` and ``metadata``, plain values, are
    put into every file.

    Source: OmniCorpus' released shards are of 0.36 to 0.4 GB.
    """

    group_bytes: int = 96 << 20
    shard_bytes: int = 400_000_000
    filters_version: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.group_bytes <= 128 << 20 or self.shard_bytes < 1:
            raise ConfigError(
                f"group_bytes is {self.group_bytes} and shard_bytes is {self.shard_bytes}; groups "
                "of 1 byte to 128 MiB and shards from 1 byte up are allowed."
            )


class Writer(Protocol):
    """Writes documents into one file."""

    groups: list[Group]

    @property
    def size(self) -> int:
        """Bytes so far, about."""

    def add(self, document: Document) -> None:
        """Write a document."""

    def close(self) -> None:
        """Write what is left; the file stays open."""

    def abandon(self) -> None:
        """Let go of what is held, behind ``close`` or an error."""


def write_documents(
    documents: Iterable[Document],
    folder: Path,
    *,
    form: Form = "parquet",
    stem: str = "part",
    cfg: ShardsConfig | None = None,
    lookup: Lookup | None = None,
) -> tuple[Shard, ...]:
    """Write documents into files of a folder, each there whole or not at all.

    Equal documents and settings give equal bytes. Files of the same stem are replaced.

    Args:
        documents: in their order; none give no file.
        folder: is made.
        form: of the files.
        stem: their names are STEM-00000.parquet and so on.
        cfg: sizes, and what is written into each file.
        lookup: for archives, finds the bytes of images.

    Returns:
        The files, for the index.

    Raises:
        ConfigError: there is no such form.
        DataError: a document cannot be written, or there is no room.
        MissingExtraError: PyArrow is needed and not installed.
    """
    if form not in FORMS:
        raise ConfigError(f"form is {form!r}; {', '.join(FORMS)} are allowed.")
    cfg = cfg or ShardsConfig()
    shards: list[Shard] = []
    left = iter(documents)
    first = next(left, None)
    while first is not None:
        path = folder / f"{stem}-{len(shards):05d}.{ENDINGS[form]}"
        shard, first = _written(path, form, first, left, cfg, lookup)
        shards.append(shard)
    _remove_others(folder, stem, ENDINGS[form], len(shards))
    return tuple(shards)


def _remove_others(folder: Path, stem: str, ending: str, count: int) -> None:
    """Remove files that an earlier run of the same stem made beyond ``count``."""
    for path in folder.glob(f"{glob.escape(stem)}-[0-9][0-9][0-9][0-9][0-9].{ending}"):
        if int(path.stem[-5:]) >= count:
            path.unlink(missing_ok=True)


def _written(
    path: Path,
    form: Form,
    first: Document,
    left: Iterator[Document],
    cfg: ShardsConfig,
    lookup: Lookup | None,
) -> tuple[Shard, Document | None]:
    """One file, and the document that it has no room for."""
    following: Document | None = first
    rows = 0
    with new_file(path) as file:
        writer = _writer(form, file, cfg, lookup)
        try:
            while following is not None and (not rows or writer.size < cfg.shard_bytes):
                writer.add(following)
                rows += 1
                following = next(left, None)
            writer.close()
        finally:
            writer.abandon()
        shard = Shard(
            name=path.name,
            rows=rows,
            bytes=file.size,
            sha256=file.sha256,
            groups=tuple(writer.groups),
            images=writer.images if isinstance(writer, TarWriter) else 0,
        )
    return shard, following


def _writer(form: Form, file: NewFile, cfg: ShardsConfig, lookup: Lookup | None) -> Writer:
    common: dict[str, Any] = {
        "group_bytes": cfg.group_bytes,
        "filters_version": cfg.filters_version,
        "metadata": cfg.metadata,
    }
    if form == "parquet":
        return ParquetWriter(file, **common)
    if form == "jsonl":
        return LinesWriter(file, **common)
    return TarWriter(file, **common, lookup=lookup)
