"""The words of a question are found on the page, with one slip allowed."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.nano.making import reading_of
from tilewise.models.nano.alphabet import PAGE_CHARS
from tilewise.models.nano.match import (
    ANCHORS,
    LEAST_SCORE,
    NUMBERS,
    Anchors,
    extremes,
    match,
    no_anchors,
    number_asked,
    numbers,
    phrase_classes,
)
from tilewise.models.nano.reading import Reading

PAGE = reading_of(
    (20, 40, "Keeper: Olaf Brandt"),
    (20, 66, "Old keeper of the harbour"),
    (20, 92, "Due Date"),
    (400, 92, "2031-04-05"),
)
SCORE, IS_WHOLE, IS_BEST, STARTS_WORD, STARTS_CELL, ENDS_WORD, ENDS_CELL, HAS_COLON, SAME_CASE = (
    range(9)
)


def spans(found: Anchors, reading: Reading = PAGE) -> list[str]:
    """Text of the anchors, without spaces."""
    chars = "".join(PAGE_CHARS[c - 1] for c in reading.chars.cls.tolist())
    pairs = zip(found.first[found.valid], found.last[found.valid], strict=True)
    return [chars[a : b + 1] for a, b in pairs]


def test_a_phrase_is_found_where_it_stands() -> None:
    found = match("Due Date", PAGE)
    assert spans(found)[0] == "DueDate"
    assert found.features[0].tolist() == [1, 1, 1, 1, 1, 1, 1, 0, 1]


def test_case_is_ignored_but_told() -> None:
    found = match("KEEPER", PAGE)
    assert set(spans(found)[:2]) == {"Keeper", "keeper"}
    assert found.features[:2, SCORE].tolist() == [1, 1]
    assert not found.features[:, SAME_CASE].any()
    exact = match("keeper", PAGE)
    assert sorted(zip(exact.features[:2, SAME_CASE].tolist(), spans(exact)[:2], strict=True)) == [
        (0, "Keeper"),
        (1, "keeper"),
    ]


def test_a_colon_behind_a_label_is_told() -> None:
    found = match("Keeper", PAGE)
    told = dict(zip(spans(found), found.features[:, HAS_COLON], strict=False))
    assert told["Keeper"] == 1
    assert told["keeper"] == 0


@pytest.mark.parametrize(
    ("asked", "stands"),
    [
        ("Olaf Brant", "OlafBrandt"),  # the page has one more
        ("Olaf Brandtt", "OlafBrandt"),  # the page has one less
        ("Olav Brandt", "OlafBrandt"),  # one differs
        ("olafbrandt", "OlafBrandt"),
    ],
)
def test_one_slip_still_finds_the_place(asked: str, stands: str) -> None:
    found = match(asked, PAGE)
    assert spans(found)[0][:9] == stands[:9]
    assert LEAST_SCORE <= found.features[0, SCORE] <= 1
    assert found.features[0, STARTS_WORD] == 1


@pytest.mark.parametrize(("asked", "stands"), [("harour", "harbour"), ("harbour", "harour")])
def test_a_lost_and_an_added_character_move_the_end(asked: str, stands: str) -> None:
    page = reading_of((20, 40, f"the {stands} here"))
    assert spans(match(asked, page), page)[0] == stands


@pytest.mark.parametrize("asked", ["Zyxwvu", "Quilt Mijk", "", "   ", "\u4e2d\u6587"])
def test_an_absent_phrase_is_found_nowhere(asked: str) -> None:
    found = match(asked, PAGE)
    assert not found.valid.any()
    assert not found.features.any()


def test_the_best_place_comes_first_and_places_do_not_overlap() -> None:
    page = reading_of(
        (20, 40, "gauge reeding"),
        (20, 66, "gauge reading"),
        (20, 92, "gouge reeding"),
    )
    found = match("gauge reading", page)
    scores = found.features[found.valid, SCORE]
    assert spans(found, page)[0] == "gaugereading"
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    assert found.features[found.valid, IS_BEST].tolist() == [1, 0, 0]
    first = np.sort(found.first[found.valid])
    assert (np.diff(first) > len("gaugereading") // 2).all()


def test_whole_words_come_before_parts_of_words() -> None:
    page = reading_of((20, 40, "subtotals 12"), (20, 66, "total 15"))
    found = match("total", page)
    assert found.first[0] == len("subtotals12")
    assert found.features[0, [STARTS_WORD, ENDS_WORD]].tolist() == [1, 1]
    assert found.features[1, [STARTS_WORD, ENDS_WORD]].tolist() == [0, 0]


def test_no_more_than_k_places() -> None:
    page = reading_of(*((20, 30 + 22 * i, "same word") for i in range(12)))
    assert match("same word", page).valid.sum() == ANCHORS
    assert match("same word", page, k=3).first.shape == (3,)


def test_a_phrase_longer_than_the_page_and_an_empty_page() -> None:
    short = reading_of((20, 40, "ab"))
    found = match("abcdefgh", short)
    assert (found.last < 2).all()
    assert not match("anything", reading_of()).valid.any()


def test_phrases_drop_case_spaces_and_the_unknown() -> None:
    assert phrase_classes("A b\u4e2d").tolist() == phrase_classes("ab").tolist()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12.0), ("1,450", 1450.0), ("14.5", 14.5), ("99.5%", 99.5), ("$12.50", 12.5),
        ("12.50$", 12.5), (".5", 0.5), ("300kg", 300.0), ("7.", 7.0), ("+3", 3.0),
    ],
)  # fmt: skip
def test_numbers_parse(text: str, value: float) -> None:
    first, last, found = numbers(reading_of((20, 40, f"word {text} word")))
    assert found.tolist() == [value]
    assert (first[0], last[0]) == (4, 3 + len(text))


@pytest.mark.parametrize("text", ["word", "a12", "1-2", "2031-04-05", "12:30", "1.2.3", "-", "$"])
def test_other_words_are_no_numbers(text: str) -> None:
    assert len(numbers(reading_of((20, 40, text)))[2]) == 0


def test_extremes_without_a_series_are_the_numbers_in_order() -> None:
    figures = (7, 1, 14, 3, 18, 11, 2, 9, 16, 5, 13, 4, 17, 8)
    page = reading_of(*((20 + 37 * i, 30 + 90 * (i % 3), str(n)) for i, n in enumerate(figures)))
    first, _, values = numbers(page)
    place = dict(zip(first.tolist(), values.tolist(), strict=True))
    assert sorted(values.tolist()) == sorted(figures)
    for sign in (1, -1):
        found = extremes(page, sign)
        got = [place[i] for i in found.first.tolist()]
        assert got == sorted(figures, reverse=sign > 0)[:NUMBERS]
        assert found.features[:, 2].tolist() == [1] + [0] * (NUMBERS - 1)
        assert not found.features[:, 3].any()


BARS = (("Rope", 12), ("Sail", 99), ("Tar", 7), ("Hull", 45))


@pytest.mark.parametrize("kind", ["standing", "lying"])
def test_extremes_of_a_series_are_the_labels_of_its_best_two(kind: str) -> None:
    runs: list[tuple[float, float, str]] = []
    for i, (label, n) in enumerate(BARS):
        if kind == "standing":
            x = 40 + 120.0 * i
            runs += [(x, 280 - 2.0 * n, str(n)), (x, 310, label)]
        else:
            runs += [(40, 60 + 30.0 * i, label), (160 + 3.0 * n, 60 + 30.0 * i, str(n))]
    page = reading_of(*runs)
    for sign, wanted in ((1, ["Sail", "Hull"]), (-1, ["Tar", "Rope"])):
        found = extremes(page, sign)
        assert spans(found, page) == wanted
        assert found.features[:2, 2].tolist() == [1, 0]
        assert found.features[:2, 3].tolist() == [1, 1]


def test_extremes_of_a_page_without_numbers() -> None:
    for page in (reading_of((20, 40, "words only")), reading_of()):
        assert not extremes(page, 1).valid.any()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3), (" 12 ", 12), ("three", 3), ("Third", 3), ("twelfth", 12), ("first", 1),
        ("thirteen", None), ("1234567", None), ("", None), ("3rd", None), ("-1", None),
        ("\u00b2", None),
    ],
)  # fmt: skip
def test_numbers_asked_for(text: str, number: int | None) -> None:
    assert number_asked(text) == number


def test_no_anchors_stand_for_nothing() -> None:
    assert not no_anchors(4).valid.any()
    assert no_anchors(4).features.shape == (4, 9)
