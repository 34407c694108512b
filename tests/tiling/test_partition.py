"""Cutting loses nothing, and both global views show the whole canvas."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tilewise.records import Page, Pixels
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.partition import cut, first_equals, global_view, join, small_view

SMALL = TilingConfig(tile=28)  # one token a tile
NEAREST = TilingConfig(tile=28, rule="nearest", global_place="last", has_newline=False)


def _page(width: int, height: int, seed: int = 0) -> Page:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Page(pixels=pixels, name="noise")


def _resized_on_transposed_data(page: Page, width: int, height: int) -> Pixels:
    """What the published preprocessing does, written out."""
    image = Image.fromarray(page.pixels)
    if page.width >= page.height:
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    turned = image.transpose(Image.Transpose.TRANSPOSE)
    turned = turned.resize((height, width), Image.Resampling.BILINEAR)
    return np.asarray(turned.transpose(Image.Transpose.TRANSPOSE))


@settings(max_examples=60)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    max_tiles=st.integers(1, 30),
    upscale=st.booleans(),
)
def test_cut_then_join_gives_the_resized_page_back(
    width: int, height: int, max_tiles: int, upscale: bool
) -> None:
    page = _page(width, height)
    tiles = cut(page, replace(SMALL, max_tiles=max_tiles, upscale=upscale))
    fit = tiles.fit
    resized = _resized_on_transposed_data(page, fit.width, fit.height)
    np.testing.assert_array_equal(join(tiles), resized)
    assert tiles.local.shape == (fit.grid.tiles, fit.tile, fit.tile, 3)
    padding = tiles.canvas.copy()
    padding[fit.top : fit.top + fit.height, fit.left : fit.left + fit.width] = 255
    assert (padding == 255).all()


@settings(max_examples=50)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    max_tiles=st.integers(1, 30),
    has_global=st.booleans(),
)
def test_a_stretched_page_and_its_whole_view_equal_one_resize_by_pillow(
    width: int, height: int, max_tiles: int, has_global: bool
) -> None:
    page = _page(width, height)
    tiles = cut(page, replace(NEAREST, max_tiles=max_tiles, has_global=has_global))
    fit, image = tiles.fit, Image.fromarray(page.pixels)
    resized = image.resize((fit.width, fit.height), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(join(tiles), np.asarray(resized))
    np.testing.assert_array_equal(tiles.canvas, np.asarray(resized))
    assert tiles.local.shape == (fit.grid.tiles, 28, 28, 3)
    assert (tiles.whole is not None) == (has_global and fit.grid.tiles > 1)
    if tiles.whole is not None:
        whole = image.resize((28, 28), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(tiles.whole, np.asarray(whole))


@pytest.mark.parametrize("rise", range(-2, 3))
def test_passes_run_in_the_order_of_pillow_where_it_turns(rise: int) -> None:
    """Pillow's order depends on how many rows and columns go: here twice as many, give or take."""
    page = _page(28 + 40, 28 + 80 + rise)
    tiles = cut(page, replace(NEAREST, max_tiles=1))
    resized = Image.fromarray(page.pixels).resize((28, 28), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(tiles.local[0], np.asarray(resized))


@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1)])
def test_extreme_pages_are_stretched_without_much_memory(size: tuple[int, int]) -> None:
    page = _page(*size)
    tracemalloc.start()
    try:
        tiles = cut(page, replace(NEAREST, tile=448, max_tiles=12))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sorted(tiles.fit.grid) == [1, 12]
    assert tiles.whole is not None
    assert peak_bytes < 6 * tiles.canvas.nbytes


@pytest.mark.parametrize("cfg", [SMALL, replace(NEAREST, min_tiles=3)])
def test_a_frame_is_one_tile_whatever_the_limits(cfg: TilingConfig) -> None:
    page = replace(_page(90, 50), is_frame=True)
    tiles = cut(page, cfg)
    assert tiles.is_frame
    assert tiles.fit.grid == (1, 1)
    assert tiles.whole is None
    assert not cut(_page(90, 50), cfg).is_frame


def test_without_upscale_a_small_page_keeps_its_pixels() -> None:
    page = _page(500, 300)
    np.testing.assert_array_equal(
        join(cut(page, TilingConfig(max_tiles=25, upscale=False))), page.pixels
    )


def test_tiles_are_numbered_row_by_row() -> None:
    tiles = cut(_page(84, 56), replace(SMALL, max_tiles=6))
    assert tiles.fit.grid == (3, 2)
    np.testing.assert_array_equal(tiles.local[4], tiles.canvas[28:56, 28:56])


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1)])
def test_extreme_pages_are_cut(size: tuple[int, int]) -> None:
    tiles = cut(_page(*size), TilingConfig(max_tiles=3))
    assert len(tiles.local) == 3


@pytest.mark.parametrize("shape", [(336, 336), (672, 1008), (1344, 336), (500, 700)])
def test_global_view_equals_bicubic_interpolation_of_torch(shape: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    canvas = np.random.default_rng(1).normal(size=(*shape, 3)).astype(np.float32)
    batch = torch.from_numpy(canvas).permute(2, 0, 1)[None]
    want = torch.nn.functional.interpolate(
        batch, (336, 336), mode="bicubic", align_corners=False, antialias=False
    )
    got = global_view(canvas, 336)
    # Where the factor is no whole number (a canvas always has one) torch rounds positions too.
    atol = 1e-6 if shape[0] % 336 == 0 and shape[1] % 336 == 0 else 1e-3
    np.testing.assert_allclose(got, want[0].permute(1, 2, 0).numpy(), rtol=0, atol=atol)


def test_normalising_may_come_after_the_global_view() -> None:
    canvas = _page(672, 336).pixels
    scaled = canvas.astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(
        global_view(canvas, 336) / 127.5 - 1, global_view(scaled, 336), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("view", [global_view, small_view])
def test_a_view_of_one_tile_is_that_tile(view: object) -> None:
    assert callable(view)
    tiles = cut(_page(336, 336), TilingConfig(max_tiles=1))
    np.testing.assert_array_equal(view(tiles.canvas, 336), tiles.local[0])


def test_small_view_is_antialiased() -> None:
    stripes = np.zeros((672, 672, 3), np.uint8)
    stripes[::2] = 255
    view = small_view(stripes, 336)
    assert view.shape == (336, 336, 3)
    assert view.min() > 100
    assert view.max() < 160


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_equal_tiles_are_found_and_others_kept_apart(kinds: list[int]) -> None:
    stock = np.full((4, 40, 40, 3), 255, np.uint8)
    stock[1, 39, 39, 2] = 254  # tiles that differ in one value, where few look
    stock[2, 0, 1, 0] = 254
    stock[3] = 7
    assert first_equals(stock[kinds]) == [kinds.index(kind) for kind in kinds]
