"""How several pages share the tiles and the context of a reader."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from tilewise.errors import ConfigError, PromptError
from tilewise.models.reader import Reader

ROOM: Final = 512
"""Tokens left free for question and answer where a way out is named."""


def share_tiles(max_tiles: int, pages: int) -> tuple[int, ...]:
    """Split a tile budget over pages as evenly as it goes, the first ones getting what is over.

    With more pages than tiles each page gets one all the same.

    Raises:
        ConfigError: the budget is below one tile.
    """
    if max_tiles < 1:
        raise ConfigError(f"max_tiles is {max_tiles}; at least 1 is allowed.")
    share, over = divmod(max_tiles, pages)
    return tuple(max(1, share + (page < over)) for page in range(pages))


def largest_budget(fits: Callable[[int], bool], least: int, most: int) -> int | None:
    """The largest number of tiles from ``least`` to ``most`` that fits, None if none does.

    ``fits`` must hold for fewer tiles wherever it holds for more.
    """
    count = bisect_right(range(least, most + 1), False, key=lambda tiles: not fits(tiles))
    return least + count - 1 if count else None


def check_context(
    reader: Reader, sizes: Iterable[tuple[int, int]], budget: tuple[int, ...]
) -> None:
    """See that all pages together leave room in the reader's context, before one is decoded.

    Args:
        reader: the model.
        sizes: (width, height) of each page in pixels; no more are taken than needed to decide.
        budget: tiles of each page.

    Raises:
        PromptError: they do not; it names the largest tile budget with which they would, or how
            many of the pages would.
    """
    left = iter(sizes)
    taken: list[tuple[int, int]] = []
    total = 0
    for size, max_tiles in zip(left, budget, strict=False):
        taken.append(size)
        total += len(reader.plan(*size, max_tiles))
        if total >= reader.context:
            raise PromptError(_too_long(reader, taken, left, budget, total))


def _too_long(
    reader: Reader,
    taken: list[tuple[int, int]],
    left: Iterator[tuple[int, int]],
    budget: tuple[int, ...],
    total: int,
) -> str:
    """What is too long, by how much, and the way out; ``taken`` grows by what is ``left``."""
    pages, holds = len(budget), f"the {reader.context} tokens that {reader.name} holds"
    room = reader.context - min(ROOM, reader.context // 4)

    def tokens(tiles: int, count: int) -> int:
        pairs = zip(taken[:count], share_tiles(tiles, count), strict=True)
        return sum(len(reader.plan(*size, most)) for size, most in pairs)

    while len(taken) < pages and tokens(len(taken), len(taken)) <= room:
        taken.append(next(left))
    most = None
    if len(taken) == pages:
        most = largest_budget(lambda n: tokens(n, pages) <= room, pages, sum(budget) - 1)
    if most is not None:
        what = f"the page takes {total} tokens" if pages == 1 else f"{pages} pages take too many"
        return (
            f"{what} at {sum(budget)} tiles for {holds}; allow at most {most} tiles "
            f"(--max-tiles {most})."
        )
    fit = max(1, next(n for n in range(len(taken), -1, -1) if n == 0 or tokens(n, n) <= room))
    return (
        f"{pages} pages are too many for {holds} at once, the first {fit} of them fit at one tile "
        f"each (--max-tiles {fit}); choose pages (--pages 1-{fit}) or ask about each page on its "
        "own (--per-page)."
    )
