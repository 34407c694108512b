"""Characters, their classes and their ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.models.nano.alphabet import (
    CLASSES,
    FIRST_CHAR,
    FIRST_PAGE_CHAR,
    FOLDED,
    PAGE_CHARS,
    TEXT_CHARS,
    VOCABULARY,
    class_of,
    classes_of,
    decode,
    encode,
    fold,
)


def test_every_character_is_there_once() -> None:
    assert len(set(TEXT_CHARS)) == len(TEXT_CHARS)
    assert len(PAGE_CHARS) + 1 == CLASSES
    assert FIRST_CHAR + len(TEXT_CHARS) == VOCABULARY


@given(st.text(st.sampled_from(TEXT_CHARS)))
def test_known_text_survives_ids(text: str) -> None:
    assert decode(encode(text)) == text


@given(st.text())
def test_any_text_has_one_id_a_character(text: str) -> None:
    ids = encode(text)
    assert len(ids) == len(text) == len(fold(text))
    assert all(FIRST_CHAR <= i < VOCABULARY for i in ids)


def test_ids_that_are_no_characters_give_nothing() -> None:
    assert decode([*range(FIRST_CHAR), *encode("ab")]) == "ab"


def test_unknown_characters_become_question_marks() -> None:
    assert decode(encode("a\u4e2d\U0001f600b")) == "a??b"


@pytest.mark.parametrize(
    ("typographic", "plain"),
    [
        ("\u201cQuoted\u201d", '"Quoted"'),
        ("it\u2019s", "it's"),
        ("1990\u20132000", "1990-2000"),
        ("a\u00a0b\tc", "a b c"),
        ("5 \u03bcm", "5 \u00b5m"),
        ("plain", "plain"),
    ],
)
def test_typographic_variants_fold(typographic: str, plain: str) -> None:
    assert fold(typographic) == plain
    assert decode(encode(typographic)) == plain


def test_classes_count_from_one_and_fold_variants() -> None:
    assert class_of(PAGE_CHARS[0]) == 1
    assert class_of(PAGE_CHARS[-1]) == CLASSES - 1
    assert class_of("\u2019") == class_of("'")
    assert class_of(" ") == class_of("\u4e2d") == 0


@given(st.text(max_size=30))
def test_classes_of_code_points_agree_with_those_of_characters(text: str) -> None:
    codes = np.array([ord(c) for c in text], np.uint32)
    assert classes_of(codes).tolist() == [class_of(c) for c in text]


def test_an_id_of_a_page_character_follows_from_its_class() -> None:
    for char in PAGE_CHARS:
        assert encode(char) == [FIRST_PAGE_CHAR - 1 + class_of(char)]


def test_folded_classes_ignore_case_and_nothing_else() -> None:
    for char in PAGE_CHARS:
        lower = char.lower() if class_of(char.lower()) else char
        assert FOLDED[class_of(char)] == class_of(lower)
    assert FOLDED[0] == 0
