"""The gates of the detailed filter, and the filter as a whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.corpus.writing import CHINESE, PROSE, block, document, picture
from tilewise.corpus.filters.config import NAMES, FullFilterConfig
from tilewise.corpus.filters.detailed import RULES, all_reasons, filter_full, thresholds
from tilewise.corpus.filters.gates import GATES
from tilewise.errors import ConfigError
from tilewise.records import Block, Document, Dropped

CFG = FullFilterConfig()
COMPAT = FullFilterConfig(compat="omnicorpus")
WORDS = " ".join(PROSE).split()


def verdict(*blocks: Block | str, cfg: FullFilterConfig = CFG, lang: str = "en") -> str:
    found = filter_full(document(*blocks, lang=lang), cfg)
    return found.reason if isinstance(found, Dropped) else "ok"


SHUT: dict[str, tuple[Block | str, ...]] = {
    "adult_words": tuple(f"{text} Then porn again." for text in PROSE),
    "text_empty": ("Home", "Sign in", picture()),
    "too_few_words": (PROSE[0], block("Sunday", "header", 1)),
    "too_many_words": (" ".join([*WORDS] * 1_000),),
    "mean_word_length": (*("It is a be to of an. " * 12,) * 2,),
    "low_alpha_words": (*PROSE, block("==== ++++ " * 30, "code")),
    "few_stop_words": (("Bakers sold seven warm loaves. " * 20),),
    "text_image_ratio": (*PROSE, picture("a"), picture("b"), picture("c")),
    "paragraph_lengths": tuple(f"The {word} of the mill has been sold." for word in WORDS[:16]),
}


@pytest.mark.parametrize("reason", SHUT)
def test_a_document_is_dropped_at_the_gate_that_is_shut_to_it(reason: str) -> None:
    blocks = SHUT[reason]
    if reason == "text_image_ratio":
        blocks = (*blocks[:1], *blocks[1:2], *blocks[4:], PROSE[2])
    found = filter_full(document(*blocks, lang="en"), CFG)
    assert isinstance(found, Dropped)
    assert (found.stage, found.reason) == ("detailed_text", reason)
    assert found.document is not None
    assert found.threshold is not None
    off = replace(CFG, off=frozenset({reason}))
    assert reason not in [one.reason for one in all_reasons(document(*blocks, lang="en"), off)]


def test_every_gate_has_a_document_that_it_stops() -> None:
    assert set(GATES) == {*SHUT, "newspaper_source"}


def test_prose_passes_with_its_measured_values() -> None:
    found = filter_full(document(*PROSE, picture(), lang="en"), CFG)
    assert isinstance(found, Document)
    gates = {name for name in thresholds(CFG) if not name.endswith("_prob")}
    assert gates <= set(found.scores)
    assert verdict(*CHINESE, lang="zh") == "ok"


def test_images_are_counted_before_the_edits_and_without_the_removed() -> None:
    images = [picture(name) for name in "abc"]
    gone = [replace(b, image=replace(b.image, dropped="image_format")) for b in images if b.image]
    assert verdict(*PROSE[:3], *images) == "text_image_ratio"
    assert verdict(*PROSE[:3], *gone) == "ok"


def test_languages_without_rules_get_those_that_need_no_words() -> None:
    german = (
        "Die alte Mühle steht dort, wo der Fluss das Tal verlässt, und ihr Rad hat sich seit dem "
        "Winter der großen Flut nicht mehr gedreht. Eine Familie von Bäckern hat sie gekauft.",
        "Sie haben die Steine mit Sorgfalt gereinigt, das Dach geflickt und ein Schild aus Kupfer "
        "über die Tür gehängt, damit man auf dem Weg am Fluss weiß, dass es hier Brot gibt.",
    )
    found = filter_full(document(*german, "Read more", "123456", picture("a"), lang="de"), CFG)
    assert isinstance(found, Document)
    assert [one.text for one in found.blocks] == [*german, "Read more", "123456", ""]


def test_28_counts_another_list_in_compat() -> None:
    said = "Nobody is here today while bakers are gone since Monday morning. " * 8
    assert verdict(said) == "few_stop_words"
    assert verdict(said, cfg=COMPAT) == "ok"


def test_26_counts_punctuation_as_words_in_compat() -> None:
    text = " ".join(WORDS[:44]) + "."
    assert verdict(text) == "too_few_words"
    assert verdict(text, cfg=COMPAT) == "ok"


def test_every_name_of_a_rule_gate_and_cut_off_may_be_off() -> None:
    rules = {rule.id for rules in RULES.values() for rule in rules}
    assert {*rules, *GATES, "fluency_prob", "advertisement", "porn_prob", "toxic_prob"} == NAMES


def test_settings_that_cannot_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean too_short"):
        FullFilterConfig(off=frozenset({"to_short"}))
    with pytest.raises(ConfigError, match="passes is 0"):
        FullFilterConfig(passes=0)
    with pytest.raises(ConfigError, match="words_min is 9"):
        FullFilterConfig(words_min=9, words_max=3)
