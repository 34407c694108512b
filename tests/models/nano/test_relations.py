"""Places where an answer may start, and how they lie to what the question names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models.nano.making import TINY, reading_of
from tilewise.models.nano.match import (
    ANCHOR_FEATURES,
    ANCHORS,
    NUMBERS,
    extremes,
    match,
    no_anchors,
    numbers,
)
from tilewise.models.nano.pointer import EVIDENCE_FEATURES, Pointer, look, page_memory
from tilewise.models.nano.question import Wanted
from tilewise.models.nano.reading import Reading
from tilewise.models.nano.relations import (
    LINE_FLAG,
    RELATION_FEATURES,
    START_FEATURES,
    flag_line,
    relations,
    starts,
)
from tilewise.models.nano.series import FORMS, entries

FORM = reading_of((20, 40, "Keeper: Olaf (north)"), (20, 66, "Depth: 14.5"), (400, 66, "wet"))
NO_ENTRIES = entries(reading_of(), numbers(reading_of()))
SMALL = {
    "nothing": reading_of(),
    "one character": reading_of((20, 40, "x")),
    "two characters": reading_of((20, 40, "xy")),
    "two apart": reading_of((20, 40, "x"), (400, 300, "7")),
    "one mark": reading_of((20, 40, ":")),
}


def char_at(reading: Reading, text: str) -> int:
    """Place of a stretch of text in a reading."""
    return reading.text().replace("\n", "").replace(" ", "").index(text.replace(" ", ""))


def test_answers_start_at_words_and_behind_opening_marks() -> None:
    at = starts(FORM).char.tolist()
    for text in ("Keeper", "Olaf", "(north)", "north)", "Depth", "14.5", "wet"):
        assert char_at(FORM, text) in at
    assert char_at(FORM, "eeper") not in at


def test_extents_are_those_of_words() -> None:
    places = starts(FORM)
    assert (places.left < places.right).all()
    keeper, olaf = (np.flatnonzero(places.char == char_at(FORM, t))[0] for t in ("Keeper", "Olaf"))
    assert places.right[keeper] < places.left[olaf]
    assert places.row_rank[keeper] == places.row_rank[olaf] == 0
    assert places.row_rank.max() == 1


def test_lines_are_flagged_by_their_number() -> None:
    places = starts(FORM)
    assert places.char[flag_line(places, 1) > 0].tolist() == [0]
    assert places.char[flag_line(places, 2) > 0].tolist() == [char_at(FORM, "Depth")]
    for line in (0, 3, 99, None):
        assert not flag_line(places, line).any()


def test_the_value_right_of_a_label_is_told_from_other_places() -> None:
    places = starts(FORM)
    related = relations(FORM, places, match("Depth", FORM), NO_ENTRIES)
    value = np.flatnonzero(places.char == char_at(FORM, "14.5"))[0]
    same_row, is_marks_between, is_nearest = related[:, 0, 6], related[:, 0, 8], related[:, 0, 12]
    assert same_row[value] == is_marks_between[value] == is_nearest[value] == 1
    assert is_nearest.sum() == is_marks_between.sum() == 1
    assert same_row.sum() == 3  # the label itself, its value and the last cell


@pytest.mark.parametrize("name", SMALL)
def test_small_pages_have_shapes_and_no_nan(name: str) -> None:
    reading = SMALL[name]
    places = starts(reading)
    n = len(places.char)
    assert places.features.shape == (n, START_FEATURES)
    assert np.isfinite(places.features).all()
    for anchors in (
        match("x", reading),
        match("absent", reading),
        extremes(reading, 1),
        no_anchors(3),
    ):
        related = relations(reading, places, anchors, NO_ENTRIES)
        assert related.shape == (n, len(anchors.first), RELATION_FEATURES)
        assert related.dtype == np.float32
        assert np.isfinite(related).all()


def test_relations_to_anchors_that_stand_for_nothing_are_zero() -> None:
    places = starts(FORM)
    found = match("Depth", FORM)
    assert found.valid.tolist() == [True] + [False] * (ANCHORS - 1)
    related = relations(FORM, places, found, NO_ENTRIES)
    assert related[:, 0].any()
    assert not related[:, 1:].any()
    assert not relations(FORM, places, no_anchors(NUMBERS), NO_ENTRIES).any()


WANTED = (
    Wanted(kind="value", label="Depth", column="", line=None),
    Wanted(kind="table", label="Keeper", column="wet", line=None),
    Wanted(kind="highest", label="", column="", line=None),
    Wanted(kind="line", label="", column="", line=2),
    Wanted(kind="title", label="", column="", line=None),
)


@pytest.mark.parametrize("asked", WANTED, ids=lambda asked: asked.kind)
@pytest.mark.parametrize("name", ["form", *SMALL])
def test_the_pointer_scores_every_place_of_any_page(name: str, asked: Wanted) -> None:
    torch.manual_seed(0)
    pointer = Pointer(TINY.decoder)
    memory = page_memory(SMALL.get(name, FORM))
    seen = look(memory, asked)
    assert seen.evidence.shape == (EVIDENCE_FEATURES,)
    tokens = torch.randn(12 * 24, TINY.decoder.width)
    scores, absent = pointer(memory, seen, tokens, torch.randn(TINY.decoder.question_width))
    assert scores.shape == (len(memory.places.char),)
    assert absent.shape == (1,)
    assert bool(scores.isfinite().all())
    assert bool(absent.isfinite().all())


def test_looking_for_a_line_leaves_the_page_as_it_was() -> None:
    memory = page_memory(FORM)
    before = memory.own.clone()
    seen = look(memory, WANTED[3])
    assert torch.equal(memory.own, before)
    assert float(seen.own[:, LINE_FLAG].sum()) == 1


def test_the_number_of_a_named_entry_is_marked_for_its_label_alone() -> None:
    page = reading_of(
        (20, 40, "Rope"), (300, 40, "14"), (20, 66, "Sail"), (300, 66, "9"), (20, 92, "Mast"),
        (300, 92, "27"),
    )  # fmt: skip
    memory = page_memory(page)
    places = memory.places
    anchors = match("Sail", page)
    related = relations(page, places, anchors, memory.entries)
    named = related[:, :, -ANCHOR_FEATURES - FORMS : -ANCHOR_FEATURES].max(2) > 0
    assert places.char[named[:, 0]].tolist() == [char_at(page, "9")]
    assert not named[:, 1:].any()
