"""Characters found on a canvas come out as text in the order in which people read it."""

from __future__ import annotations

import math
from difflib import SequenceMatcher
from random import Random

import numpy as np
import pytest

from tests.models.nano.making import perfect, reading_of, sheet_of
from tilewise.models.nano.reading import BLOCK, CELL, LINE, SAME_WORD, SPACE, Reading, read
from tilewise.synth.pages import LAYOUTS, make_page

PROSE = (
    "The tide gauge at the north pier",
    "was read every hour by keepers",
    "who wrote the height of the water",
    "in a long green book that nobody",
    "has opened since those long days",
)
OTHER = (
    "Nine boats left the harbour when",
    "the wind turned to the west and",
    "only seven of them came back with",
    "their holds full of silver fish",
    "that were sold before the noon.",
)


def test_a_line_gives_its_words() -> None:
    found = reading_of((20, 40, "Read this line, please: 14.5 m"))
    assert found.text() == "Read this line, please: 14.5 m"
    assert found.gap[-1] == BLOCK
    assert len(np.unique(found.word)) == 6
    assert len(np.unique(found.segment)) == len(np.unique(found.row)) == 1


@pytest.mark.parametrize("size", [10, 16, 24, 40, 60])
def test_any_size_of_type_gives_its_words(size: int) -> None:
    line = "Wavy jilt (of 1,450)"
    assert reading_of((20, 80, line), size=size).text() == line


def test_lines_of_a_paragraph_follow_each_other() -> None:
    found = reading_of(*((20, 40 + 22 * i, line) for i, line in enumerate(PROSE)))
    assert found.text() == "\n".join(PROSE)
    ends = np.flatnonzero(found.gap >= LINE)
    assert found.gap[ends].tolist() == [LINE] * 4 + [BLOCK]


def test_two_columns_of_prose_are_read_one_after_the_other() -> None:
    left = [(20.0, 60 + 22.0 * i, line) for i, line in enumerate(PROSE)]
    right = [(350.0, 60 + 22.0 * i, line) for i, line in enumerate(OTHER)]
    found = reading_of((20, 24, "Harbour news"), *left, *right)
    assert found.text() == "\n".join(("Harbour news", *PROSE, *OTHER))


def test_columns_stay_whole_where_white_bands_cross_both() -> None:
    # The band below the second lines is wider than the one below the heading.
    tops = (60.0, 82.0, 130.0, 152.0, 174.0)
    left = [(20.0, y, line) for y, line in zip(tops, PROSE, strict=True)]
    right = [(350.0, y, line) for y, line in zip(tops, OTHER, strict=True)]
    heading = "Harbour news from both sides of the bay and from the islands"
    found = reading_of((20, 30, heading), *left, *right)
    assert found.text() == "\n".join((heading, *PROSE, *OTHER))


def test_rows_of_a_table_are_read_across() -> None:
    cells = (("Item", "Price", "Stock"), ("Rope", "4.50", "12"), ("Sail", "99.00", "3"))
    found = reading_of(
        *(
            (20 + 200 * c, 40 + 26 * r, text)
            for r, row in enumerate(cells)
            for c, text in enumerate(row)
        )
    )
    assert found.text() == "\n".join(" ".join(row) for row in cells)
    assert (found.gap == CELL).sum() == 6
    assert len(np.unique(found.row)) == 3


def test_labels_are_read_with_their_values_across_a_wide_gap() -> None:
    found = reading_of(
        (20, 40, "Keeper:"), (400, 40, "Olaf Brandt"), (20, 66, "Depth:"), (400, 66, "14.5 m")
    )
    assert found.text() == "Keeper: Olaf Brandt\nDepth: 14.5 m"


@pytest.mark.parametrize("degrees", [-0.5, 0.5])
def test_a_page_turned_by_half_a_degree_reads_the_same(degrees: float) -> None:
    rows = [(20.0, 40 + 24.0 * i, line) for i, line in enumerate(PROSE)]
    rows += [
        (20.0, 200.0, "Keeper:"),
        (400.0, 200.0, "Olaf"),
        (20.0, 230.0, "Depth:"),
        (400.0, 230.0, "14 m"),
    ]
    found = reading_of(*rows, turn=math.radians(degrees))
    assert found.text() == "\n".join((*PROSE, "Keeper: Olaf", "Depth: 14 m"))


def test_large_type_beside_small_is_no_word_with_it() -> None:
    sheet = sheet_of((20, 60, "Big"), size=48)
    sheet.text(105, 60, "small", None, 14, (0, 0, 0))
    found = read(perfect(sheet.glyphs(), 672, 336))
    assert found.text().split() == ["Big", "small"]


def test_nothing_and_a_single_character() -> None:
    assert reading_of().text() == ""
    assert len(reading_of()) == 0
    one = reading_of((20, 40, "x"))
    assert one.text() == "x"
    assert one.gap.tolist() == [BLOCK]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_character_is_read_once_and_belongs_to_what_surrounds_it(layout: str) -> None:
    for seed in range(4):
        made = make_page(Random(seed), layouts=(layout,), max_tiles=9)
        width, height = made.sheet.width, made.sheet.height
        found = perfect(made.sheet.glyphs(), width, height)
        reading = read(found)
        assert sorted(reading.origin.tolist()) == list(range(len(found)))
        assert np.array_equal(found.cls[reading.origin], reading.chars.cls)
        assert np.array_equal(found.x[reading.origin], reading.chars.x)
        _check_parts(reading)


def _check_parts(reading: Reading) -> None:
    gap = reading.gap[:-1]
    assert np.array_equal(np.diff(reading.word) != 0, gap != SAME_WORD)
    assert np.array_equal(np.diff(reading.segment) != 0, gap >= CELL)
    assert (np.diff(reading.row)[gap <= CELL] == 0).all()
    steps = np.diff(reading.chars.x)[gap <= SPACE]
    assert (steps > 0).all()


@pytest.mark.parametrize("layout", ["letter", "invoice", "form", "tables", "mixed"])
def test_pages_that_flow_from_top_to_bottom_read_as_they_were_set(layout: str) -> None:
    right = words = 0
    for seed in range(12):
        made = make_page(Random(seed), layouts=(layout,), max_tiles=6)
        glyphs = made.sheet.glyphs()
        found = read(perfect(glyphs, made.sheet.width, made.sheet.height))
        wanted, got = glyphs.text().split(), found.text().split()
        words += len(wanted)
        same = SequenceMatcher(None, wanted, got, autojunk=False)
        right += sum(block.size for block in same.get_matching_blocks())
    assert right / words > 0.95


def test_a_column_that_only_some_rows_have_does_not_part_a_table() -> None:
    # Between the labels and the prices stand values of a form below, at other heights.
    table = (("Rope", "4.50"), ("Sail", "99.00"), ("Oars", "25.10"), ("Mast", "310.00"))
    form = (("Keeper:", "Olaf Brandt"), ("Depth:", "14.5 m"), ("Light:", "green"))
    rows = [((20.0, 40 + 26.0 * i, a), (520.0, 40 + 26.0 * i, b)) for i, (a, b) in enumerate(table)]
    rows += [
        ((20.0, 151 + 26.0 * i, a), (300.0, 151 + 26.0 * i, b)) for i, (a, b) in enumerate(form)
    ]
    found = reading_of(*(cell for row in rows for cell in row))
    assert found.text() == "\n".join(" ".join(row) for row in (*table, *form))
