"""Synthetic pages: made from a seed, in every layout, with each character where its ink is."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tilewise.synth.degrade import Damage, damage_glyphs, damage_pixels, pick_damage
from tilewise.synth.fonts import FAMILIES, UNSEEN, Face, faces, pick_face
from tilewise.synth.pages import LAYOUTS, Made, make_page
from tilewise.synth.sheet import END, SAME_WORD, SPACE, Glyphs, Sheet

NO_DAMAGE = Damage(scale=1.0, turn=0.0, blur=0.0, noise=0.0, jpeg=0, is_inverted=False, seed=1)


def page(seed: int, layout: str, **how: object) -> Made:
    return make_page(Random(seed), layouts=(layout,), **how)  # type: ignore[arg-type]


def equal(a: Glyphs, b: Glyphs) -> bool:
    names = ("code", "x", "y", "height", "width", "link", "brk")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_seed_gives_the_same_page_again_and_another_seed_another(layout: str) -> None:
    once, again, other = (page(seed, layout) for seed in (3, 3, 4))
    assert equal(once.sheet.glyphs(), again.sheet.glyphs())
    assert np.array_equal(once.sheet.render(), again.sheet.render())
    assert once.facts == again.facts
    assert not equal(once.sheet.glyphs(), other.sheet.glyphs())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_page_drawn_larger_shows_the_same_in_finer_type(layout: str) -> None:
    sheet = page(5, layout, size=(360, 280)).sheet
    once, twice = sheet.render(), sheet.render(2)
    assert twice.shape == (560, 720, 3)
    shrunk = twice.reshape(280, 2, 360, 2, 3).mean((1, 3))
    assert np.abs(shrunk - once).mean() < 0.5 * np.abs(once.mean((0, 1)) - once).mean() + 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_makes_pages_of_many_seeds(layout: str) -> None:
    for seed in range(30):
        made = page(seed, layout)
        glyphs, facts = made.sheet.glyphs(), made.facts
        n = len(glyphs)
        assert made.layout == layout
        assert n > 0
        assert (glyphs.height >= 8).all()
        assert (glyphs.width > 0).all()
        assert glyphs.link[-1] == END
        assert not (glyphs.brk[glyphs.link != END] != 0).any()
        inside = (glyphs.x > 0) & (glyphs.x < made.sheet.width)
        inside &= (glyphs.y > 0) & (glyphs.y < made.sheet.height)
        assert inside.mean() > 0.97
        spans = [(p.value.start, p.value.stop) for p in facts.pairs] + facts.prose + facts.lines
        spans += [(c.start, c.stop) for t in facts.tables for row in t.cells for c in row]
        assert all(0 <= start <= stop <= n for start, stop in spans)


@pytest.mark.parametrize("size", [(200, 160), (336, 336), (1500, 200), (250, 1200)])
def test_a_page_of_a_given_size(size: tuple[int, int]) -> None:
    for seed in range(6):
        made = make_page(Random(seed), size=size)
        assert made.sheet.render().shape == (size[1], size[0], 3)
        assert len(made.sheet) > 0


def test_pages_stay_within_their_tiles() -> None:
    for seed in range(60):
        made = make_page(Random(seed), max_tiles=4)
        assert made.sheet.width * made.sheet.height <= 4.1 * 336**2


def test_links_and_breaks_give_the_text() -> None:
    sheet = Sheet(400, 200)
    first = sheet.text(10, 30, " A  wide gap ", None, 16, (0, 0, 0))
    sheet.break_after(first, "cell")
    sheet.break_after(sheet.text(200, 30, "cell", None, 16, (0, 0, 0)), "line")
    empty = sheet.text(10, 50, "  ", None, 16, (0, 0, 0))
    sheet.break_after(empty, "block")
    sheet.text(10, 60, "next", None, 16, (0, 0, 0))
    glyphs = sheet.glyphs()
    assert glyphs.text() == "A wide gap cell\nnext"
    assert empty.start == empty.stop
    assert glyphs.link.tolist()[:8] == [SPACE, *[SAME_WORD] * 3, SPACE, *[SAME_WORD] * 2, END]


def contrast(pixels: NDArray[np.uint8], glyphs: Glyphs) -> NDArray[np.float64]:
    """Darkest to lightest in the box of every glyph; NaN for those off the picture."""
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float64)
    out = np.full(len(glyphs), np.nan)
    for i in range(len(glyphs)):
        half = 0.5 * glyphs.width[i] + 0.5
        rows = slice(
            *_clip(glyphs.y[i] - 0.55 * glyphs.height[i], glyphs.y[i] + 0.55 * glyphs.height[i])
        )
        cols = slice(*_clip(glyphs.x[i] - half, glyphs.x[i] + half))
        box = grey[rows, cols]
        if box.size and 0 <= glyphs.x[i] < grey.shape[1] and 0 <= glyphs.y[i] < grey.shape[0]:
            out[i] = box.max() - box.min()
    return out


def _clip(low: float, high: float) -> tuple[int, int]:
    return max(0, math.floor(low)), max(0, math.ceil(high))


def share_on_ink(pixels: NDArray[np.uint8], glyphs: Glyphs) -> float:
    found = contrast(pixels, glyphs)
    return float(np.mean(found[~np.isnan(found)] > 40))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_glyphs_lie_on_ink(layout: str) -> None:
    for seed in range(3):
        made = page(seed, layout, max_tiles=4)
        assert share_on_ink(made.sheet.render(), made.sheet.glyphs()) > 0.98


def plain_page(size: int = 20) -> Sheet:
    """Black words far apart on white: between them there is no ink."""
    sheet = Sheet(700, 500)
    for row in range(6):
        for col in range(3):
            sheet.text(40 + 220 * col, 60 + 70 * row, "Wharf mud", None, size, (0, 0, 0))
    return sheet


def test_glyphs_that_are_moved_away_lie_on_none() -> None:
    sheet = plain_page()
    assert share_on_ink(sheet.render(), sheet.glyphs()) == 1
    assert share_on_ink(sheet.render(), sheet.glyphs().moved(1.0, 0, 30)) == 0


@pytest.mark.parametrize(
    "how",
    [
        replace(NO_DAMAGE, turn=math.radians(5)),
        replace(NO_DAMAGE, turn=math.radians(-3)),
        replace(NO_DAMAGE, scale=0.6),
        replace(NO_DAMAGE, scale=1.15, seed=2),
        replace(NO_DAMAGE, scale=0.8, turn=0.03, blur=0.6, noise=8.0, jpeg=50),
        replace(NO_DAMAGE, is_inverted=True),
    ],
    ids=["turn", "turn back", "shrink", "grow", "all", "invert"],
)
def test_damage_moves_glyphs_with_the_picture(how: Damage) -> None:
    sheet = plain_page()
    pixels = damage_pixels(sheet.render(), how)
    glyphs = damage_glyphs(sheet.glyphs(), sheet.width, sheet.height, how)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (round(500 * how.scale), round(700 * how.scale), 3)
    assert share_on_ink(pixels, glyphs) == 1
    if how.noise == 0:  # where nothing stands there is no ink, so places are not just near
        assert share_on_ink(pixels, glyphs.moved(1.0, 0, 32 * how.scale)) < 0.05


def test_damage_is_the_same_from_the_same_seed() -> None:
    pixels = plain_page().render()
    how = replace(NO_DAMAGE, noise=9.0, seed=5)
    assert np.array_equal(damage_pixels(pixels, how), damage_pixels(pixels, how))
    assert not np.array_equal(damage_pixels(pixels, how), pixels)
    assert damage_pixels(pixels[..., 0], how).shape == (500, 700)


def test_picked_damage_leaves_text_legible() -> None:
    for seed in range(300):
        text_px = 10 + seed % 40
        how = pick_damage(Random(seed), text_px)
        assert how == pick_damage(Random(seed), text_px)
        assert text_px * how.scale >= 10
        assert abs(how.turn) < 0.04


def test_no_family_is_both_trained_and_unseen() -> None:
    assert not set(FAMILIES) & set(UNSEEN)
    for face in faces("train"):
        assert face.family in FAMILIES
    for face in faces("test"):
        assert face.family in UNSEEN
    assert not {face.path for face in faces("train")} & {face.path for face in faces("test")}


def faces_of(made: Made) -> set[Face | None]:
    return {args[3] for name, args in made.sheet._ops if name == "text"}  # type: ignore[misc]


def test_pages_are_set_in_the_faces_of_their_split() -> None:
    for seed in range(40):
        for face in faces_of(make_page(Random(seed), max_tiles=2)):
            assert face is None or face.family in FAMILIES


def test_pages_in_the_unseen_font_are_set_in_it_alone() -> None:
    if not faces("test"):
        pytest.skip("the unseen font, Noto Serif, is not installed; make system installs it")
    for seed in range(20):
        for face in faces_of(make_page(Random(seed), "test", max_tiles=2, unseen_font=True)):
            assert face is not None
            assert face.family in UNSEEN


def test_without_fonts_a_page_is_set_in_the_built_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilewise.synth.fonts.ROOTS", ())
    faces.cache_clear()
    try:
        assert pick_face(Random(0)) is None
        for unseen in (False, True):
            made = make_page(Random(1), max_tiles=2, unseen_font=unseen)
            assert faces_of(made) == {None}
            assert share_on_ink(made.sheet.render(), made.sheet.glyphs()) > 0.98
    finally:
        faces.cache_clear()
