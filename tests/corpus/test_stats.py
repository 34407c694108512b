"""Counts add up exactly, whatever the order, and a mismatch is an error."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.corpus.stats import Sums, Tally, bin_of, bin_start, count_tokens, tally_of, total
from tilewise.errors import DataError
from tilewise.records import Block, Document, Dropped, WebImage

VALUES = st.floats(-1e9, 1e9)


def document(name: str, text: str, *urls: str) -> Document:
    images = tuple(Block(kind="image", image=WebImage(url=url)) for url in urls)
    return Document(id=name, url=name, blocks=(Block(kind="text", text=text), *images))


def dropped(whole: Document, reason: str) -> Dropped:
    return Dropped(id=whole.id, url=whole.url, stage="image", reason=reason, document=whole)


@pytest.mark.parametrize(
    ("text", "tokens"), [("a boat at sea", 4), ("naïve café", 2), ("小船 and 灯", 4), ("", 0)]
)
def test_tokens_are_words_and_single_ideographs(text: str, tokens: int) -> None:
    assert count_tokens(document("a", text)) == tokens


@given(
    st.text(alphabet="ab.\n \t\x1c\x85\xa0\u2003\u3000\u3001é中日かไ𠀀\U0003ffff\U00040000\ud800")
)
def test_tokens_of_any_text_are_those_of_the_rule(text: str) -> None:
    letters = "\u0e01-\u0e4e\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    rule = re.compile(f"[{letters}]|[^\\s{letters}]+")
    assert count_tokens(document("a", text)) == len(rule.findall(text))


@given(VALUES, VALUES)
def test_bins_keep_the_order_of_values(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert bin_of(low) <= bin_of(high)


def test_what_lies_just_beyond_a_bin_s_beginning_is_in_it() -> None:
    for place in range(-400, 401):
        beyond = bin_start(place) * (1 + 1e-9) + (1e-12 if place >= 0 else -1e-12)
        assert bin_of(beyond) == place


def test_what_edits_take_out_is_counted_as_removed() -> None:
    tally = Tally()
    before = document("a", "one two three", "x", "y")
    image = WebImage(url="x", dropped="image_too_small")
    blocks = (Block(kind="text", text="one"), Block(kind="image", image=image), before.blocks[2])
    tally.keep(before, replace(before, blocks=blocks))
    tally.drop(document("b", "four", "z"), dropped(document("b", "four", "z"), "no_valid_image"))
    assert tally.taken == Sums(2, 3, 4)
    assert tally.kept == Sums(1, 1, 1)
    assert tally.removed == Sums(0, 1, 2)
    assert tally.reasons == {"no_valid_image": Sums(1, 1, 1)}
    assert tally.images == {"image_too_small": 1}
    tally.check("here")


def test_counts_of_shards_add_up_in_any_order_and_survive_json() -> None:
    tallies = []
    for number in range(4):
        tally = Tally()
        whole = document(str(number), "word " * number, "x")
        measured = replace(whole, scores={"words": float(number)})
        tally.keep(whole, measured)
        tally.drop(whole, dropped(measured, f"reason {number % 2}"))
        tally.describe("language", "en")
        tallies.append(tally_of(json.loads(json.dumps(tally.plain()))))
    assert total(tallies).plain() == total(reversed(tallies)).plain()
    assert total(tallies).bins["words"][bin_of(3.0)] == [1, 1]


def test_a_mismatch_is_told_with_both_numbers() -> None:
    tally, before = Tally(), Tally()
    tally.keep(None, document("a", "one"))
    with pytest.raises(DataError, match="1 documents came in, but the stage before kept 0"):
        tally.check("stage image", before)
    tally.kept.tokens -= 1
    with pytest.raises(DataError, match="1 tokens came in, but 0 kept"):
        tally.check("stage image")
