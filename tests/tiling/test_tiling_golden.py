"""The tiling equals the reference: grids, pads, token counts, pixels and order of tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.goldens import family_folder
from tilewise.records import NEWLINE, VIEW_SEPARATOR, Grid, Page
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.grid import hd_grid
from tilewise.tiling.layout import plan, tokens
from tilewise.tiling.partition import cut, global_view


def _hd_cases() -> list[dict[str, Any]]:
    """Records of page size and limit with the grid that the reference gave."""
    path = (family_folder("ixc2-4khd") or Path()) / "hd_transform.json"
    return list(json.loads(path.read_text())["cases"]) if path.is_file() else []


def _page_folders() -> list[tuple[Path, str]]:
    """Each page with the reference's canvas beside it, as (folder, page name)."""
    root = family_folder("ixc2-4khd")
    canvases = sorted(root.rglob("*_hd.png")) if root else []
    pairs = [(path.parent, path.name.removesuffix("_hd.png")) for path in canvases]
    return [(folder, name) for folder, name in pairs if (folder / "expected.json").is_file()]


def _expected(folder: Path, page: str) -> dict[str, Any]:
    """What the reference did with a page."""
    return dict(json.loads((folder / "expected.json").read_text())[page])


pytestmark = pytest.mark.golden

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
PAGES = pytest.mark.parametrize(
    ("folder", "name"), _page_folders(), ids=lambda part: Path(part).name
)


def _case_id(case: dict[str, Any]) -> str:
    return f"{case['width']}x{case['height']}-{case['hd_num']}"


@pytest.mark.parametrize("case", _hd_cases(), ids=_case_id)
def test_grid_and_tokens_equal_the_reference(case: dict[str, Any]) -> None:
    cfg = TilingConfig(max_tiles=case["hd_num"])
    fit = hd_grid(case["width"], case["height"], cfg)
    if "error" in case:  # documented: where the reference fails, the short side gets one pixel
        assert min(fit.width, fit.height) == 1
        assert fit.grid.tiles <= case["hd_num"]
        return
    assert fit.grid == Grid(case["cols"], case["rows"])
    assert (fit.width, fit.height) == (case["resized_width"], case["resized_height"])
    assert (fit.left, fit.top) == (case["pad_left"], case["pad_top"])
    assert fit.canvas_width - fit.left - fit.width == case["pad_right"]
    assert fit.canvas_height - fit.top - fit.height == case["pad_bottom"]
    assert (fit.canvas_width, fit.canvas_height) == (case["out_width"], case["out_height"])
    assert fit.grid.tiles == case["tiles"]
    assert tokens(fit.grid, cfg) == len(plan(fit.grid, cfg)) == case["image_tokens"]


@PAGES
def test_canvas_equals_the_reference_bit_for_bit(folder: Path, name: str) -> None:
    truth = _expected(folder, name)
    tiles = cut(_page(folder, name), TilingConfig(max_tiles=truth["hd_num"]))
    assert tiles.fit.grid == Grid(truth["cols"], truth["rows"])
    reference = np.asarray(Image.open(folder / f"{name}_hd.png").convert("RGB"))
    np.testing.assert_array_equal(tiles.canvas, reference)


@PAGES
def test_tower_pixels_equal_the_reference(folder: Path, name: str) -> None:
    arrays = _arrays(folder)
    cfg = TilingConfig(max_tiles=_expected(folder, name)["hd_num"])
    tiles = cut(_page(folder, name), cfg)
    view = global_view(_normalised(tiles.canvas), cfg.tile)
    local = _normalised(tiles.local)
    np.testing.assert_allclose(
        view.transpose(2, 0, 1), arrays[f"{name}.global_pixels"][0], rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(
        local[0].transpose(2, 0, 1), arrays[f"{name}.tile0_pixels"][0], rtol=0, atol=1e-6
    )
    sums = [view.sum(dtype=np.float64), *local.sum(axis=(1, 2, 3), dtype=np.float64)]
    np.testing.assert_allclose(sums, arrays[f"{name}.tile_pixel_sums"], rtol=1e-4)


@PAGES
def test_plan_orders_tokens_and_separators_like_the_reference(folder: Path, name: str) -> None:
    arrays = _arrays(folder)
    truth = _expected(folder, name)
    entries = plan(Grid(truth["cols"], truth["rows"]), TilingConfig()).entries
    merged = arrays[f"{name}.merged"]
    assert len(entries) == len(merged) == truth["image_tokens"]
    np.testing.assert_array_equal(
        merged[entries >= 0], _merge(arrays[f"{name}.vit_features"])[entries[entries >= 0]]
    )
    for separator in (NEWLINE, VIEW_SEPARATOR):
        rows = merged[entries == separator]
        np.testing.assert_array_equal(rows, np.broadcast_to(rows[:1], rows.shape))


def _page(folder: Path, name: str) -> Page:
    image = Image.open(folder / f"{name}_input.png").convert("RGB")
    return Page(pixels=np.asarray(image), name=name)


def _arrays(folder: Path) -> dict[str, NDArray[np.float32]]:
    path = folder / "expected.safetensors"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set TILEWISE_GOLDEN to a folder that has it")
    load_file = pytest.importorskip("safetensors.numpy").load_file
    return dict(load_file(path))


def _normalised(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (pixels.astype(np.float32) / np.float32(255) - MEAN) / STD


def _merge(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Patches (views, 24 * 24, c) → tokens (views * 12 * 12, 4 c)."""
    c = features.shape[-1]
    blocks = features.reshape(-1, 12, 2, 12, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(-1, 4 * c)
