"""The rules, one by one, and what becomes of pages by them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.superres_parts.prints import ROOT, Wear, make_print
from tilewise.errors import ConfigError
from tilewise.records import Page, Pixels
from tilewise.superres import prepare
from tilewise.superres.deblur import deblurred
from tilewise.superres.measure import PageMeasure
from tilewise.superres.policy import PolicyConfig, checked, decide
from tilewise.superres.prepare import as_json, likeness, prepared, said

SHARP = PageMeasure(x_height=5.0, lines=9, edge=1.3, blur=0.4, noise=2.0, jpeg=None)
needs_fonts = pytest.mark.skipif(not ROOT.is_dir(), reason="the Liberation fonts are not there")


def _whole(_: float) -> float:
    """A reader that sees every page at its own pixels."""
    return 1.0


def _up_to(most: float) -> Any:
    """A reader whose budget is full when a page is so many times as large."""
    return lambda factor: min(1.0, most / factor)


def test_small_sharp_print_is_enlarged_by_the_first_factor_that_suffices() -> None:
    for height, factor in ((5.0, 2.0), (3.0, 3.0), (2.2, 4.0), (1.5, 4.0)):
        choice = decide(replace(SHARP, x_height=height, blur=0.1), _whole)
        assert (choice.method, choice.factor) == ("enlarge", factor)


def test_print_that_is_large_enough_or_missing_is_left_alone() -> None:
    large = decide(replace(SHARP, x_height=7.0), _whole)
    assert large.method == "none"
    assert "7.0 px high" in large.reason
    none = replace(SHARP, x_height=None, blur=None)
    assert decide(none, _whole).reason == "no print was found"


def test_blurred_print_is_never_enlarged() -> None:
    blurred = replace(SHARP, blur=1.0)
    assert decide(blurred, _whole).method == "deblur"
    assert decide(replace(blurred, noise=30.0), _whole).method == "none"
    assert decide(replace(blurred, blur=3.0), _whole).method == "none"


def test_the_factor_is_less_where_the_tile_budget_ends() -> None:
    choice = decide(SHARP, _up_to(1.5))
    assert choice.factor == 1.5
    assert "x2 does not fit the tile budget" in choice.reason
    full = decide(SHARP, _up_to(1.4))
    assert full.method == "none"
    assert "--max-tiles" in full.reason


def test_a_page_that_the_budget_already_makes_small_is_left_with_advice() -> None:
    choice = decide(replace(SHARP, x_height=9.0), lambda factor: 0.5 / factor)
    assert choice.method == "none"
    assert "4.5 px" in choice.reason
    assert "ask about fewer pages" in choice.reason


def test_a_reader_that_enlarges_by_itself_gets_the_page_as_it_is() -> None:
    choice = decide(SHARP, lambda factor: 1.1 / factor)  # always the same tiles
    assert choice.method == "none"
    assert "cannot grow" in choice.reason


@pytest.mark.parametrize("upscale", [0, -1, 1e9, float("nan"), "big", True, None])
def test_a_setting_that_cannot_hold_is_one_sentence(upscale: Any) -> None:
    with pytest.raises(ConfigError, match="off, auto, or a factor"):
        checked(upscale)


def test_an_enlarged_page_beyond_all_bounds_is_refused() -> None:
    page = Page(pixels=np.broadcast_to(np.uint8(255), (9000, 9000, 3)), name="big.png")
    with pytest.raises(ConfigError, match=r"big\.png, page 1: enlarged by 8"):
        prepared(page, 8.0, lambda width, height: width)


def test_off_and_frames_change_nothing() -> None:
    page = Page(pixels=np.zeros((4, 4, 3), np.uint8), name="a")
    assert prepared(page, "off", lambda w, h: w).page is page
    frame = replace(page, is_frame=True)
    assert prepared(frame, 2.0, lambda w, h: w).page is frame


@needs_fonts
def test_auto_enlarges_sharpens_or_leaves_real_pixels() -> None:
    def auto(wear: Wear) -> prepare.Prepared:
        page = Page(pixels=make_print(wear, 2).pixels, name="page")
        return prepared(page, "auto", lambda width, height: width)

    small = auto(Wear(x_height=5))
    assert small.decision.method == "ours"
    assert small.decision.factor == 2
    assert said(small.decision).startswith("enlarged x2 by ours: print is sharp")
    blurred = auto(Wear(x_height=9, blur=2.0))
    assert blurred.decision.method == "deblur"
    assert as_json(blurred.decision)["blur"] == pytest.approx(2.0, abs=0.3)
    fine = auto(Wear(x_height=12))
    assert not fine.decision.is_changed


@needs_fonts
def test_a_network_that_invents_is_refused_by_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    honest = prepare._made

    def invents(page: Page, factor: float, name: str) -> Page:
        made.append(name)
        other = honest(page, factor, "bicubic")
        return other if name == "bicubic" else replace(other, pixels=np.roll(other.pixels, 5, 0))

    monkeypatch.setattr(prepare, "_best", lambda factor: "ours")
    monkeypatch.setattr(prepare, "_made", invents)
    page = Page(pixels=make_print(Wear(x_height=5), 2).pixels, name="page")
    found = prepared(page, "auto", lambda width, height: width)
    assert made == ["ours", "bicubic"]
    assert found.decision.method == "bicubic"
    assert "ours was not true to the page" in found.decision.reason


@needs_fonts
def test_a_network_stays_where_interpolation_is_less_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thin strokes of 4 px: no way of enlarging gives 35 dB, and interpolation 4 dB less."""
    page = Page(pixels=make_print(Wear(x_height=4), 1000).pixels, name="page")
    found = prepared(page, "auto", lambda width, height: width)
    assert found.decision.method == "ours"
    blur = found.decision.blur or 0.0
    other = prepare._made(page, 2.0, "bicubic")
    match = likeness(page.pixels, found.page.pixels, blur)
    assert likeness(page.pixels, other.pixels, blur) + 2 < match < PolicyConfig().faithful_db


@needs_fonts
def test_noisy_paper_is_interpolated() -> None:
    """A network makes black specks of noise, which a reader takes for dots."""
    page = Page(pixels=make_print(Wear(x_height=6, noise=5), 3).pixels, name="page")
    found = prepared(page, "auto", lambda width, height: width)
    assert found.decision.method == "bicubic"
    assert found.decision.factor == 2
    assert "too noisy for a network" in found.decision.reason


@needs_fonts
def test_sharpening_undoes_a_known_blur_and_keeps_even_areas() -> None:
    sharp = make_print(Wear(x_height=10, noise=0), 4).pixels
    blurred = make_print(Wear(x_height=10, blur=1.8, noise=0), 4).pixels
    made = deblurred(blurred, 1.8, 0.003)
    assert _off(made, sharp) < 0.8 * _off(blurred, sharp)
    assert likeness(blurred, made, 1.8) > 35
    even = np.full((40, 30, 3), 77, np.uint8)
    assert np.array_equal(deblurred(even, 2.0, 0.01), even)


def test_sharpening_by_tiles_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (90, 130, 3), np.uint8)
    whole = deblurred(pixels, 1.2, 0.02)
    monkeypatch.setattr("tilewise.superres.deblur.TILE", 40)
    apart = np.abs(deblurred(pixels, 1.2, 0.02).astype(int) - whole)
    assert apart.max() <= 1


def test_thresholds_are_checked() -> None:
    with pytest.raises(ConfigError, match="factors are"):
        PolicyConfig(factors=(1.0,))


def _off(a: Pixels, b: Pixels) -> float:
    return float(np.abs(a.astype(float) - b).mean())
