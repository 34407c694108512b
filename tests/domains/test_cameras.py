"""Six cameras on one canvas: coordinates go there and come back, and names are drawn."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.goldens import GoldenFile
from tilewise.domains.cameras import (
    CELLS,
    canvas_box,
    tags_to_cameras,
    tags_to_canvas,
    to_camera,
    to_canvas,
)
from tilewise.domains.stitching import MAGENTA, marked, stitch
from tilewise.errors import DataError
from tilewise.records import Box
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.grid import fit_page


@pytest.mark.golden
def test_tags_of_answers_are_rewritten_as_the_reference_does(golden: GoldenFile) -> None:
    path = golden("internvl", "domain_eval.json")
    cases = json.loads(path.read_text())["drivelm_postprocess"]
    assert cases
    assert [tags_to_cameras(c["pred"]) for c in cases] == [c["result"] for c in cases]


@given(
    camera=st.sampled_from(sorted(CELLS)),
    x=st.floats(0, 1600),
    y=st.floats(0, 900),
)
def test_a_point_of_a_camera_comes_back(camera: str, x: float, y: float) -> None:
    back = to_camera(camera, *to_canvas(camera, x, y))
    assert back == pytest.approx((x, y), abs=0.051)


@given(x=st.floats(0, 1600), y=st.floats(0, 900))
def test_a_tag_comes_back_within_a_rounded_unit(x: float, y: float) -> None:
    text = tags_to_canvas(f"see <c1,CAM_BACK,{x:.1f},{y:.1f}>")
    back = re.findall(r"-?\d+(?:\.\d+)?", tags_to_cameras(text).partition("CAM_BACK,")[2])
    assert [float(number) for number in back] == pytest.approx([x, y], abs=2.5)


def test_tags_and_boxes_lie_on_the_canvas() -> None:
    assert tags_to_canvas("Is <c3,CAM_FRONT,800.0,450.0> on?") == "Is <c3,CAM_FRONT,[500,250]> on?"
    assert tags_to_canvas("<c1,CAM_SIDE,1.0,2.0>") == "<c1,CAM_SIDE,1.0,2.0>"
    box = canvas_box("CAM_BACK_RIGHT", Box(0, 0, 1600, 900))
    assert box == "<box>[[667, 500, 1000, 1000]]</box>"


@pytest.mark.parametrize(
    "tag", ["<c1,CAM_FRONT,[.5, 3]>", "<c1, CAM_FRONT,[5,5]>", "<c1,CAM_FRONT,[5]>"]
)
def test_what_is_no_tag_stays(tag: str) -> None:
    assert tags_to_cameras(f" {tag} ") == tag


def test_each_camera_fills_its_two_tiles_and_says_its_name() -> None:
    images = {
        camera: Image.new("RGB", (160, 90), (10, 30 * number, 0))
        for number, camera in enumerate(CELLS)
    }
    canvas = stitch(images)
    assert canvas.size == (2688, 896)
    pixels = np.asarray(canvas)
    for camera, (col, row) in CELLS.items():
        cell = pixels[row * 448 : (row + 1) * 448, col * 896 : (col + 1) * 896]
        assert tuple(cell[-1, -1]) == images[camera].getpixel((0, 0))
        drawn = (cell == MAGENTA).all(-1)
        rows, cols = np.nonzero(drawn)
        assert drawn.sum() > 500
        assert rows.max() < 70
        assert cols.min() < 20
    cfg = TilingConfig(tile=448, max_tiles=12, rule="nearest", has_global=True)
    assert fit_page(*canvas.size, cfg).grid == (6, 2)


def test_a_missing_camera_is_named() -> None:
    with pytest.raises(DataError, match="no image of CAM_BACK_RIGHT"):
        stitch({camera: Image.new("RGB", (16, 9)) for camera in list(CELLS)[:-1]})


def test_a_region_is_drawn_on_a_copy() -> None:
    image = Image.new("RGB", (40, 30))
    drawn = np.asarray(marked(image, [Box(5, 5, 20, 20)]))
    assert tuple(drawn[5, 10]) == (255, 0, 0)
    assert not drawn[12, 12].any()
    assert not np.asarray(image).any()
