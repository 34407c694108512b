"""How large samples of data are: tokens, tiles, images, as numbers and as histograms of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple

from tilewise.errors import PromptError, SourceError
from tilewise.shards.conversation import Bad, ImageRef, Sample
from tilewise.shards.listing import Listed
from tilewise.text.chat import transcript
from tilewise.tiling.grid import fit_page, training_tiles
from tilewise.tiling.layout import tokens
from tilewise.train.check import Chunk, chunks
from tilewise.train.family import Family
from tilewise.train.workers import Workers

FRAMES: Final = 20
"""Frames that a video counts for: the middle of what training draws."""

BAR: Final = 40
"""Letters of the longest bar."""


class Size(NamedTuple):
    """Of one sample; ``views`` are tiles with whole pages."""

    tokens: int
    views: int
    images: int


@dataclass(slots=True)
class Counts:
    """What a dataset holds. ``missing`` counts images that are not there or cannot be read."""

    sizes: list[Size] = field(default_factory=list)
    bad: int = 0
    missing: int = 0


class Counted(NamedTuple):
    """What was found in a chunk of a dataset."""

    source: int
    sizes: tuple[Size, ...]
    bad: int
    missing: int


def count(
    listed: Sequence[Listed],
    family: Family,
    max_tiles: int,
    workers: int,
    progress: Callable[[int, int], None],
) -> list[Counts]:
    """Sizes of all samples; of images headers alone are read, of videos nothing.

    Args:
        listed: datasets; a dataset's own tile limit is the stronger one.
        family: whose tokens and tiles are counted.
        max_tiles: of a sample.
        workers: processes that read, 0 for this one.
        progress: told how many samples are read, and of how many.

    Raises:
        DataError: a file cannot be read, or a worker died.
    """
    found = [Counts() for _ in listed]
    total, done = sum(map(len, listed)), 0
    work = partial(_count_chunk, tuple(listed), family, max_tiles)
    with Workers(work, workers) as running:
        for part in running.map(chunks(listed)):
            counts = found[part.source]
            counts.sizes += part.sizes
            counts.bad += part.bad
            counts.missing += part.missing
            done += len(part.sizes) + part.bad
            progress(done, total)
    return found


def _count_chunk(listed: Sequence[Listed], family: Family, max_tiles: int, chunk: Chunk) -> Counted:
    sizes, bad, missing = [], 0, 0
    one = listed[chunk.source]
    for index in range(chunk.first, chunk.last):
        sample = one.data[index]
        if isinstance(sample, Bad):
            bad += 1
            continue
        try:
            size, gone = _size(sample, family, one.max_tiles or max_tiles)
        except PromptError:
            bad += 1
            continue
        sizes.append(size)
        missing += gone
    return Counted(chunk.source, tuple(sizes), bad, missing)


def _size(sample: Sample, family: Family, max_tiles: int) -> tuple[Size, int]:
    """Of a sample, and how many of its images are missing."""
    limit = 1 if sample.is_video else training_tiles(max_tiles, len(sample.images))
    tiling = replace(family.tiling, max_tiles=max(limit, family.tiling.min_tiles))
    if sample.is_video:
        tiling = replace(tiling, min_tiles=1, max_tiles=1)
        pages: list[tuple[int, int] | None] = [(tiling.tile, tiling.tile)] * FRAMES
        pages = pages if sample.images[0].is_there else [None]
    else:
        pages = [_dimensions(image) for image in sample.images]
    known = [page for page in pages if page is not None]
    visual, views = 0, 0
    for width, height in known:
        grid = fit_page(width, height, tiling).grid
        visual += tokens(grid, tiling)
        views += grid.tiles + tiling.has_whole(grid.tiles)
    size = Size(_text(sample, family) + visual, views, len(pages))
    return size, len(pages) - len(known)


def _dimensions(image: ImageRef) -> tuple[int, int] | None:
    try:
        return image.size()
    except SourceError:
        return None


def _text(sample: Sample, family: Family) -> int:
    """Tokens of a sample's text, its template's included."""
    if sample.is_document:
        text = sample.turns[0].text
    else:
        system = family.system if sample.system is None else sample.system
        text = transcript(sample.turns, family.template, system)
    return len(family.tokenizer.encode(text, bos=True))


def lines(name: str, counts: Counts) -> Iterator[str]:
    """What a dataset holds, for people."""
    sizes = counts.sizes
    images = sum(size.images for size in sizes)
    yield (
        f"{name}: {len(sizes) + counts.bad:,} samples, {counts.bad:,} bad, {images:,} images, "
        f"{counts.missing:,} missing"
    )
    tokens_and_tiles = {"tokens": [s.tokens for s in sizes], "tiles": [s.views for s in sizes]}
    for what, values in tokens_and_tiles.items():
        if not any(values):
            continue
        ranked = sorted(values)
        share = ranked[min(len(ranked) - 1, int(0.95 * len(ranked)))]
        yield (
            f"  {what}: {sum(values):,} in all; least {ranked[0]:,}, median "
            f"{ranked[len(ranked) // 2]:,}, 95 % {share:,}, most {ranked[-1]:,}"
        )
        yield from (f"    {line}" for line in histogram(values))


def histogram(values: Sequence[int]) -> Iterator[str]:
    """Bars of text: how many values lie in 0, 1, 2 to 3, 4 to 7, 8 to 15 and so on."""
    bins = [value.bit_length() for value in values]
    counts = {size: bins.count(size) for size in range(min(bins), max(bins) + 1)}
    most = max(counts.values())
    bounds = {size: (1 << size >> 1, (1 << size) - 1) for size in counts}
    names = {size: f"{a:,}" if a == b else f"{a:,} to {b:,}" for size, (a, b) in bounds.items()}
    width = max(map(len, names.values()))
    for size, number in counts.items():
        bar = "█" * -(-number * BAR // most)
        yield f"{names[size]:>{width}} {bar}{' ' if bar else ''}{number:,}"
