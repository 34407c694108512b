"""Repeated lines and n-grams, compared with a slow count of the same."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.corpus.filters.repetition import (
    REPEATED_SIZES,
    TOP_SIZES,
    ngram_shares,
    repeated_pieces,
)


def shares(words: list[str], per_word: int = 1) -> dict[int, float]:
    index = {word: place for place, word in enumerate(dict.fromkeys(words))}
    ids = np.array([index[word] for word in words])
    lengths = np.array([len(word) for word in index])
    return ngram_shares(ids, lengths, per_word)


def slow(words: list[str]) -> dict[int, float]:
    total = sum(map(len, words))
    found = {}
    for size in (*TOP_SIZES, *REPEATED_SIZES):
        grams = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
        counts = Counter(grams)
        if size in TOP_SIZES:
            most = max(counts.values(), default=0)
            length = max((sum(map(len, g)) for g, n in counts.items() if n == most), default=0)
            chars = length * most if most > 1 else 0
        else:
            seen: set[tuple[str, ...]] = set()
            inside: set[int] = set()
            for at, gram in enumerate(grams):
                if gram in seen:
                    inside.update(range(at, at + size))
                seen.add(gram)
            chars = sum(len(words[at]) for at in inside)
        found[size] = min(chars / total, 1.0)
    return found


@given(st.lists(st.sampled_from(["a", "bc", "def", "ghij"]), min_size=1, max_size=60))
def test_shares_of_ngrams_are_those_of_a_slow_count(words: list[str]) -> None:
    assert shares(words) == pytest.approx(slow(words))


@pytest.mark.parametrize("seed", range(8))
def test_long_texts_have_the_shares_of_a_slow_count(seed: int) -> None:
    draw = random.Random(seed)
    words = [f"w{draw.randrange(4 + 40 * seed)}" for _ in range(300)]
    at = draw.randrange(280)
    assert shares(words + words[at : at + 15] * 3) == pytest.approx(
        slow(words + words[at : at + 15] * 3)
    )


def test_ideographs_count_as_parts_of_words() -> None:
    said = list("打开图层对话框然后选择图层蒙版") * 2
    assert shares(said, per_word=2)[5] == pytest.approx(0.5)
    assert shares(said[:15] + list("再见"), per_word=2)[5] == 0


def test_a_text_that_never_repeats_itself_has_no_shares() -> None:
    assert set(shares([str(number) for number in range(500)]).values()) == {0.0}


def test_repeated_lines_are_those_that_stood_earlier() -> None:
    found = repeated_pieces(["a", "bbb", "a", "a", "cc"])
    assert found.pieces == pytest.approx(2 / 5)
    assert found.characters == pytest.approx(2 / 8)
    assert repeated_pieces([]) == (0.0, 0.0)
