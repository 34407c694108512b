"""Measures of print, against what pages were made with."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from benchmarks.superres_parts.prints import ROOT, Wear, make_print
from tests.goldens import golden_root
from tilewise.records import Pixels
from tilewise.superres.measure import PageMeasure, measure
from tilewise.synth.degrade import Damage, damage_pixels
from tilewise.synth.pages import make_page

TEXT = golden_root() / "sdan" / "text"
TOLD = [
    told
    for told in (json.loads((TEXT / "truth.json").read_text()) if TEXT.is_dir() else [])
    if (TEXT / told["file"]).is_file()
]
needs_fonts = pytest.mark.skipif(not ROOT.is_dir(), reason="the Liberation fonts are not there")


def _opened(path: Path) -> Pixels:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.golden
@pytest.mark.parametrize("told", TOLD, ids=lambda told: told["file"])
def test_height_blur_noise_and_jpeg_are_those_of_the_goldens(told: dict[str, float]) -> None:
    found = measure(_opened(TEXT / str(told["file"])))
    assert found.x_height == pytest.approx(told["x_height_px"], rel=0.18)
    assert found.blur is not None
    # Type that was made small is never sharper than half a pixel.
    assert found.blur == pytest.approx(max(told["blur_sigma_px"], 0.5), abs=0.25)
    if told["jpeg_q"]:
        assert found.jpeg == told["jpeg_q"]
    else:
        assert found.jpeg is None
        assert found.noise == pytest.approx(told["noise_sd"], rel=0.15)


@needs_fonts
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("height", [5, 8, 14, 24])
def test_height_and_blur_hold_from_small_to_large_type(height: int, share: float) -> None:
    for seed in range(2):
        found = measure(make_print(Wear(x_height=height, blur=share * height), seed).pixels)
        assert found.x_height == pytest.approx(height, rel=0.15 + 0.6 * share)
        assert found.x_height is not None
        assert found.blur is not None
        assert found.blur / found.x_height == pytest.approx(share, abs=0.07)


@needs_fonts
@pytest.mark.parametrize("made", ["dark", "crop", "photo beside", "rules"])
def test_what_surrounds_print_does_not_change_its_height(made: str) -> None:
    page = make_print(Wear(x_height=8, noise=1), 5).pixels
    changes: dict[str, Pixels] = {
        "dark": 255 - page,
        "crop": page[40:160, 30:300],
        "photo beside": np.concatenate([page, _noise_field(page.shape)], 1),
        "rules": _ruled(page),
    }
    assert measure(changes[made]).x_height == pytest.approx(measure(page).x_height, rel=0.08)


@needs_fonts
def test_dotted_leaders_are_no_print() -> None:
    font = ImageFont.truetype(str(ROOT / "LiberationSans-Regular.ttf"), 24)
    for size in (24, 28):
        dots = font.font_variant(size=size)
        sheet = Image.new("L", (900, 600), 255)
        pen = ImageDraw.Draw(sheet)
        for row in range(9):
            pen.text((20, 40 + row * 55), f"Chapter {row}", 0, font)
            pen.text((150, 40 + row * 55), "." * 80, 0, dots)
            pen.text((820, 40 + row * 55), f"{row * 7}", 0, font)
        found = measure(np.asarray(sheet.convert("RGB")))
        assert found.x_height == pytest.approx(12.5, abs=1)


@needs_fonts
def test_small_print_below_a_half_tone_is_found() -> None:
    page = make_print(Wear(x_height=6, noise=0), 5).pixels
    down, across = np.mgrid[:600, : page.shape[1]]
    dots = np.cos(down * np.pi / 3) + np.cos(across * np.pi / 3) > 0.5
    tone = np.repeat(np.where(dots, 20, 245).astype(np.uint8)[..., None], 3, 2)
    alone, below = measure(page), measure(np.concatenate([tone, page]))
    assert not measure(tone).has_text
    assert below.x_height == pytest.approx(alone.x_height, rel=0.1)


def _noise_field(shape: tuple[int, ...]) -> Pixels:
    """Spots of all sizes, as of leaves."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (shape[0] // 6, shape[1] // 6, 3), np.uint8)
    picture = Image.fromarray(small).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _ruled(page: Pixels) -> Pixels:
    out = page.copy()
    out[::60, 5:-5] = 30
    out[5:-5, ::110] = 30
    return out


def test_pages_without_print_say_so() -> None:
    for pixels in (
        np.full((300, 400, 3), 255, np.uint8),
        np.full((1, 1, 3), 9, np.uint8),
        _noise_field((300, 400)),
        np.zeros((3, 900, 3), np.uint8),
    ):
        found = measure(pixels)
        assert not found.has_text
        assert found == PageMeasure(
            x_height=None, lines=0, edge=None, blur=None, noise=found.noise, jpeg=found.jpeg
        )


@needs_fonts
def test_pages_of_tables_charts_and_columns_are_measured_at_their_type() -> None:
    shares = []
    for seed in range(8):
        made = make_page(Random(seed), "test", size=(900, 900))
        how = Damage(scale=1.0, turn=0.0, blur=0.0, noise=2.0, jpeg=0, is_inverted=False, seed=seed)
        found = measure(damage_pixels(made.sheet.render(), how))
        assert found.x_height is not None
        em = float(np.median(made.sheet.glyphs().height))
        shares.append(found.x_height / em)
    # The height of small letters is 0.45 to 0.55 of type; titles and mixed sizes stray from it.
    assert 0.44 < float(np.median(shares)) < 0.6
    assert sum(0.4 < share < 0.66 for share in shares) >= 7


@needs_fonts
def test_a_large_page_is_measured_in_parts() -> None:
    page = make_print(Wear(x_height=7, noise=1), 3).pixels
    sheet = np.full((2600, 2000, 3), 245, np.uint8)
    sheet[1500 : 1500 + len(page), 700 : 700 + page.shape[1]] = page
    assert measure(sheet).x_height == pytest.approx(7, rel=0.15)
