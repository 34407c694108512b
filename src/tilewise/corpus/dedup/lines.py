"""Lines that a site repeats: menus, notices and the like that extraction left in.

Source: OBELICS (arXiv 2306.16527) drops a line seen more than once in a domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from tilewise.corpus.dedup.counts import Counts, count_keys, key_of_text
from tilewise.corpus.dedup.steps import Map, Read, Told, read_documents
from tilewise.corpus.dedup.urls import domain_of
from tilewise.errors import ConfigError
from tilewise.records import Block, BlockKind, Document

SCORE: Final = "repeated_lines"

_KINDS: Final[frozenset[BlockKind]] = frozenset(("text", "list", "quote", "detail", "header"))
"""Code and tables repeat lines for good reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesConfig:
    """``most``: documents of a domain that may have a line; in more, it goes from all of them.

    ``across``: documents of all domains together in which a line goes everywhere, None for any
    number. ``min_characters``: shorter lines stay. ``memory_bytes``: what a worker may hold.
    """

    most: int = 1
    across: int | None = None
    min_characters: int = 1
    memory_bytes: int = 1 << 28

    def __post_init__(self) -> None:
        least_across = 2 if self.across is None else self.across
        if min(self.most, self.min_characters) < 1 or least_across < 2:
            raise ConfigError(
                f"most is {self.most}, min_characters {self.min_characters} and across "
                f"{self.across}; from 1, from 1, and from 2 up or null are allowed."
            )
        if self.memory_bytes < 1 << 16:
            raise ConfigError(f"memory_bytes is {self.memory_bytes:,}; from 65,536 up is allowed.")


def repeated_lines(
    shards: Sequence[Path],
    work: Path,
    cfg: LinesConfig | None = None,
    run: Map = map,
    *,
    read: Read = read_documents,
    told: Told | None = None,
) -> Counts:
    """Count the documents that have a line, within each domain and, if asked, across all.

    Counts are shuffled by a hash of domain and line together, so that a large domain is no load
    for one worker.

    Args:
        shards, work, run, read, told: as ``dedup.find_duplicates``, whose promises hold here too.
        cfg: which lines count.

    Raises:
        DataError: a shard cannot be read, or a file in ``work`` is damaged.
    """
    cfg = cfg or LinesConfig()
    return count_keys(
        "lines",
        shards,
        work,
        partial(_keys, cfg=cfg),
        run,
        settings=(cfg.across is None, cfg.min_characters),
        least=min(cfg.most + 1, cfg.across or cfg.most + 1),
        memory_bytes=cfg.memory_bytes,
        read=read,
        told=told,
    )


def without_repeated(document: Document, counts: Counts, cfg: LinesConfig) -> Document:
    """A document without the lines that are repeated; blocks left empty go.

    The score ``repeated_lines`` is the share of its lines that went.
    """
    repeated = _repeated(document, counts, cfg)
    blocks: list[Block] = []
    total = removed = 0
    for block in document.blocks:
        if block.kind not in _KINDS:
            blocks.append(block)
            continue
        lines = block.text.split("\n")
        kept = [line for line in lines if _plain(line) not in repeated]
        total, removed = total + len(lines), removed + len(lines) - len(kept)
        if len(kept) == len(lines):
            blocks.append(block)
        elif any(line.strip() for line in kept):
            blocks.append(replace(block, text="\n".join(kept)))
    scores = {**document.scores, SCORE: removed / max(1, total)}
    return replace(document, blocks=tuple(blocks), scores=scores)


def _repeated(document: Document, counts: Counts, cfg: LinesConfig) -> set[str]:
    """The lines of a document, as they are compared, that are to go."""
    domain = domain_of(document.url)
    lines = sorted(line for line in set(_lines(document)) if len(line) >= cfg.min_characters)
    found: set[str] = set()
    if domain:
        seen = counts([key_of_text(domain, line) for line in lines])
        found.update(line for line, count in zip(lines, seen, strict=True) if count > cfg.most)
    if cfg.across is not None:
        seen = counts([key_of_text("", line) for line in lines])
        found.update(line for line, count in zip(lines, seen, strict=True) if count >= cfg.across)
    return found


def _keys(document: Document, cfg: LinesConfig) -> Iterable[int]:
    domain = domain_of(document.url)
    for plain in set(_lines(document)):
        if len(plain) < cfg.min_characters:
            continue
        if domain:
            yield key_of_text(domain, plain)
        if cfg.across is not None:
            yield key_of_text("", plain)


def _lines(document: Document) -> Iterator[str]:
    for block in document.blocks:
        if block.kind in _KINDS:
            yield from filter(None, map(_plain, block.text.split("\n")))


def _plain(line: str) -> str:
    return " ".join(line.lower().split())
