"""In which order the tokens and separators of a page stand, as integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewise.records import NEWLINE, VIEW_SEPARATOR, Grid, Plan
from tilewise.tiling.config import TilingConfig


def plan(grid: Grid, cfg: TilingConfig) -> Plan:
    """Lay out the image sequence of one page.

    The global view comes first, row by row, then one separator. The tiles follow as one map:
    their tokens are read row by row over the whole width of the page. A newline ends each row
    of either view. Without a global view there is no separator.

    Args:
        grid: columns × rows of tiles.
        cfg: tokens per tile, and which of global view and newlines are there.

    Returns:
        The plan, ``tokens(grid, cfg)`` entries long.

    Source: published model code of InternLM-XComposer2-4KHD.
    """
    side, per_tile = cfg.tokens_per_side, cfg.tokens_per_tile
    views = []
    if cfg.has_global:
        whole = np.arange(per_tile, dtype=np.int32).reshape(side, side)
        views += [_rows(whole, cfg), np.array([VIEW_SEPARATOR], np.int32)]
    start = per_tile if cfg.has_global else 0
    index = np.arange(start, start + grid.tiles * per_tile, dtype=np.int32)
    by_tile = index.reshape(grid.rows, grid.cols, side, side)
    views.append(_rows(by_tile.swapaxes(1, 2).reshape(grid.rows * side, -1), cfg))
    return Plan(entries=np.concatenate(views), tokens_per_tile=per_tile, has_global=cfg.has_global)


def tokens(grid: Grid, cfg: TilingConfig) -> int:
    """Length of the image sequence of one page, separators included."""
    views = 2 if cfg.has_global else 1
    visual = (grid.tiles + views - 1) * cfg.tokens_per_tile
    newlines = (grid.rows + views - 1) * cfg.tokens_per_side if cfg.has_newline else 0
    return visual + newlines + views - 1


def _rows(index: NDArray[np.int32], cfg: TilingConfig) -> NDArray[np.int32]:
    """Read a map row by row, (rows, cols) → (length,), with a newline after each."""
    if cfg.has_newline:
        index = np.pad(index, ((0, 0), (0, 1)), constant_values=NEWLINE)
    return index.reshape(-1)
