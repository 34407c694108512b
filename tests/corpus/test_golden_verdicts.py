"""The whole pipeline on the golden archive: every page's verdict and reason, every image's."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.corpus.golden_run import built, expected, final_rows, verdicts
from tests.goldens import golden_file
from tilewise.corpus.pipeline import read_summary
from tilewise.corpus.plan import Run
from tilewise.corpus.stages import STAGES

pytestmark = pytest.mark.golden

EXCEPTIONS: Final[dict[str, str]] = {}
"""Pages whose verdict differs on purpose, by URL, each with the reason why that is right."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    archive = golden_file("omnicorpus", "golden.warc.gz")
    return built(tmp_path_factory.mktemp("golden") / "run", [str(archive)])


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, Any]]:
    return expected(golden_file("omnicorpus", "expected.jsonl"))


def test_every_page_has_the_verdict_and_reason_of_the_golden(
    run: Run, rows: dict[str, dict[str, Any]]
) -> None:
    found = verdicts(run)
    wrong = {
        row["url"]: (row["confidence"], row["reason"], found.get(name))
        for name, row in rows.items()
        if not _is_right(row, found.get(name)) and row["url"] not in EXCEPTIONS
    }
    assert not wrong
    assert len(found) == len(rows)


def _is_right(row: dict[str, Any], verdict: tuple[str, str] | None) -> bool:
    if verdict is None:
        return False
    _, reason = verdict
    also = row.get("also_ok", [])
    if row["expected"] == "keep":
        return reason == "ok"
    return reason != "ok" and (reason == row["reason"] or reason in also or "any" in also)


def test_reasons_belong_to_the_stage_that_the_golden_names(
    run: Run, rows: dict[str, dict[str, Any]]
) -> None:
    found = verdicts(run)
    same = [name for name, row in rows.items() if found[name][1] == row["reason"]]
    assert [(rows[n]["url"], found[n][0]) for n in same if found[n][0] != rows[n]["stage"]] == []


def test_every_image_of_a_kept_document_has_the_verdict_of_the_golden(run: Run) -> None:
    path = golden_file("omnicorpus", "expected_images.jsonl")
    told = {row["url"]: row for row in map(json.loads, path.read_text().splitlines())}
    blocks = (block for row in final_rows(run) for block in row["blocks"])
    found = {
        block["image"]["url"]: block["image"].get("dropped") for block in blocks if "image" in block
    }
    wanted = {
        url: None if told[url]["expected"] == "keep" else told[url]["reason"] for url in found
    }
    assert len(found) > 200
    assert {url: (why, wanted[url]) for url, why in found.items() if why != wanted[url]} == {}


def test_counts_add_up_from_stage_to_stage(run: Run, rows: dict[str, dict[str, Any]]) -> None:
    counts = {stage: read_summary(run, stage) for stage in STAGES}
    assert all(one is not None for one in counts.values())
    taken = [one.counts.taken.documents for one in counts.values() if one]
    kept = [one.counts.kept.documents for one in counts.values() if one]
    dropped = [one.counts.dropped.documents for one in counts.values() if one]
    assert taken[0] == len(rows)
    assert taken[1:] == kept[:-1]
    assert [came - went for came, went in zip(taken, dropped, strict=True)] == kept


def test_the_output_is_whole_and_says_how_it_was_made(run: Run) -> None:
    from tilewise.shards.document_check import verify
    from tilewise.shards.index import read_index

    found = verify(run.root / "final")
    assert found.is_whole
    assert found.rows == sum(
        row["expected"] == "keep"
        for row in expected(golden_file("omnicorpus", "expected.jsonl")).values()
    )
    assert read_index(run.root / "final").metadata["settings_hash"] == run.settings
