"""Slots of scorers: their signs, their cut-offs, and what is said where one is empty."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from tests.corpus.tiny_onnx import write_classifier
from tests.corpus.writing import PROSE, block, document
from tilewise.corpus.filters.config import FullFilterConfig
from tilewise.corpus.filters.detailed import filter_full, thresholds
from tilewise.corpus.filters.scorers import NO_SCORERS, SLOTS, ScorerFile, Scorers, from_files
from tilewise.errors import ConfigError
from tilewise.records import Document, Dropped

CFG = FullFilterConfig()
PAGE = document(*PROSE, lang="en")


def verdict(slot: str, value: float, cfg: FullFilterConfig = CFG) -> str:
    found = filter_full(PAGE, cfg, Scorers(by_slot={slot: lambda text: value}))
    return found.reason if isinstance(found, Dropped) else "ok"


@pytest.mark.parametrize(
    ("slot", "passes", "fails", "reason"),
    [
        ("fluency_prob", 0.3, 0.29, "fluency_prob"),
        ("non_advertisement_prob", 0.3, 0.29, "advertisement"),
        ("porn_prob", 0.5, 0.51, "porn_prob"),
        ("toxic_prob", 0.5, 0.51, "toxic_prob"),
    ],
)
def test_good_scores_are_good_when_high_and_bad_ones_when_low(
    slot: str, passes: float, fails: float, reason: str
) -> None:
    assert verdict(slot, passes) == "ok"
    assert verdict(slot, fails) == reason
    assert verdict(slot, fails, replace(CFG, off=frozenset({reason}))) == "ok"
    assert slot in thresholds(CFG)


def test_politics_is_reported_and_never_drops() -> None:
    assert verdict("politics_prob", 1.0) == "ok"
    assert "politics_prob" not in thresholds(CFG)


def test_an_empty_slot_is_none_and_said_to_be_off() -> None:
    found = filter_full(PAGE, CFG, Scorers(by_slot={"porn_prob": lambda text: 0.25}))
    assert isinstance(found, Document)
    assert found.scores["porn_prob"] == 0.25
    assert found.scores["fluency_prob"] is None
    assert NO_SCORERS.off == SLOTS
    assert Scorers(by_slot={"porn_prob": len}).off == tuple(s for s in SLOTS if s != "porn_prob")


def test_a_scorer_reads_the_edited_prose_without_code() -> None:
    heard: list[str] = []

    def listen(text: str) -> float:
        heard.append(text)
        return 1.0

    page = document(*PROSE, "Advertisement", block("make all", "code"), PROSE[0], lang="en")
    filter_full(page, CFG, Scorers(by_slot={"fluency_prob": listen}))
    assert heard == [" ".join([*PROSE, PROSE[0]])]


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_a_score_that_is_no_probability_is_an_error(value: float) -> None:
    with pytest.raises(ConfigError, match="slot porn_prob gave"):
        verdict("porn_prob", value)


def test_an_unknown_slot_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'fluency' is no slot"):
        Scorers(by_slot={"fluency": len})
    file = ScorerFile(model=tmp_path / "no.onnx", tokenizer=tmp_path / "no.json")
    with pytest.raises(ConfigError, match=r"no\.onnx, which is no file"):
        from_files({"porn_prob": file})


def test_an_onnx_file_scores_texts_here_and_after_pickling(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model, tokenizer = write_classifier(tmp_path)
    scorers = from_files({"fluency_prob": ScorerFile(model=model, tokenizer=tokenizer)})
    scorer = pickle.loads(pickle.dumps(scorers)).by_slot["fluency_prob"]
    assert scorer("good good good") == pytest.approx(1 / (1 + 2.718281828**-4))
    assert scorer("bad") == pytest.approx(0.5)
    assert scorer("") == pytest.approx(0.5)
    short = ScorerFile(model=model, tokenizer=tokenizer, tokens=2, column=0)
    one = from_files({"porn_prob": short}).by_slot["porn_prob"]
    assert one("bad bad good good good") == pytest.approx(0.5)
