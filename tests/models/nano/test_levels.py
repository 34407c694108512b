"""A page looked at in several scales gives every character once, from the scale that suits it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.nano.making import sheet_of
from tests.models.nano.test_detect import dense, targets_of
from tilewise.models.nano.alphabet import PAGE_CHARS
from tilewise.models.nano.detect import Detections, Level, candidates, detect, slot_map
from tilewise.synth.sheet import Glyphs

Run = tuple[float, float, str]


def level(glyphs: Glyphs, scale: float, covers: np.ndarray | None = None) -> Level:
    """What a perfect encoder says of a canvas of 672 × 336 px at ``scale``."""
    moved = glyphs.moved(scale, 0.0, 0.0)
    targets = targets_of(moved, round(672 * scale), round(336 * scale))
    return Level(slot_map(dense(targets))[0], scale, round(336 * max(scale, 1.0)), covers)


def glyphs_of(*runs: Run, size: int) -> Glyphs:
    return sheet_of(*runs, size=size).glyphs()


def text_of(found: Detections) -> str:
    order = np.lexsort((found.x, np.round(found.y / 30)))
    return "".join(PAGE_CHARS[c - 1] for c in found.cls[order])


NOTHING = glyphs_of(size=16)


@pytest.mark.parametrize(("size", "scale"), [(32, 0.75), (50, 0.5), (100, 0.25)])
def test_large_type_comes_from_a_page_made_smaller(size: int, scale: float) -> None:
    large = glyphs_of((20, 150, "Depth"), size=size)
    strokes = glyphs_of((24, 140, "1l"), size=min(20, size // 2))
    fine = level(strokes, 1.0)
    fine.slots.prob[:] *= 0.65
    levels = [fine, *([level(NOTHING, 0.5)] if scale < 0.5 else [])]
    found = detect([*levels, level(large, scale)])
    assert text_of(found) == "Depth"
    assert np.allclose(np.sort(found.x), np.sort(large.x), atol=0.1)
    assert np.allclose(found.height, size, rtol=0.01)


def test_small_type_is_not_believed_of_a_page_made_smaller() -> None:
    small = glyphs_of((20, 40, "a note of eight"), size=18)
    found = detect([level(small, 1.0), level(NOTHING, 0.5), level(NOTHING, 0.25)])
    wrong = detect([level(NOTHING, 1.0), level(small, 0.5)])
    assert text_of(found) == "anoteofeight"
    assert len(wrong) == 0


def test_what_looks_like_a_large_character_but_is_made_of_small_ones_is_dropped() -> None:
    lines = [(20.0, 30.0 + 16 * i, "every line of small type") for i in range(6)]
    small = glyphs_of(*lines, size=14)
    texture = glyphs_of((40, 110, "S"), size=80)
    found = detect([level(small, 1.0), level(NOTHING, 0.5), level(texture, 0.25)])
    assert len(found) == len(small)
    assert float(found.height.max()) < 15


@pytest.mark.parametrize(("sure", "found"), [(0.9, "198"), (1.0, "S")])
def test_a_bar_with_a_number_on_it_is_no_large_letter_unless_that_is_surer(
    sure: float, found: str
) -> None:
    number, bar = glyphs_of((50, 110, "198"), size=18), glyphs_of((20, 160, "S"), size=150)
    seen = level(bar, 0.25)
    seen.slots.prob[:] *= sure
    number_seen = level(number, 1.0)
    number_seen.slots.prob[:] *= 0.95
    assert text_of(detect([number_seen, level(NOTHING, 0.5), seen])) == found


@pytest.mark.parametrize("scale", [4 / 3, 0.5])
def test_a_character_that_two_scales_show_is_found_once(scale: float) -> None:
    size = 39 if scale < 1 else 15
    both = glyphs_of((20, 60, "Keeper 7"), size=size)
    covers = np.array([[True, True]]) if scale > 1 else None
    levels = sorted((level(both, 1.0), level(both, scale, covers)), key=lambda at: -at.scale)
    found = detect(levels)
    assert text_of(found) == "Keeper7"
    assert np.allclose(np.sort(found.x), np.sort(both.x), atol=0.1)


def test_small_type_comes_from_enlarged_tiles_and_elsewhere_from_the_canvas() -> None:
    left, right = glyphs_of((20, 60, "left"), size=12), glyphs_of((400, 60, "right"), size=12)
    covers = np.array([[True, False]])
    found = detect([level(left, 4 / 3, covers), level(right, 1.0)])
    assert text_of(found) == "leftright"
    # The canvas is not believed about small type where tiles were enlarged.
    assert text_of(detect([level(NOTHING, 4 / 3, covers), level(left, 1.0)])) == ""


def test_the_frame_is_told_in_the_scale_that_found_the_character() -> None:
    small = glyphs_of((300, 60, "mmmmm"), size=12)
    found = candidates([level(small, 4 / 3, np.array([[True, True]])), level(NOTHING, 1.0)])
    to_right = (336 - found.chars.x) / 12
    before = (to_right > 0.1) & (to_right < 1.9)
    assert before.any()
    assert np.allclose(found.frame[before, 1], to_right[before], atol=0.01)
    assert found.frame.shape == (len(found.chars), 4)
    assert ((found.frame[:, 2:] >= 0) & (found.frame[:, 2:] < 1)).all()


@pytest.mark.parametrize("is_fine_surer", [True, False])
def test_of_two_readings_of_one_place_the_surer_counts_not_the_surer_that_it_is_filled(
    is_fine_surer: bool,
) -> None:
    colon, stop = (glyphs_of((20, 60, text), size=23) for text in (":", "."))
    fine, coarse = level(colon, 1.0), level(stop, 0.75)
    first, second = (fine, coarse) if is_fine_surer else (coarse, fine)
    first.slots.prob[0] *= 0.95  # filled at 0.95, and by nothing else
    second.slots.prob[1] = 0.42 * second.slots.prob[0]
    second.slots.prob[0] *= 0.57  # filled at 0.99
    assert text_of(detect([fine, coarse])) == (":" if is_fine_surer else ".")
