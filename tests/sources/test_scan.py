"""Scans are put straight; pages that are straight keep their very pixels."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from tests.sources.making import LEFT_HALF_RED, pdf, saved, scene
from tilewise.records import Pixels
from tilewise.sources.components import pieces
from tilewise.sources.pages import open_source
from tilewise.sources.scan import straighten
from tilewise.synth.pages import make_page


def _print(seed: int = 0, size: tuple[int, int] = (900, 1200)) -> Pixels:
    """A page of text and tables."""
    return make_page(Random(seed), "test", size=size, layouts=("columns", "letter")).sheet.render()


def _turned(pixels: Pixels, clockwise_deg: float) -> Pixels:
    """As a scanner would see the page laid down turned."""
    paper = tuple(int(value) for value in pixels[0, 0])
    image = Image.fromarray(pixels)
    return np.array(
        image.rotate(-clockwise_deg, Image.Resampling.BICUBIC, expand=True, fillcolor=paper)
    )


@pytest.mark.parametrize("angle", [-15.0, -6.3, -0.7, 0.4, 2.2, 11.8])
def test_a_skew_is_undone_within_a_fifth_of_a_degree(angle: float) -> None:
    found = straighten(_turned(_print(), angle))
    assert found.turned_deg == pytest.approx(angle, abs=0.2)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_quarter_turns_are_undone_to_the_pixel(quarters: int) -> None:
    pixels = _print(1)
    found = straighten(np.ascontiguousarray(np.rot90(pixels, -quarters)))
    assert np.array_equal(found.pixels, pixels)
    assert found.turned_deg == {0: 0, 1: 90, 2: 180, 3: -90}[quarters]


def test_a_skew_and_a_quarter_turn_are_undone_together() -> None:
    pixels = _print(2)
    found = straighten(_turned(np.ascontiguousarray(np.rot90(pixels, -1)), 3.0))
    assert found.turned_deg == pytest.approx(93, abs=0.2)
    assert found.pixels.shape[0] > found.pixels.shape[1]
    assert found.pixels.flags.c_contiguous


@pytest.mark.parametrize("seed", range(4))
def test_a_straight_page_keeps_its_very_pixels(seed: int) -> None:
    pixels = make_page(Random(seed), "test", size=(800, 1000)).sheet.render()
    assert straighten(pixels).pixels is pixels


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((300, 400, 3), 255, np.uint8),
        np.zeros((300, 400, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8),
        np.asarray(scene(600, 400)),
        np.full((1, 4000, 3), 90, np.uint8),
    ],
    ids=["white", "black", "noise", "blocks", "line"],
)
def test_a_picture_without_print_stays_as_it_is(pixels: Pixels) -> None:
    assert straighten(pixels).pixels is pixels


def test_a_file_is_straightened_unless_told_not_to() -> None:
    skewed = _turned(_print(), 4.0)
    data = saved(Image.fromarray(skewed), "PNG")
    with open_source(data) as source:
        page = source.page(1)
    assert page.turned_deg == pytest.approx(4, abs=0.2)
    with open_source(data, straighten=False) as source:
        assert np.array_equal(source.page(1).pixels, skewed)
    with open_source(skewed) as source:  # an array is the caller's own
        assert source.page(1).turned_deg == 0
    tiff = saved(Image.fromarray(skewed), "TIFF", save_all=True, append_images=[scene(300, 200)])
    with open_source(tiff) as source:
        assert [round(source.page(n).turned_deg) for n in (1, 2)] == [4, 0]
        assert (source.name, source.count) == ("the input", 2)


def test_a_scanned_pdf_is_straightened_and_a_written_one_is_not() -> None:
    file = BytesIO()
    Image.fromarray(_turned(_print(), -2.0)).save(file, "PDF", resolution=100)
    with open_source(file.getvalue()) as source:
        page = source.page(1, lambda width, height: (1000, 1300))
        assert page.turned_deg == pytest.approx(-2, abs=0.3)
    lines = "".join(
        f"0.97 0.24 -0.24 0.97 40 {20 + 10 * n} Tm (Written slantwise on purpose) Tj "
        for n in range(8)
    )
    with open_source(pdf(f"BT /F 8 Tf {lines} ET", LEFT_HALF_RED)) as source:
        assert [source.page(n).turned_deg for n in (1, 2)] == [0, 0]


def test_pieces_are_found_whole_with_their_boxes() -> None:
    rows = [
        "#..#....",
        "#..#..##",
        "####...#",
        ".....#..",
        "#...#...",
    ]
    ink = np.array([[sign == "#" for sign in row] for row in rows])
    found = {tuple(int(edge) for edge in box) for box in pieces(ink)}
    assert found == {(0, 0, 4, 3), (6, 1, 8, 3), (4, 3, 6, 5), (0, 4, 1, 5)}
    assert len(pieces(np.zeros((3, 3), bool))) == 0


@pytest.mark.slow
def test_a_tiff_of_20000_px_sides_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.tif"
    Image.new("1", (20000, 20000), 1).save(path, compression="group4")
    code = (
        "import resource, sys; from tilewise.sources.pages import open_source\n"
        "with open_source(sys.argv[1]) as s: assert s.page(1).pixels.shape == (20000, 20000, 3)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    argv = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 2 << 30  # 1.2 GB of pixels, 0.4 GB while they are decoded
