"""The benchmark of the default reader scores as it says; the benchmark itself is not run here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.default_reader_parts.asking import (
    Outcome,
    absent,
    is_plain,
    look_ups,
    right_by_page,
)
from benchmarks.default_reader_parts.made import held_out_page
from benchmarks.default_reader_parts.report import Report
from benchmarks.default_reader_parts.scores import edits, lost_and_invented, normal, ratio
from tilewise.models.nano.prompt import NOT_FOUND_TEXT, UNSUPPORTED_TEXT
from tilewise.synth.facts import Question
from tilewise.synth.phrasing import PLAIN, fill, phrase

SHORT = st.text(alphabet="abc é", max_size=7)


def _edits_by_definition(a: str, b: str) -> int:
    if not a or not b:
        return len(a) + len(b)
    change = _edits_by_definition(a[1:], b[1:]) + (a[0] != b[0])
    return min(change, 1 + _edits_by_definition(a[1:], b), 1 + _edits_by_definition(a, b[1:]))


def _outcome(kind: str, truth: str | None, said: str, *, is_found: bool = True) -> Outcome:
    return Outcome(
        subject="p", source="mixed", is_unseen_font=False, tiles=1, tokens=313, text_px=16.0,
        kind=kind, is_plain=True, question="?", truth=truth, said=said, is_found=is_found,
        confidence=0.5, first_s=0.1,
    )  # fmt: skip


@given(a=SHORT, b=SHORT)
def test_edits_are_the_least_number_of_changes(a: str, b: str) -> None:
    assert edits(a, b) == _edits_by_definition(a, b)


def test_white_space_and_typographic_signs_do_not_count() -> None:
    assert normal(" “A”\n –  b’s ") == '"A" - b\'s'


def test_lost_and_invented_characters_are_counted_whatever_their_order() -> None:
    assert lost_and_invented("b a x", "a b c c") == (2, 1)


def test_questions_of_one_page_count_as_one_draw_in_the_interval() -> None:
    pages = [("a", True), ("b", False), ("c", True), ("d", False)]
    one = [replace(_outcome("value", "x", "x" if ok else "y"), subject=n) for n, ok in pages]
    single, many = right_by_page(one), right_by_page(one * 50)
    assert single.value == many.value == 0.5
    assert (many.low, many.high) == (single.low, single.high)
    assert many.low < 0.2


def test_a_ratio_is_of_sums_and_lies_in_its_interval() -> None:
    rate = ratio([1, 0, 3], [10, 10, 20])
    assert rate.value == pytest.approx(0.1)
    assert rate.low <= rate.value <= rate.high


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_wording_is_told_from_a_paraphrase(kind: str) -> None:
    parts = {"k": "Due Date", "c": "Price", "n": "7"}
    for template in PLAIN[kind]:  # type: ignore[index] # the literal keys of this very dict
        text, tags = fill(template, parts)
        assert is_plain(Question(kind, text, "x", 0, 1, tags))  # type: ignore[arg-type]
    text, tags = phrase(Random(3), "value", plain=0.0, k="Due Date")
    assert not is_plain(Question("value", text, "x", 0, 1, tags))


@pytest.mark.parametrize(
    ("kind", "truth", "said", "is_found", "is_right"),
    [
        ("value", "12 kg", "12  kg", True, True),
        ("value", "12 kg", "12 Kg", True, False),
        ("value", None, NOT_FOUND_TEXT, False, True),
        ("value", None, "12", True, False),
        ("value", None, UNSUPPORTED_TEXT, False, False),
        ("unsupported", None, UNSUPPORTED_TEXT, False, True),
        ("unsupported", None, NOT_FOUND_TEXT, False, False),
        ("all", "a" * 100, "a" * 38 + "bbcc", True, True),
        ("all", "a" * 100, "a" * 30 + "b" * 10, True, False),
    ],
)
def test_an_answer_is_right_as_the_report_says(
    kind: str, truth: str | None, said: str, is_found: bool, is_right: bool
) -> None:
    assert _outcome(kind, truth, said, is_found=is_found).is_right == is_right


def test_questions_without_an_answer_are_no_look_ups() -> None:
    asked = [_outcome("value", "1", "1"), _outcome("value", None, "1"), _outcome("all", "1", "1")]
    assert look_ups(asked) == asked[:1]
    assert absent(asked) == asked[1:2]


def test_a_page_hangs_on_seed_and_number_alone() -> None:
    first, second = held_out_page(5, 2, 6), held_out_page(5, 2, 6)
    assert np.array_equal(first.page.pixels, second.page.pixels)
    assert [q.text for q in first.questions] == [q.text for q in second.questions]
    assert np.array_equal(first.page.pixels, held_out_page(5, 2, 0).page.pixels)


def test_a_part_run_again_replaces_its_own_section_only(tmp_path: Path) -> None:
    path = tmp_path / "day.md"
    first = Report(path)
    first.section("One", "old", "| a |")
    first.section("Two", "kept")
    Report(path).section("One", "new")
    assert path.read_text() == "# The default reader, measured\n\n## One\n\nnew\n\n## Two\n\nkept\n"
