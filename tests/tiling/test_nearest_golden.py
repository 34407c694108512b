"""Tiling by the nearest ratio equals the reference: grids, token counts and every pixel."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.goldens import family_folder
from tilewise.records import Grid, Page, Pixels
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.grid import nearest_grid
from tilewise.tiling.layout import plan, tokens
from tilewise.tiling.partition import cut

pytestmark = pytest.mark.golden

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def _cases(name: str) -> list[dict[str, Any]]:
    folder = family_folder("internvl")
    path = folder / name if folder else None
    return list(json.loads(path.read_text())["cases"]) if path and path.is_file() else []


def _case_id(case: dict[str, Any]) -> str:
    least = case.get("min_num", 1)
    whole = "-whole" if case["use_thumbnail"] else ""
    return f"{case['width']}x{case['height']}-{least}-{case['max_num']}{whole}"


def _config(case: dict[str, Any]) -> TilingConfig:
    return TilingConfig(
        tile=448,
        rule="nearest",
        min_tiles=case.get("min_num", 1),
        max_tiles=case["max_num"],
        has_global=case["use_thumbnail"],
        global_place="last",
        has_newline=False,
    )


def _page(case: dict[str, Any]) -> Page:
    """The picture that the golden file gives by a formula."""
    y, x = np.mgrid[: case["height"], : case["width"]]
    k = case["k"]
    channels = (3 * x + 5 * y + 7 * k, 7 * x + 2 * y + 31 + 11 * k, x * y // 3 + 13 * k)
    return Page(pixels=np.stack(channels, axis=-1).astype(np.uint8), name="formula")


def _sha256(pixels: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


@pytest.mark.parametrize("case", _cases("dynamic_preprocess.json"), ids=_case_id)
def test_grid_and_tokens_equal_the_reference(case: dict[str, Any]) -> None:
    cfg = _config(case)
    fit = nearest_grid(case["width"], case["height"], cfg)
    assert fit.grid == Grid(*case["grid"])
    assert [fit.canvas_width, fit.canvas_height] == [fit.width, fit.height] == case["resized"]
    assert (fit.left, fit.top) == (0, 0)
    corners = [
        [col * 448, row * 448, col * 448 + 448, row * 448 + 448]
        for row in range(fit.grid.rows)
        for col in range(fit.grid.cols)
    ]
    assert corners == case["boxes"]
    assert cfg.has_whole(fit.grid.tiles) == case["has_thumbnail"]
    assert fit.grid.tiles + case["has_thumbnail"] == case["num_tiles"]
    assert tokens(fit.grid, cfg) == len(plan(fit.grid, cfg)) == case["num_image_tokens"]


@pytest.mark.parametrize("case", _cases("preprocess_pixels.json"), ids=_case_id)
def test_tiles_and_whole_view_equal_the_reference_bit_for_bit(case: dict[str, Any]) -> None:
    page = _page(case)
    assert _sha256(page.pixels) == case["source_sha256"]
    tiles = cut(page, _config(case))
    views = [*tiles.local] + ([] if tiles.whole is None else [tiles.whole])
    assert [_sha256(view) for view in views] == case["tile_u8_sha256"]
    normalised = [_normalised(view) for view in views]
    means = [view.mean(dtype=np.float64) for view in normalised]
    np.testing.assert_allclose(means, case["pixel_mean"], rtol=0, atol=1e-5)
    firsts = [view[0, 0] for view in normalised]
    np.testing.assert_allclose(firsts, case["pixel_first"], rtol=0, atol=1e-6)


def _normalised(pixels: Pixels) -> NDArray[np.float32]:
    return np.asarray((pixels.astype(np.float32) / np.float32(255) - MEAN) / STD)
