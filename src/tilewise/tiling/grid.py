"""Which grid of tiles a page gets, and where the page lies on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from tilewise.errors import SourceError
from tilewise.records import Fit, Grid
from tilewise.tiling.config import Rule, TilingConfig


def fit_page(width: int, height: int, cfg: TilingConfig) -> Fit:
    """Fit a page onto its grid by the rule of ``cfg``.

    Args:
        width, height: page size in pixels.
        cfg: the rule and what it asks.

    Raises:
        SourceError: the page has no pixels.
    """
    return RULES[cfg.rule](width, height, cfg)


def hd_grid(width: int, height: int, cfg: TilingConfig) -> Fit:
    """Fit a page onto the largest grid that keeps its aspect ratio.

    The long side takes as many tiles as ``cfg.max_tiles`` allows; the short side is padded to
    whole tiles. Without ``cfg.upscale`` a page whose long side fits into those tiles keeps its
    own pixels on the fewest tiles that hold it, and is padded on both axes.

    A page longer than the reference can resize (its short side would get less than one pixel)
    is given one pixel here, where the reference fails. One tile along the long side is always
    within the limit, so every page has a grid from ``max_tiles=1`` up.

    Args:
        width, height: page size in pixels.
        cfg: tile side, tile limit and whether to enlarge.

    Returns:
        The fit, with ``grid.tiles <= cfg.max_tiles``, in the orientation of the page.

    Raises:
        SourceError: the page has no pixels.

    Source: InternLM-XComposer2-4KHD (arXiv 2404.06512), section 3.2, and the order of
    operations of the published preprocessing.
    """
    _check_pixels(width, height)
    is_portrait = width < height  # a square is not
    long, short = (height, width) if is_portrait else (width, height)
    fit_long, fit_short = _fitted(long, short, cfg)
    grid_long, grid_short = math.ceil(fit_long / cfg.tile), math.ceil(fit_short / cfg.tile)
    pad_long = (grid_long * cfg.tile - fit_long) // 2  # an odd pixel goes to the far side
    pad_short = (grid_short * cfg.tile - fit_short) // 2
    return Fit(
        grid=Grid(grid_short, grid_long) if is_portrait else Grid(grid_long, grid_short),
        tile=cfg.tile,
        page_width=width,
        page_height=height,
        width=fit_short if is_portrait else fit_long,
        height=fit_long if is_portrait else fit_short,
        left=pad_short if is_portrait else pad_long,
        top=pad_long if is_portrait else pad_short,
    )


def nearest_grid(width: int, height: int, cfg: TilingConfig) -> Fit:
    """Stretch a page over the grid whose aspect ratio is nearest to the page's.

    Grids are looked at from the fewest tiles on. Of several equally near ones a later is taken
    only if the page has *more* pixels than half of that grid, so that a small page is not blown
    up: 448 x 448 px at 12 tiles stay one tile, 896 x 896 px become 2 x 2. Equally near means equal
    as doubles, and a page may be as near to a wider as to a narrower grid.

    Among grids of the same number of tiles the narrower is looked at first. That matters only from
    ``min_tiles=2`` up; there the reference has no order of its own.

    Args:
        width, height: page size in pixels.
        cfg: tile side and the allowed number of tiles.

    Returns:
        The fit, without padding, of ``cfg.min_tiles`` to ``cfg.max_tiles`` tiles.

    Raises:
        SourceError: the page has no pixels.

    Source: InternVL 1.5 (arXiv 2404.16821), section on dynamic resolution, and the order of
    operations of the published preprocessing.
    """
    _check_pixels(width, height)
    ratio, near, best = width / height, math.inf, Grid(1, 1)
    for grid in _grids(cfg.min_tiles, cfg.max_tiles):
        distance = abs(ratio - grid.cols / grid.rows)
        is_filled = 2 * width * height > cfg.tile**2 * grid.tiles
        if distance < near or (distance == near and is_filled):
            near, best = distance, grid
    return Fit(
        grid=best,
        tile=cfg.tile,
        page_width=width,
        page_height=height,
        width=best.cols * cfg.tile,
        height=best.rows * cfg.tile,
        left=0,
        top=0,
    )


RULES: Final[dict[Rule, Callable[[int, int, TilingConfig], Fit]]] = {
    "hd": hd_grid,
    "nearest": nearest_grid,
}
"""How a grid is chosen, by ``TilingConfig.rule``."""


def training_tiles(max_tiles: int, images: int) -> int:
    """Tiles that each image of one training sample may take, where it has several.

    Source: published training code of InternVL 1.5. At inference each image has the budget that
    its caller gives it.
    """
    return max(1, max_tiles // max(1, images))


@lru_cache(maxsize=256)
def _grids(least: int, most: int) -> tuple[Grid, ...]:
    """All grids of ``least`` to ``most`` tiles, the fewest tiles first."""
    found = [
        Grid(cols, rows)
        for cols in range(1, most + 1)
        for rows in range(max(1, -(-least // cols)), most // cols + 1)
    ]
    return tuple(sorted(found, key=lambda grid: grid.tiles))


def _check_pixels(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise SourceError(
            f"the page is {width}x{height} px; at least 1x1 is allowed. Check how it was decoded."
        )


def _fitted(long: int, short: int, cfg: TilingConfig) -> tuple[int, int]:
    """Size in pixels at which the page is put on its canvas, long side first."""
    ratio = long / short
    side = _tiles_along(ratio, cfg.max_tiles) * cfg.tile
    if not cfg.upscale and long <= side:
        return long, short
    # Dividing by the rounded ratio, then truncating, is the published order: 700 x 300 at 25
    # tiles gives 1007 rows where exact arithmetic gives 1008.
    return side, max(1, int(side / ratio))


def _tiles_along(ratio: float, max_tiles: int) -> int:
    """Most tiles along the long side of a page of this ratio (1 or more)."""
    count = 1
    while (count + 1) * math.ceil((count + 1) / ratio) <= max_tiles:
        count += 1
    return count
