"""Pictures show what the tiles hold, at any page size and with any text."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tilewise.records import Box, Evidence, Page
from tilewise.tiling import draw
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.draw import ACCENT, LONG_SIDE, MARKS, draw_evidence, draw_tiles, read_at
from tilewise.tiling.layout import plan
from tilewise.tiling.partition import cut

GREY = 128
SIZES = [(336, 336), (3840, 2160), (816, 5133), (1, 4000), (4000, 1), (20, 10), (1680, 1000)]


def _page(width: int, height: int) -> Page:
    pixels = np.full((height, width, 3), GREY, np.uint8)
    return Page(pixels=pixels, name="Übersicht 2024 €.pdf", number=2, total=3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("has_global", [True, False])
def test_tiles_are_drawn_within_the_limit(size: tuple[int, int], has_global: bool) -> None:
    cfg = TilingConfig(max_tiles=25, has_global=has_global)
    page = _page(*size)
    tiles = cut(page, cfg)
    before = tiles.canvas.copy()
    image = draw_tiles(page, tiles, plan(tiles.fit.grid, cfg), [("Memory", "1.2 GB " * 20)])
    assert image.mode == "RGB"
    assert 400 < max(image.size) <= LONG_SIDE
    np.testing.assert_array_equal(tiles.canvas, before)


def test_every_inner_tile_border_is_a_line_and_padding_is_hatched() -> None:
    cfg = TilingConfig(max_tiles=6)
    page = _page(1200, 700)
    tiles = cut(page, cfg)
    image = np.asarray(draw_tiles(page, tiles, plan(tiles.fit.grid, cfg))).astype(int)
    assert tiles.fit.grid == (3, 2)
    on_line = (image == ACCENT).all(axis=2)
    drawn = 1008  # neither enlarged nor shrunk
    drawn = 1008  # neither enlarged nor shrunk
    top = int(np.flatnonzero(on_line.sum(axis=1) > 900)[0])
    left = int(np.flatnonzero(on_line[top])[0])
    for col in (1, 2):
        assert on_line[top + 60 : top + 300, left + 336 * col].all()
    assert on_line[top + 336, left + 80 : left + 330].all()
    padding = image[top + 4 : top + 30, left + 200 : left + 320]
    page_part = image[top + 120 : top + 300, left + 100 : left + 320]
    assert len(np.unique(padding.reshape(-1, 3), axis=0)) >= 2
    assert (page_part == GREY).all()
    assert on_line[top : top + 600, left + drawn - 1].all()


@pytest.mark.parametrize("size", SIZES)
def test_evidence_is_drawn_on_any_page(size: tuple[int, int]) -> None:
    width, height = size
    boxes = [
        Box(0, 0, width, height),
        Box(width - 1, height - 1, width, height),
        Box(width / 2, 0, width / 2, 0),
    ]
    found = [
        Evidence(page=1, box=box, text="Größe 1.204,50 €\n" * n) for n, box in enumerate(boxes)
    ]
    image = draw_evidence(_page(width, height), found)
    assert image.mode == "RGB"
    assert max(image.size) <= LONG_SIDE
    assert (np.asarray(image) == MARKS[0]).all(axis=2).any()


def test_marked_text_keeps_its_colour_while_the_page_fades() -> None:
    item = Evidence(page=1, box=Box(400, 400, 600, 440), text="12")
    image = draw_evidence(_page(1000, 1000), [item])
    assert image.getpixel((500, 420)) == (GREY, GREY, GREY)
    assert image.getpixel((100, 900)) != (GREY, GREY, GREY)


def test_a_name_that_the_font_lacks_leaves_its_number() -> None:
    def drawn(*names: str) -> bytes:
        boxes = [Box(100, 100 * n, 300, 100 * n + 50) for n, _ in enumerate(names, 1)]
        marks = [Evidence(page=1, box=b, text=t) for b, t in zip(boxes, names, strict=True)]
        return draw_evidence(_page(1000, 1000), marks).tobytes()

    assert drawn("合计", "the 合") == drawn("", "the ?")
    assert drawn("合计") == drawn("合计 (总计)") == drawn("1") != drawn("?")


def test_a_page_without_evidence_is_drawn_as_it_is() -> None:
    page = _page(1000, 1000)
    np.testing.assert_array_equal(np.asarray(draw_evidence(page, [])), page.pixels)


@pytest.mark.parametrize("size", [(448, 448), (800, 1300), (1, 30_000)])
def test_a_whole_page_that_is_read_last_is_drawn_as_the_reader_gets_it(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = TilingConfig(
        tile=448,
        max_tiles=12,
        rule="nearest",
        global_place="last",
        has_newline=False,
        has_ends=True,
    )
    page = _page(*size)
    tiles = cut(page, cfg)
    made = plan(tiles.fit.grid, cfg)
    shown: list[object] = []

    def sidebar(view: object, note: str, lines: object, *, is_wide: bool) -> Image.Image:
        shown.extend([view, note, lines])
        return Image.new("RGB", (10, 10))

    monkeypatch.setattr(draw, "_sidebar", sidebar)
    assert max(draw_tiles(page, tiles, made).size) <= LONG_SIDE
    view, note, lines = shown
    assert view is tiles.whole
    views = tiles.fit.grid.tiles + made.has_global
    word = "view" if views == 1 else "views"
    assert isinstance(lines, list)
    assert lines[-1] == ("", f"{views} {word} x 256, 2 at the ends")
    if tiles.whole is not None:
        assert str(note).endswith("read last")


def test_what_a_page_is_read_at_says_when_it_is_stretched() -> None:
    nearest = TilingConfig(tile=448, rule="nearest", has_newline=False)
    said = [
        read_at(page, cut(page, cfg).fit)
        for page, cfg in (
            (_page(448, 448), nearest),
            (_page(1000, 1000), nearest),
            (_page(1000, 700), nearest),
            (_page(701, 301), TilingConfig()),
        )
    ]
    assert said[0] == "its own pixels"
    assert "stretched" not in said[1]
    assert said[2].endswith("px, stretched")
    assert said[3] == "2016 x 865 px"
