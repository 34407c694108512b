"""In which order the tokens and separators of a page stand, as integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.records import IMAGE_END, IMAGE_START, NEWLINE, VIEW_SEPARATOR, Grid, Plan
from tilewise.tiling.config import GlobalPlace, TilingConfig


def plan(grid: Grid, cfg: TilingConfig) -> Plan:
    """Lay out the image sequence of one page.

    With ``global_place`` "first" the global view comes first, row by row, then one separator. The
    tiles follow as one map: their tokens are read row by row over the whole width of the page. A
    newline ends each row of either view. Without a global view there is no separator.

    With "last" the tiles come one after the other, each row by row, and then the global view if
    there is more than one tile; nothing separates them.

    Args:
        grid: columns × rows of tiles.
        cfg: tokens per tile, and which of global view, newlines and ends are there.

    Returns:
        The plan, ``tokens(grid, cfg)`` entries long.

    Source: published model code of InternLM-XComposer2-4KHD and of InternVL 1.5.
    """
    parts = ORDERS[cfg.global_place](grid, cfg)
    if cfg.has_ends:
        parts = [np.array([IMAGE_START], np.int32), *parts, np.array([IMAGE_END], np.int32)]
    return Plan(
        entries=np.concatenate(parts),
        tokens_per_tile=cfg.tokens_per_tile,
        has_global=cfg.has_whole(grid.tiles),
    )


def tokens(grid: Grid, cfg: TilingConfig) -> int:
    """Length of the image sequence of one page, separators and ends included."""
    whole = int(cfg.has_whole(grid.tiles))
    visual = (grid.tiles + whole) * cfg.tokens_per_tile
    newlines = (grid.rows + whole) * cfg.tokens_per_side if cfg.has_newline else 0
    separators = whole if cfg.global_place == "first" else 0
    return visual + newlines + separators + 2 * cfg.has_ends


def _page_rows(grid: Grid, cfg: TilingConfig) -> list[NDArray[np.int32]]:
    """The whole page, a separator, and the rows of the page across its tiles."""
    side, per_tile = cfg.tokens_per_side, cfg.tokens_per_tile
    views = []
    if cfg.has_global:
        whole = np.arange(per_tile, dtype=np.int32).reshape(side, side)
        views += [_rows(whole, cfg), np.array([VIEW_SEPARATOR], np.int32)]
    start = per_tile if cfg.has_global else 0
    index = np.arange(start, start + grid.tiles * per_tile, dtype=np.int32)
    by_tile = index.reshape(grid.rows, grid.cols, side, side)
    views.append(_rows(by_tile.swapaxes(1, 2).reshape(grid.rows * side, -1), cfg))
    return views


def _tile_by_tile(grid: Grid, cfg: TilingConfig) -> list[NDArray[np.int32]]:
    """Every view after the other, as the encoder gives them."""
    views = grid.tiles + cfg.has_whole(grid.tiles)
    return [np.arange(views * cfg.tokens_per_tile, dtype=np.int32)]


ORDERS: Final[dict[GlobalPlace, Callable[[Grid, TilingConfig], list[NDArray[np.int32]]]]] = {
    "first": _page_rows,
    "last": _tile_by_tile,
}
"""In which order the views are read, by ``TilingConfig.global_place``."""


def _rows(index: NDArray[np.int32], cfg: TilingConfig) -> NDArray[np.int32]:
    """Read a map row by row, (rows, cols) → (length,), with a newline after each."""
    if cfg.has_newline:
        index = np.pad(index, ((0, 0), (0, 1)), constant_values=NEWLINE)
    return index.reshape(-1)
