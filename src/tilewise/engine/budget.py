"""How several pages share the tiles and the context of a reader."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from tilewise.errors import ConfigError, PromptError
from tilewise.models.reader import Reader

ROOM: Final = 512
"""Tokens left free for question and answer where a way out is named."""

NAME: Final = 12
"""Tokens left free there for what a page of several is called in a prompt (``Frame1024: ``)."""


def share_tiles(max_tiles: int, pages: int, is_frame: Sequence[bool] = ()) -> tuple[int, ...]:
    """Split a tile budget over pages as evenly as it goes, the first ones getting what is over.

    With more pages than tiles each page gets one all the same. A frame of a video always gets one,
    which is not of the budget.

    Args:
        max_tiles: the budget.
        pages: how many there are.
        is_frame: for each of them whether it is a frame; default, none is.

    Raises:
        ConfigError: the budget is below one tile.
    """
    if max_tiles < 1:
        raise ConfigError(f"max_tiles is {max_tiles}; at least 1 is allowed.")
    frames = is_frame or (False,) * pages
    others = pages - sum(frames)
    share, over = divmod(max_tiles, max(1, others))
    shares = (max(1, share + (page < over)) for page in range(others))
    return tuple(1 if each else next(shares) for each in frames)


def least_tiles(pages: int, is_frame: Sequence[bool] = ()) -> int:
    """The smallest budget that gives each page one tile; frames of videos need none of it."""
    return max(1, pages - sum(is_frame))


def most_tiles(budget: Sequence[int], is_frame: Sequence[bool] = ()) -> int:
    """What a shared budget sums to, without the tiles of frames."""
    return sum(budget) - sum(is_frame)


def largest_budget(fits: Callable[[int], bool], least: int, most: int) -> int | None:
    """The largest number of tiles from ``least`` to ``most`` that fits, None if none does.

    ``fits`` must hold for fewer tiles wherever it holds for more.
    """
    count = bisect_right(range(least, most + 1), False, key=lambda tiles: not fits(tiles))
    return least + count - 1 if count else None


def check_context(
    reader: Reader,
    sizes: Iterable[tuple[int, int]],
    budget: tuple[int, ...],
    is_frame: Sequence[bool] = (),
) -> None:
    """See that all pages together leave room in the reader's context, before one is decoded.

    Args:
        reader: the model.
        sizes: (width, height) of each page in pixels; no more are taken than needed to decide.
        budget: tiles of each page.
        is_frame: for each page whether it is a frame of a video; default, none is.

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
            raise PromptError(_too_long(reader, taken, left, budget, is_frame, total))


def _too_long(
    reader: Reader,
    taken: list[tuple[int, int]],
    left: Iterator[tuple[int, int]],
    budget: tuple[int, ...],
    is_frame: Sequence[bool],
    total: int,
) -> str:
    """What is too long, by how much, and the way out; ``taken`` grows by what is ``left``."""
    pages, holds = len(budget), f"the {reader.context} tokens that {reader.name} holds"
    room = reader.context - min(ROOM, reader.context // 4)
    name = NAME if pages > 1 else 0

    def smallest(size: tuple[int, int]) -> int:
        return name + len(reader.plan(*size, 1))

    def tokens(tiles: int) -> int:
        shares = share_tiles(tiles, pages, is_frame)
        pairs = zip(taken, shares, strict=True)
        return name * pages + sum(len(reader.plan(*size, most)) for size, most in pairs)

    sums = list(accumulate(map(smallest, taken)))  # of the first pages, at one tile each
    while len(taken) < pages and sums[-1] <= room:
        taken.append(next(left))
        sums.append(sums[-1] + smallest(taken[-1]))
    most = None
    if len(taken) == pages:
        least, given = least_tiles(pages, is_frame), most_tiles(budget, is_frame)
        most = largest_budget(lambda n: tokens(n) <= room, least, given - 1)
    if most is not None:
        what = f"the page takes {total} tokens" if pages == 1 else f"{pages} pages take too many"
        return (
            f"{what} at {most_tiles(budget, is_frame)} tiles for {holds}; allow at most {most} "
            f"tiles (--max-tiles {most})."
        )
    fit = max(1, bisect_right(sums, room))
    if any(is_frame):
        what = "frames" if all(is_frame) else "pages and frames"
        return (
            f"{pages} {what} are too many for {holds} at once, the first {fit} of them fit; take "
            "fewer frames of each video (--frames)."
        )
    return (
        f"{pages} pages are too many for {holds} at once, the first {fit} of them fit at one tile "
        f"each (--max-tiles {fit}); choose pages (--pages 1-{fit}) or ask about each page on its "
        "own (--per-page)."
    )
