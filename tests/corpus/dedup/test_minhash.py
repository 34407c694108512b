"""Folding, shingles, signatures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.corpus.dedup.minhash import (
    METHOD,
    NO_SHINGLES,
    MinHashConfig,
    band_hashes,
    collision_chance,
    fold,
    jaccard,
    shingles,
    signature,
    text_hash,
)
from tilewise.errors import ConfigError

CFG = MinHashConfig()


def folded(text: str) -> str:
    return "".join(map(chr, fold(text)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The  Cat,\n(sat) — 1,234 times!", "the cat sat 0 000 times"),
        ("  «Été»  ", "été"),
        ("E\u0301te\u0301", "été"),
        ("co\u00adoperate", "cooperate"),
        ("价格：５０元。", "价格 00元"),
        ("สวัสดี ครับ", "สวัสดี ครับ"),
        ("", ""),
        ("?!", ""),
        ("\ud800x", "x"),
        ("x\U0010ffff", "x"),
    ],
)
def test_text_is_folded_to_its_letters_and_zeros(text: str, said: str) -> None:
    assert folded(text) == said


@given(st.text())
def test_folding_folded_text_changes_nothing(text: str) -> None:
    once = folded(text)
    assert folded(once) == once


@given(st.text())
def test_case_and_punctuation_do_not_change_the_hash_of_a_text(text: str) -> None:
    other = f"... {text} !"
    assert text_hash(fold(text)) == text_hash(fold(other))


def grams(text: str, size: int = 5) -> set[tuple[str, ...]]:
    words = folded(text).split()
    return {tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1))} - {()}


@given(
    st.lists(st.sampled_from("ab cd a b é"), max_size=40),
    st.lists(st.sampled_from("ab cd a b é"), max_size=40),
)
def test_hashed_shingles_have_the_similarity_of_word_5_grams(
    one: list[str], two: list[str]
) -> None:
    texts = "".join(one), "".join(two)
    sets = [grams(text) for text in texts]
    both = len(sets[0] | sets[1])
    expected = len(sets[0] & sets[1]) / both if both else 0.0
    hashed = [np.unique(shingles(fold(text), CFG)) for text in texts]
    assert jaccard(*hashed) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["天地玄黄宇宙洪荒日月盈昃", "いろはにほへとちりぬるを", "กขคฆงจฉชซฌญฎ"]
)
def test_scripts_without_spaces_have_shingles_of_5_characters(text: str) -> None:
    assert len(shingles(fold(text), CFG)) == len(text) - 4
    apart = text[:6] + "\n" + text[6:]
    assert shingles(fold(apart), CFG).tolist() == shingles(fold(text), CFG).tolist()


def test_a_word_of_chinese_in_english_leaves_words() -> None:
    assert len(shingles(fold("one two three four five six 七八"), CFG)) == 3


def test_a_text_shorter_than_a_shingle_is_one() -> None:
    assert len(shingles(fold("one two"), CFG)) == 1
    assert len(shingles(fold(""), CFG)) == 0
    assert (signature(shingles(fold(""), CFG), CFG) == NO_SHINGLES).all()


def mixed(value: int) -> int:
    """SplitMix64's finaliser, in whole numbers."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def reference(words: list[str]) -> list[int]:
    """The signature of words, by the rule and without NumPy."""
    step = 0x9E3779B97F4A7C15
    hashed = [
        mixed(sum(mixed((ord(c) + 1) * step % 2**64) * step**n for n, c in enumerate(word)) % 2**64)
        for word in words
    ]
    size = min(5, len(words))
    grams = [
        mixed((sum(hashed[at + n] * step**n for n in range(size)) + size) % 2**64) >> 32
        for at in range(len(words) - size + 1)
    ]
    start = mixed((step + 1) % 2**64)
    drawn = [mixed((start + n * step) % 2**64) >> 32 for n in range(1, 225)]
    functions = list(zip(drawn[:112], drawn[112:], strict=True))
    return [
        min((gram ^ mask) * (factor | 1) % 2**32 for gram in grams) for mask, factor in functions
    ]


@pytest.mark.parametrize(
    "text", ["the quick brown fox jumps over the lazy dog", "grüße", "aaa aaa aaa aaa aaa aaa 中"]
)
def test_signatures_are_those_of_the_rule_on_any_machine(text: str) -> None:
    found = signature(shingles(fold(text), CFG), CFG)
    assert found.tolist() == reference(text.split())


def test_the_signature_of_a_known_text_is_that_of_this_version() -> None:
    """Where it has to change, ``METHOD`` changes too."""
    found = signature(shingles(fold("The quick brown fox jumps over the lazy dog."), CFG), CFG)
    assert METHOD == "tilewise-numpy-1"
    assert found[:4].tolist() == [548733086, 431329257, 1292947954, 62267501]
    assert band_hashes(found[None], 16, 7)[0, :2].tolist() == [
        12378474638472831267,
        1024858832710136931,
    ]


@pytest.mark.parametrize("length", [65_533, 65_534, 65_535, 65_536, 65_537, 140_000])
def test_words_of_a_long_text_are_those_of_its_parts(length: int) -> None:
    start = "ab " * (length // 3) + "c" * (length % 3) + " "
    rest = "the quick brown fox jumps over the lazy dog"
    found = shingles(fold(start + rest), CFG)
    assert found[-5:].tolist() == shingles(fold(rest), CFG).tolist()
    assert len(set(found.tolist())) <= 12


def test_a_word_without_end_is_taken_in_bounded_pieces() -> None:
    assert len(shingles(fold("x" * 1_000_000 + " y"), CFG)) == 17 - 4


@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.95])
def test_estimates_scatter_as_the_binomial_law_says(similarity: float) -> None:
    rng = np.random.default_rng(3)
    size = 400
    common = round(2 * size * similarity / (1 + similarity))
    estimates = []
    for _ in range(400):
        drawn = rng.integers(0, 2**32, 2 * size - common, dtype=np.uint32)
        one, other = signature(drawn[:size], CFG), signature(drawn[size - common :], CFG)
        estimates.append(float((one == other).mean()))
    true = common / (2 * size - common)
    spread = (true * (1 - true) / CFG.values) ** 0.5
    assert np.mean(estimates) == pytest.approx(true, abs=4 * spread / 20)
    assert np.std(estimates) == pytest.approx(spread, rel=0.2)


def test_a_long_text_is_hashed_in_pieces_to_the_same_signature() -> None:
    drawn = np.random.default_rng(0).integers(0, 2**32, 9000, dtype=np.uint32)
    parts = [signature(drawn[start : start + 100], CFG) for start in range(0, 9000, 100)]
    assert (signature(drawn, CFG) == np.min(parts, axis=0)).all()


def test_chances_of_a_shared_band_are_those_of_the_table() -> None:
    assert collision_chance(0.8, 14, 8) == pytest.approx(0.924, abs=1e-3)
    assert collision_chance(0.72, 14, 8) == pytest.approx(0.65, abs=1e-2)
    assert collision_chance(0.8, 16, 7) == pytest.approx(0.977, abs=1e-3)


def test_a_setting_that_cannot_hold_is_told() -> None:
    with pytest.raises(ConfigError, match="values is 4"):
        MinHashConfig(values=4)
