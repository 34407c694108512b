"""How several pages share the tiles and the context of a reader."""

from __future__ import annotations

from collections.abc import Iterable

from tilewise.errors import ConfigError, PromptError
from tilewise.models.reader import Reader


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


def check_context(
    reader: Reader, sizes: Iterable[tuple[int, int]], budget: tuple[int, ...]
) -> None:
    """See that all pages together leave room in the reader's context, before one is decoded.

    Args:
        reader: the model.
        sizes: (width, height) of each page in pixels; no more are taken than needed to decide.
        budget: tiles of each page.

    Raises:
        PromptError: they do not; it says how many pages would.
    """
    total = 0
    for index, ((width, height), max_tiles) in enumerate(zip(sizes, budget, strict=False)):
        total += len(reader.plan(width, height, max_tiles))
        if total < reader.context:
            continue
        if len(budget) == 1:
            raise PromptError(
                f"the page takes {total} tokens at {max_tiles} tiles and {reader.name} holds "
                f"{reader.context}; allow fewer tiles (--max-tiles)."
            )
        raise PromptError(
            f"{len(budget)} pages are too many for the {reader.context} tokens that "
            f"{reader.name} holds at once, the first {index} of them fit; choose pages "
            f"(--pages 1-{max(index, 1)}) or ask about each page on its own (--per-page)."
        )
