"""Scorers give what the reference scorers gave, faults included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.goldens import GoldenFile
from tilewise.eval.metrics.boxes import Size, dior_rsvg_hit, refcoco_iou
from tilewise.eval.metrics.options import first_letter, mme_realworld_letter
from tilewise.eval.metrics.short_answers import rsvqa_is_right, rsvqa_score

pytestmark = pytest.mark.golden


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _domain(golden: GoldenFile, name: str) -> Any:
    return json.loads(golden("internvl", "domain_eval.json").read_text())[name]


def test_grounding_in_aerial_pictures(golden: GoldenFile) -> None:
    for case in _domain(golden, "dior_rsvg"):
        size = Size(*case["image_size_wh"])
        assert dior_rsvg_hit(case["pred"], case["gt_box"], size) == bool(case["correct_at_0_5"])


def test_questions_about_aerial_pictures(golden: GoldenFile) -> None:
    case = _domain(golden, "rsvqa")
    rows = [(e["question_type"], e["response"], e["gt_answer"]) for e in case["entries"]]
    score = rsvqa_score(rows)
    assert score.by_kind == case["type_scores"]
    assert score.counts == case["type_counts"]
    assert score.total == case["total_score"]
    assert score.reported == case["total_score_without_count_area"]


def test_letters_of_mme_realworld(golden: GoldenFile) -> None:
    for case in _domain(golden, "mme_realworld"):
        assert mme_realworld_letter(case["output"], case["choices"]) == case["result"], case


def test_boxes(golden: GoldenFile) -> None:
    cases = {c["id"]: c for c in _lines(golden("metrics", "grounding.jsonl"))}
    hits: dict[str, dict[str, bool]] = {}
    for name, case in cases.items():
        given, wanted = case["input"], case["scores"]
        size = Size(given["width"], given["height"])
        iou = refcoco_iou(given["prediction"], given["gt_box_px"], size)
        assert iou == pytest.approx(wanted["internvl_iou"], abs=1e-6), case
        hit = dior_rsvg_hit(given["prediction"], given["gt_box_px"], size)
        assert int(hit) == wanted["dior_rsvg_hit"], case
        hits[name] = {"internvl_hit": iou >= 0.5, "dior_rsvg_hit": hit}
    for group in json.loads(golden("metrics", "grounding_sets.json").read_text()):
        for field in ("internvl_hit", "dior_rsvg_hit"):
            share = sum(hits[name][field] for name in group["members"]) / len(group["members"])
            assert share == pytest.approx(group["precision_at_1"][field], abs=1e-9)


def test_short_answers(golden: GoldenFile) -> None:
    rows = {}
    for case in _lines(golden("metrics", "rsvqa.jsonl")):
        given = case["input"]
        row = (given["question_type"], given["prediction"], given["answer"])
        assert int(rsvqa_is_right(*row)) == case["scores"]["internvl"], case
        rows[case["id"]] = row
    for group in json.loads(golden("metrics", "rsvqa_sets.json").read_text()):
        score = rsvqa_score([rows[name] for name in group["members"]])
        assert score.by_kind == group["by_type"]
        assert score.total == group["total"]
        assert score.reported == group["reported_without_count_and_area"]


def test_options(golden: GoldenFile) -> None:
    for case in _lines(golden("metrics", "option_inference.jsonl")):
        answer, choices = case["input"]["prediction"], case["input"]["choices"]
        listed = [f"({letter}) {text}" for letter, text in choices.items()]
        wanted = case["scores"]
        assert mme_realworld_letter(answer, listed) == wanted["mme_realworld"], case
        if not str(wanted["internvl_mmbench"]).startswith("error:"):
            assert first_letter(answer, choices) == wanted["internvl_mmbench"], case
