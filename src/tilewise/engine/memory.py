"""Memory that a question will take, said before it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tilewise.engine.budget import largest_budget, least_tiles, most_tiles, share_tiles
from tilewise.errors import ConfigError
from tilewise.models.reader import Footprint, Reader

ANSWER_TOKENS: Final = 256
"""Room counted for an answer; most are shorter."""


def needed_bytes(footprint: Footprint, tokens: int, tiles: int, *, rows: int = 1) -> int:
    """Bytes that a prompt takes at its peak, besides the reader's weights.

    Encoder and decoder run one after the other, so the larger of their peaks counts once.
    While rows are chosen among beams, one more of them exists.

    Args:
        footprint: of the reader.
        tokens: of the prompt.
        tiles: of all its pages.
        rows: beams carried on side by side.
    """
    run = min(tokens, footprint.run_tokens) * footprint.run_bytes
    kept_rows = 1 if rows == 1 else rows + 1
    return (
        (tokens + ANSWER_TOKENS) * footprint.token_bytes * kept_rows
        + tiles * footprint.tile_bytes
        + max(run, footprint.vision_bytes)
        + footprint.product_bytes
    )


def check_memory(
    reader: Reader,
    sizes: Sequence[tuple[int, int]],
    budget: Sequence[int],
    available_bytes: int | None,
    *,
    rows: int = 1,
    is_frame: Sequence[bool] = (),
) -> None:
    """See that pages fit into memory before one is decoded.

    Args:
        reader: the model.
        sizes: (width, height) of each page in pixels.
        budget: tiles of each page.
        available_bytes: what is left; None where this is unknown, then nothing is checked.
        rows: beams carried on side by side.
        is_frame: for each page whether it is a frame of a video; default, none is.

    Raises:
        ConfigError: they do not; it names the largest tile budget that would.
    """
    if available_bytes is None:
        return
    needed = _needed(reader, sizes, budget, rows)
    if needed <= available_bytes:
        return
    said = (
        f"{_gib(needed)} of memory would be needed besides the weights of {reader.name}, and "
        f"{_gib(available_bytes)} are available"
    )
    pages = len(sizes)
    most = largest_budget(
        lambda n: _needed(reader, sizes, share_tiles(n, pages, is_frame), rows) <= available_bytes,
        least_tiles(pages, is_frame),
        most_tiles(budget, is_frame) - 1,
    )
    if most is not None:
        raise ConfigError(f"{said}; allow at most {most} tiles (--max-tiles {most}).")
    fewer = "fewer beams, " if rows > 1 else ""
    raise ConfigError(
        f"{said}, too little for one tile a page; use {fewer}fewer "
        f"{'frames (--frames)' if any(is_frame) else 'pages'} or another device (--device)."
    )


def _needed(
    reader: Reader, sizes: Sequence[tuple[int, int]], budget: Sequence[int], rows: int
) -> int:
    plans = [
        reader.plan(width, height, most)
        for (width, height), most in zip(sizes, budget, strict=True)
    ]
    tiles = sum(int((plan.entries >= 0).sum()) // plan.tokens_per_tile for plan in plans)
    return needed_bytes(reader.footprint(), sum(map(len, plans)), tiles, rows=rows)


def _gib(size_bytes: int) -> str:
    is_large = size_bytes >= 2**30
    return f"{size_bytes / 2**30:.1f} GiB" if is_large else f"{size_bytes / 2**20:.0f} MiB"
