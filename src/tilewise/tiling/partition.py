"""Resize, pad and cut a page; put tiles back together; look at the whole page at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilewise.records import Fit, Page, Pixels, Tiles
from tilewise.tiling.config import Rule, TilingConfig
from tilewise.tiling.grid import fit_page

WHITE = 255
"""Padding, in all three channels."""

CUBIC_A = -0.75
"""Coefficient of the cubic kernel of the global view, as in the published preprocessing."""

_SAMPLED = 16  # one pixel of so many, across and down

BAND = 256
"""Lines resized at a time; the memory of small bands is used again, that of a page is not."""


def cut(page: Page, cfg: TilingConfig) -> Tiles:
    """Resize a page to its grid, pad it where its rule does, and cut it into tiles.

    Pixels equal the published preprocessing of either family bit for bit, given the same version
    of Pillow.

    Args:
        page: any page, uint8 (height, width, 3); a frame of a video gets one tile.
        cfg: the rule, tile side, tile limits and whether to enlarge.

    Returns:
        Tiles row by row, (rows * cols, tile, tile, 3), the canvas and the fit. By rule "nearest"
        ``whole`` is the page in one tile, where a page of this grid has that view.
    """
    if page.is_frame:
        cfg = replace(cfg, min_tiles=1, max_tiles=1)
    fit = fit_page(page.width, page.height, cfg)
    canvas = CANVASES[cfg.rule](page.pixels, fit)
    cols, rows = fit.grid
    split = canvas.reshape(rows, fit.tile, cols, fit.tile, 3).swapaxes(1, 2)
    local = np.ascontiguousarray(split).reshape(rows * cols, fit.tile, fit.tile, 3)
    whole = None
    if cfg.rule == "nearest" and cfg.has_whole(fit.grid.tiles):
        whole = squeezed(page.pixels, fit.tile, fit.tile)
    return Tiles(local=local, canvas=canvas, fit=fit, whole=whole, is_frame=page.is_frame)


def join(tiles: Tiles) -> Pixels:
    """Undo ``cut``: the resized page without padding, uint8 (fit.height, fit.width, 3)."""
    fit = tiles.fit
    cols, rows = fit.grid
    split = tiles.local.reshape(rows, cols, fit.tile, fit.tile, 3).swapaxes(1, 2)
    return split.reshape(fit.canvas_height, fit.canvas_width, 3)[_inside(fit)]


def global_view(canvas: NDArray[Any], tile: int) -> NDArray[np.float32]:
    """Squeeze the whole canvas into one tile, by a cubic kernel without antialiasing.

    Pixel centres are at halves and the kernel does not widen when it shrinks, so only four rows
    and columns (or one, at odd factors) per pixel of the result are read. Weights sum to one:
    normalising pixels before or after differs by rounding only.

    Args:
        canvas: (height, width, channels), uint8 or normalised floats.
        tile: side of the result in pixels.

    Returns:
        float32 (tile, tile, channels), in the units of ``canvas``; the kernel may overshoot.

    Source: published preprocessing of InternLM-XComposer2-4KHD, equal to torch's bicubic
    ``interpolate`` with ``align_corners=False`` within 1e-6 of the normalised pixels.
    """
    rows, row_weights = _cubic_taps(canvas.shape[0], tile)
    cols, col_weights = _cubic_taps(canvas.shape[1], tile)
    read = canvas[rows.reshape(-1)]
    across = sum(read[:, col] * w[:, None] for col, w in zip(cols.T, col_weights.T, strict=True))
    taps = np.asarray(across).reshape(*rows.shape, tile, -1)
    view = sum(taps[:, k] * w[:, None, None] for k, w in enumerate(row_weights.T))
    return np.asarray(view, np.float32)


def first_equals(local: Sequence[Pixels] | Pixels) -> list[int]:
    """For each of n tiles (tile, tile, 3) the first one that equals it pixel for pixel.

    A page's margins give many blank tiles, and an encoder says the same of each.
    """
    alike: dict[bytes, list[int]] = {}
    firsts = []
    for index, tile in enumerate(local):
        # A few of the pixels tell most tiles apart; only those that agree in them are compared.
        others = alike.setdefault(tile[::_SAMPLED, ::_SAMPLED].tobytes(), [])
        same = (other for other in others if np.array_equal(local[other], tile))
        first = next(same, index)
        if first == index:
            others.append(index)
        firsts.append(first)
    return firsts


def small_view(canvas: Pixels, tile: int) -> Pixels:
    """Squeeze the whole canvas into one tile, antialiased: uint8 (tile, tile, 3)."""
    view = Image.fromarray(canvas).resize((tile, tile), Image.Resampling.BILINEAR)
    return np.asarray(view)


def _inside(fit: Fit) -> tuple[slice, slice]:
    """Where the page lies on its canvas."""
    return slice(fit.top, fit.top + fit.height), slice(fit.left, fit.left + fit.width)


def _padded(pixels: Pixels, fit: Fit) -> Pixels:
    """Resize in 8 bits along the long side first, and pad with white.

    Pillow rounds to 8 bits between its passes and runs the horizontal one first; the reference
    transposes a portrait page, so there the vertical pass comes first.
    """
    sizes = [(1, fit.width), (0, fit.height)]
    if fit.page_width < fit.page_height:
        sizes.reverse()
    for axis, size in sizes:
        pixels = _stretched(pixels, axis, size, Image.Resampling.BILINEAR)
    canvas = np.full((fit.canvas_height, fit.canvas_width, 3), WHITE, np.uint8)
    canvas[_inside(fit)] = pixels
    return canvas


def _filled(pixels: Pixels, fit: Fit) -> Pixels:
    """Resize over the whole canvas, whatever becomes of the aspect ratio."""
    return squeezed(pixels, fit.canvas_width, fit.canvas_height)


CANVASES: Final[dict[Rule, Callable[[Pixels, Fit], Pixels]]] = {"hd": _padded, "nearest": _filled}
"""How a page comes onto its canvas, by ``TilingConfig.rule``."""


def squeezed(pixels: Pixels, width: int, height: int) -> Pixels:
    """Pillow's bicubic resize of a page: antialiased, in 8 bits between its passes too.

    The horizontal pass comes first, as in Pillow 13 unless a page loses more than twice as many
    rows as columns; a whole page at once would cost a copy of it at four bytes a pixel.
    """
    rows, cols = pixels.shape[:2]
    sizes = [(1, width), (0, height)]
    if rows - height > max(0, 2 * (cols - width)):
        sizes.reverse()
    for axis, size in sizes:
        pixels = _stretched(pixels, axis, size, Image.Resampling.BICUBIC)
    return pixels


def _stretched(pixels: Pixels, axis: int, size: int, kernel: Image.Resampling) -> Pixels:
    """Resize along one axis, in bands on two threads: lines along it do not touch each other."""
    if pixels.shape[axis] == size:
        return pixels
    lines = pixels.shape[1 - axis]
    out = np.empty((lines, size, 3) if axis else (size, lines, 3), np.uint8)

    def stretch(first: int) -> None:
        last = min(first + BAND, lines)
        where = (slice(first, last), slice(None))[:: 1 if axis else -1]
        to = (size, last - first) if axis else (last - first, size)
        band = Image.fromarray(pixels[where])
        out[where] = np.asarray(band.resize(to, kernel))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(stretch, range(0, lines, BAND)))
    return out


def _cubic_taps(size: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Which of ``size`` samples each of ``count`` results reads, and their weights.

    Both are (count, taps); taps that no result uses are left out.
    """
    centre = (np.arange(count) + 0.5) * size / count - 0.5
    first = np.floor(centre)
    t = centre - first
    weights = np.stack([_far(t + 1), _near(t), _near(1 - t), _far(2 - t)], axis=1)
    index = first[:, None].astype(np.intp) + np.arange(-1, 3)
    used = (weights != 0).any(axis=0)
    return index[:, used].clip(0, size - 1), weights[:, used].astype(np.float32)


def _near(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic kernel at distances up to one sample."""
    return ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x * x + 1


def _far(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic kernel at distances of one to two samples."""
    return ((x - 5) * x + 8) * x * CUBIC_A - 4 * CUBIC_A
