"""Whatever a page holds, the text filters end soon, raise nothing and come to rest."""

from __future__ import annotations

from dataclasses import replace
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.writing import PROSE, block, document, picture
from tilewise.corpus.filters.config import FullFilterConfig
from tilewise.corpus.filters.detailed import apply_rules, filter_full
from tilewise.corpus.filters.preliminary import TextFilterConfig, filter_text
from tilewise.records import Block, Document, Dropped

CFG, FULL = TextFilterConfig(), FullFilterConfig()

PIECES = st.sampled_from(
    [
        "The mill is old. ", "http://a.org/b ", "(", ")", "\n", "  ", "[1] ", "Read more", "____",
        "_" * 20, "来源：", "（完）", "。", "面包", "12:30", "me@a.org", "www.", ".com", "[Video]",
        "reference", "(cf. a)", "\u00a0", "\u2028", "\x00", "🍞", "ﬁ", "İ", "A" * 9, "é",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=12).map("".join)
KINDS = st.sampled_from(["text", "header", "list", "table", "code", "quote", "detail"])
BLOCKS = st.lists(
    st.one_of(
        st.builds(block, TEXTS, KINDS, st.integers(0, 3)),
        st.sampled_from([picture(), picture(""), picture("http://[bad/a.html")]),
    ),
    max_size=10,
)


@settings(max_examples=50)
@given(blocks=BLOCKS, lang=st.sampled_from(["", "en", "zh", "ja", "de", "und"]))
def test_any_document_is_judged_and_its_edits_come_to_rest(blocks: list[Block], lang: str) -> None:
    page = document(*blocks, lang=lang)
    measured = filter_text(page, CFG)
    assert isinstance(measured, (Document, Dropped))
    for compat in ("", "omnicorpus"):
        cfg = replace(FULL, compat=compat, passes=50)
        assert isinstance(filter_full(page, cfg), (Document, Dropped))
        edited, edits = apply_rules(page, cfg)
        assert apply_rules(edited, cfg).edits == ()
        assert len({edit.block for edit in edits} - set(range(len(blocks)))) == 0
        assert len(edited.blocks) <= len(blocks) + sum(b.text.count("_" * 15) for b in blocks)


LONG = 20_000
HARD = {
    "one word": "a" * LONG,
    "spaces": f"a{' ' * LONG}b",
    "spaces before a newline": f"a{' ' * LONG}\nb",
    "newlines": f"a{chr(10) * LONG}b",
    "blank lines": "a" + " \n" * LONG + "b",
    "dots": "." * LONG,
    "dotted": "a." * LONG + "com",
    "brackets": "(" * LONG,
    "addresses": "a@" * LONG,
    "hyphens": "a-" * LONG + ".com",
    "urls": "http://" * LONG,
    "digits": "1" * LONG,
    "dates": "1/" * LONG,
    "underscores": "_" * LONG,
    "quotes": '."' * LONG,
    "ideographs": "面" * LONG,
    "marks": "[1]" * LONG,
    "chinese brackets": "（记者" * LONG,
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_no_text_takes_long(name: str, lang: str) -> None:
    page = document(HARD[name], *PROSE, f"12 words {HARD[name]}", lang=lang)
    began = process_time()
    filter_text(page, CFG)
    filter_full(page, FULL)
    assert process_time() - began < 5  # seconds; 0.1 on a machine with nothing else to do


def test_very_many_blocks_take_time_in_proportion() -> None:
    pages = [picture(str(n)) for n in range(5_000)] + [block("a short one") for _ in range(5_000)]
    began = process_time()
    filter_full(document(*pages, lang="en"), FULL)
    assert process_time() - began < 5
