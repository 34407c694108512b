"""The preliminary text filters, each by a document that breaks it alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.corpus.writing import CHINESE, PROSE, block, document, picture
from tilewise.corpus.filters.preliminary import (
    FILTERS,
    TextFilterConfig,
    all_reasons,
    filter_text,
    said,
    thresholds,
)
from tilewise.errors import ConfigError
from tilewise.records import Block, Document, Dropped

CFG = TextFilterConfig()
WORDS = " ".join(PROSE).split()


def verdict(*blocks: Block | str, cfg: TextFilterConfig = CFG) -> str:
    found = filter_text(document(*blocks), cfg)
    return found.reason if isinstance(found, Dropped) else "ok"


BREAKS: dict[str, tuple[Block | str, ...]] = {
    "too_few_words": (" ".join(WORDS[:49]),),
    "too_many_words": tuple(PROSE) * 900,
    "mean_word_length": ("a b c d e. " * 12, "f g h i j. " * 12),
    "symbol_ratio": tuple(
        text.replace(" the", " # the").replace(". ", ". # # # ") for text in PROSE
    ),
    "bullet_lines": tuple(f"• {text}" for text in PROSE),
    "ellipsis_lines": tuple(f"{text}..." for text in PROSE),
    "low_alpha_words": (*PROSE, "Then ======== ++++++++ " * 6 + "came.", "======== " * 24),
    "few_ideographs": (*CHINESE, "Coffee tables polished yesterday. " * 10),
    "few_stop_words": (" ".join(word for word in WORDS if len(word) > 4).replace("their", ""),),
    "lorem_ipsum": (*PROSE, "Lorem Ipsum dolor sit amet."),
    "too_many_numbers": (*PROSE, "Rows: " + " ".join(str(10**14 + n * 37) for n in range(14))),
    "line_breaks": (PROSE[0] + "\n" * 23 + PROSE[1], *PROSE[2:]),
    "word_frequency": tuple(
        " ".join(f"{w} cheap" if n % 3 else w for n, w in enumerate(text.split()))
        for text in (PROSE * 2)
    ),
    "too_few_sentences": (" ".join(PROSE).replace(".", ",").replace("?", ","),),
    "dup_lines": (*PROSE, PROSE[0], PROSE[1], PROSE[2]),
    "repetition": (" ".join(PROSE) + " But " + PROSE[3][:-1], PROSE[2] + " Again."),
    "language": (
        "Op deze bladzijde staat hoe een afbeelding geopend en bewaard wordt op de schijf. "
        "De molenaar kocht het huis in het voorjaar, en hij herstelde zelf het hele dak. "
        "Wie langs de rivier wandelt, ziet al van ver het koperen bord boven zijn deur. "
        "Later komen karren met graan van boerderijen uit de buurt naar deze oude molen toe.",
    ),
}


@pytest.mark.parametrize("reason", BREAKS)
def test_a_document_is_dropped_for_the_filter_it_breaks(reason: str) -> None:
    found = filter_text(document(*BREAKS[reason], picture()), CFG)
    assert isinstance(found, Dropped)
    assert (found.stage, found.reason) == ("prelim_text", reason)
    assert found.value is not None
    assert found.threshold is not None
    assert found.document is not None
    assert found.document.scores["words"]


@pytest.mark.parametrize("reason", BREAKS)
def test_a_filter_that_is_off_drops_nothing(reason: str) -> None:
    cfg = replace(CFG, off=CFG.off | {reason})
    assert verdict(*BREAKS[reason], cfg=cfg) != reason
    assert reason not in [one.reason for one in all_reasons(document(*BREAKS[reason]), cfg)]


def test_every_filter_has_a_document_that_breaks_it() -> None:
    assert set(FILTERS) == {*BREAKS, "curly_bracket"}


def test_curly_brackets_drop_only_where_the_filter_is_on() -> None:
    blocks = (*PROSE, block("int main() { return 0; }", "code"))
    assert verdict(*blocks) == "ok"
    assert verdict(*blocks, cfg=replace(CFG, off=frozenset())) == "curly_bracket"


@pytest.mark.parametrize("texts", [PROSE, CHINESE], ids=["en", "zh"])
def test_prose_is_kept_with_its_measured_values(texts: tuple[str, ...]) -> None:
    given = document(*texts, picture())
    found = filter_text(given, CFG)
    assert isinstance(found, Document)
    assert found.blocks == given.blocks
    assert found.lang == ("en" if texts is PROSE else "zh")
    assert found.lang_score is not None
    assert set(thresholds(CFG)) <= set(found.scores)
    is_english = texts is PROSE
    assert (found.scores["mean_word_length"] is not None) == is_english
    assert (found.scores["ideograph_share"] is None) == is_english


def test_chinese_needs_twice_as_many_ideographs_as_english_needs_words() -> None:
    found = filter_text(document(CHINESE[0], "今天天气很好。"), CFG)
    assert isinstance(found, Dropped)
    assert (found.reason, found.threshold) == ("too_few_words", 100)


def test_all_reasons_are_told_in_the_order_of_the_filters() -> None:
    found = [one.reason for one in all_reasons(document("Lorem ipsum # # # 12345 67890"), CFG)]
    assert found[0] == "too_few_words"
    assert {"symbol_ratio", "lorem_ipsum", "too_few_sentences"} <= set(found)
    assert found == sorted(found, key=list(FILTERS).index)


def test_lines_of_boilerplate_go_and_the_document_stays() -> None:
    hints = "Please enable JavaScript.\nThe door is open on Sundays.\nWe use cookies here."
    found = filter_text(document(*PROSE, hints, block("javascript:void(0)", "code")), CFG)
    assert isinstance(found, Document)
    assert [b.text for b in found.blocks[-2:]] == [
        "The door is open on Sundays.",
        "javascript:void(0)",
    ]
    assert found.scores["javascript_dropped"] == 1
    assert found.scores["policy_lines_dropped"] == 1
    off = replace(CFG, off=CFG.off | {"javascript", "policy_lines"})
    kept = filter_text(document(*PROSE, hints), off)
    assert isinstance(kept, Document)
    assert kept.blocks[-1].text == hints
    assert "javascript_dropped" not in kept.scores


def test_a_page_of_nothing_but_boilerplate_has_too_few_words() -> None:
    assert verdict("Please enable JavaScript in your browser. " * 20) == "too_few_words"
    assert verdict(picture()) == "too_few_words"


def test_wanted_languages_are_a_setting() -> None:
    only = replace(CFG, languages=("zh",))
    assert verdict(*PROSE, cfg=only) == "language"
    assert verdict(*CHINESE, cfg=only) == "ok"
    assert verdict(*BREAKS["language"], cfg=replace(CFG, languages=())) == "ok"


def test_a_name_that_is_no_filter_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean lorem_ipsum"):
        TextFilterConfig(off=frozenset({"lorem_ipsun"}))
    with pytest.raises(ConfigError, match="words_min is 9 and words_max is 3"):
        TextFilterConfig(words_min=9, words_max=3)


def test_the_rule_by_which_words_are_counted_is_said() -> None:
    assert "ideograph" in said(CFG)["words_zh"]
    assert "white space" in said(CFG)["words_en"]
