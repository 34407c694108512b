"""Every page gets a grid within its limit, and boxes find their way back to the page."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.errors import ConfigError, SourceError
from tilewise.records import Box, Grid
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.grid import fit_page, hd_grid, nearest_grid, training_tiles

NEAREST = TilingConfig(tile=448, max_tiles=12, rule="nearest", has_newline=False)

SIDES = st.integers(1, 20_000)
LIMITS = st.integers(1, 70)


@given(width=SIDES, height=SIDES, max_tiles=LIMITS, upscale=st.booleans())
def test_every_page_has_a_grid_within_the_limit(
    width: int, height: int, max_tiles: int, upscale: bool
) -> None:
    fit = hd_grid(width, height, TilingConfig(max_tiles=max_tiles, upscale=upscale))
    assert 1 <= fit.grid.tiles <= max_tiles
    right = fit.canvas_width - fit.left - fit.width
    bottom = fit.canvas_height - fit.top - fit.height
    assert 1 <= fit.width <= fit.canvas_width
    assert 1 <= fit.height <= fit.canvas_height
    assert right - fit.left in (0, 1)
    assert right < fit.tile
    assert bottom - fit.top in (0, 1)
    assert bottom < fit.tile


@given(width=SIDES, height=SIDES, max_tiles=LIMITS)
def test_no_larger_count_along_the_long_side_fits(width: int, height: int, max_tiles: int) -> None:
    grid = hd_grid(width, height, TilingConfig(max_tiles=max_tiles)).grid
    along = max(grid) + 1
    assert along * math.ceil(along * min(width, height) / max(width, height)) > max_tiles


@given(width=SIDES, height=SIDES, max_tiles=LIMITS)
def test_without_upscale_no_page_is_enlarged(width: int, height: int, max_tiles: int) -> None:
    small = hd_grid(width, height, TilingConfig(max_tiles=max_tiles, upscale=False))
    full = hd_grid(width, height, TilingConfig(max_tiles=max_tiles))
    assert small.width <= width
    assert small.height <= height
    assert small.grid.tiles <= full.grid.tiles
    if max(width, height) <= max(full.width, full.height):
        assert (small.width, small.height) == (width, height)
    else:
        assert small == full


@given(width=SIDES, height=SIDES, max_tiles=LIMITS, upscale=st.booleans())
def test_portrait_is_the_mirror_of_landscape(
    width: int, height: int, max_tiles: int, upscale: bool
) -> None:
    cfg = TilingConfig(max_tiles=max_tiles, upscale=upscale)
    one, two = hd_grid(width, height, cfg), hd_grid(height, width, cfg)
    assert (one.grid.cols, one.width, one.left) == (two.grid.rows, two.height, two.top)
    assert (one.grid.rows, one.height, one.top) == (two.grid.cols, two.width, two.left)


@given(width=SIDES, height=SIDES, max_tiles=LIMITS, data=st.data())
def test_a_box_round_trips_between_page_and_canvas(
    width: int, height: int, max_tiles: int, data: st.DataObject
) -> None:
    fit = hd_grid(width, height, TilingConfig(max_tiles=max_tiles))
    xs = sorted(data.draw(st.tuples(st.floats(0, width), st.floats(0, width))))
    ys = sorted(data.draw(st.tuples(st.floats(0, height), st.floats(0, height))))
    box = Box(xs[0], ys[0], xs[1], ys[1])
    sx, sy = fit.width / width, fit.height / height
    on_canvas = Box(
        box.left * sx + fit.left,
        box.top * sy + fit.top,
        box.right * sx + fit.left,
        box.bottom * sy + fit.top,
    )
    assert fit.to_page(on_canvas) == pytest.approx(box, abs=1e-6 * max(width, height))


@pytest.mark.parametrize(
    ("size", "max_tiles", "grid", "fitted"),
    [
        ((20_000, 1), 1, Grid(1, 1), (336, 1)),
        ((1, 20_000), 1, Grid(1, 1), (1, 336)),
        ((1, 20_000), 25, Grid(1, 25), (1, 8400)),
        ((1, 1), 1, Grid(1, 1), (336, 336)),
        ((20_000, 20_000), 2, Grid(1, 1), (336, 336)),
    ],
)
def test_extreme_pages_keep_at_least_one_pixel(
    size: tuple[int, int], max_tiles: int, grid: Grid, fitted: tuple[int, int]
) -> None:
    fit = hd_grid(*size, TilingConfig(max_tiles=max_tiles))
    assert (fit.grid, (fit.width, fit.height)) == (grid, fitted)


@pytest.mark.parametrize(
    ("size", "max_tiles", "grid", "corner"),
    [
        ((336, 336), 25, Grid(1, 1), (0, 0)),
        ((500, 300), 25, Grid(2, 1), (86, 18)),
        ((301, 501), 25, Grid(1, 2), (17, 85)),  # odd pixels go right and to the bottom
        ((1680, 1000), 25, Grid(5, 3), (0, 4)),
    ],
)
def test_without_upscale_a_page_is_centred_on_the_fewest_tiles(
    size: tuple[int, int], max_tiles: int, grid: Grid, corner: tuple[int, int]
) -> None:
    fit = hd_grid(*size, TilingConfig(max_tiles=max_tiles, upscale=False))
    assert (fit.grid, (fit.left, fit.top)) == (grid, corner)
    assert (fit.width, fit.height) == size


@given(width=SIDES, height=SIDES, least=LIMITS, more=st.integers(0, 20))
def test_the_nearest_grid_stays_within_both_limits_and_none_is_nearer(
    width: int, height: int, least: int, more: int
) -> None:
    cfg = replace(NEAREST, min_tiles=least, max_tiles=least + more)
    fit = fit_page(width, height, cfg)
    cols, rows = fit.grid
    assert least <= fit.grid.tiles <= least + more
    assert (fit.width, fit.height) == (fit.canvas_width, fit.canvas_height)
    assert (fit.width, fit.height, fit.left, fit.top) == (cols * 448, rows * 448, 0, 0)
    far = abs(width / height - cols / rows)
    others = (
        abs(width / height - c / r)
        for c in range(1, least + more + 1)
        for r in range(1, (least + more) // c + 1)
        if c * r >= least
    )
    assert far == min(others)


@pytest.mark.parametrize(
    ("size", "max_tiles", "grid"),
    [
        ((800, 1300), 12, Grid(2, 3)),
        ((448, 448), 12, Grid(1, 1)),  # not 2 x 2 nor 3 x 3, although as near
        ((896, 896), 6, Grid(2, 2)),
        ((1600, 900), 12, Grid(4, 2)),
        ((2688, 896), 12, Grid(6, 2)),
        ((633, 634), 12, Grid(1, 1)),  # 2 x 2 is as near, and not more than half filled
        ((635, 634), 12, Grid(2, 2)),
        ((1, 30_000), 12, Grid(1, 12)),
        ((30_000, 1), 12, Grid(12, 1)),
        ((30_000, 1), 1, Grid(1, 1)),
        ((1, 1), 40, Grid(1, 1)),
    ],
)
def test_the_nearest_grid_of_known_pages(size: tuple[int, int], max_tiles: int, grid: Grid) -> None:
    assert nearest_grid(*size, replace(NEAREST, max_tiles=max_tiles)).grid == grid


def test_a_grid_that_is_just_half_filled_is_not_taken() -> None:
    cfg = replace(NEAREST, tile=28, max_tiles=25)
    # 24.5 is as near to 24 as to 25; 25 tiles of 28 px hold 19,600 px, twice 490 x 20
    assert nearest_grid(490, 20, cfg).grid == Grid(24, 1)
    assert nearest_grid(980, 40, cfg).grid == Grid(25, 1)


@given(width=SIDES, height=SIDES, tiles=LIMITS)
def test_a_box_on_a_stretched_page_keeps_its_share_of_either_side(
    width: int, height: int, tiles: int
) -> None:
    fit = nearest_grid(width, height, replace(NEAREST, max_tiles=tiles))
    whole = Box(0, 0, fit.canvas_width, fit.canvas_height)
    assert fit.to_page(whole) == pytest.approx(Box(0, 0, width, height))


@pytest.mark.parametrize(("images", "each"), [(1, 12), (2, 6), (5, 2), (12, 1), (40, 1)])
def test_images_of_a_training_sample_share_its_tiles(images: int, each: int) -> None:
    assert training_tiles(12, images) == each


@pytest.mark.parametrize("cfg", [TilingConfig(), NEAREST])
def test_a_page_without_pixels_is_refused(cfg: TilingConfig) -> None:
    with pytest.raises(SourceError, match="0x10 px"):
        fit_page(0, 10, cfg)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tiles": 0},
        {"max_tiles": 2.5},
        {"tile": -336},
        {"merge": True},
        {"tile": 330},
        {"min_tiles": 26},
        {"rule": "far"},
        {"global_place": "middle"},
        {"has_newline": True, "global_place": "last"},
        {"max_tiles": 4097, "rule": "nearest"},
    ],
)
def test_settings_that_cannot_hold_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TilingConfig(**wrong)


def test_the_largest_limit_of_the_nearest_rule_takes_no_long() -> None:
    cfg = TilingConfig(max_tiles=4096, rule="nearest")
    assert nearest_grid(30_000, 30_000, cfg).grid.tiles <= 4096


def test_a_tile_of_336_px_gives_144_tokens() -> None:
    assert TilingConfig().tokens_per_side == 12
    assert TilingConfig().tokens_per_tile == 144
