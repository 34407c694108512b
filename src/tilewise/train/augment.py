"""How pages are changed while a model learns: their size on the grid, and JPEG's traces."""

from __future__ import annotations

import math
from dataclasses import replace
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image

from tilewise.records import Pixels, Tiles
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.grid import fit_page
from tilewise.train.draw import whole

QUALITIES: Final = (75, 100)
"""Least and best quality of JPEG. Source: InternVL's training code."""

_SCALE, _JPEG = 1, 2  # kinds of draws, so that one key serves both


def drawn_limit(width: int, height: int, cfg: TilingConfig, *key: int) -> int:
    """A tile limit that puts a page on its grid at a size between its own and the largest.

    The tiles along the page's long side are drawn evenly from as many as hold its own pixels up to
    as many as ``cfg.max_tiles`` allows; a page too large for that gets the most.

    Args:
        width, height: page size in pixels.
        cfg: rule "hd" with the largest limit.
        key: of the draw.

    Returns:
        A limit of at most ``cfg.max_tiles`` that gives just so many tiles along the long side.

    Source: InternLM-XComposer2-4KHD (arXiv 2404.06512), section 3.4, which says "between the
    original size and HD-25"; the published later code of its authors draws like this.
    """
    long, short = max(width, height), min(width, height)
    grid = fit_page(width, height, replace(cfg, upscale=True)).grid
    most = max(grid)
    side = whole(min(math.ceil(long / cfg.tile), most), most, *key, _SCALE)
    return side * math.ceil(side / (long / short))


def degraded(tiles: Tiles, *key: int) -> Tiles:
    """Tiles as JPEG gives them back, each at a quality of its own, and the whole page's view too.

    Args:
        tiles: of a page.
        key: of the draws.
    """
    local = np.stack([_jpeg(tile, *key, _JPEG, n) for n, tile in enumerate(tiles.local)])
    cols, rows = tiles.fit.grid
    side = tiles.fit.tile
    canvas = local.reshape(rows, cols, side, side, 3).swapaxes(1, 2)
    whole_page = None if tiles.whole is None else _jpeg(tiles.whole, *key, _JPEG, len(local))
    return replace(
        tiles,
        local=local,
        canvas=np.ascontiguousarray(canvas).reshape(tiles.canvas.shape),
        whole=whole_page,
    )


def _jpeg(pixels: Pixels, *key: int) -> Pixels:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=whole(*QUALITIES, *key))
    return np.asarray(Image.open(file))
