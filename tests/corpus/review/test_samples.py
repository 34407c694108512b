"""Which documents are drawn for review, what their page shows, and what its server refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.corpus.reviewing import (
    HOSTILE,
    NOT_A_PICTURE,
    SHOWN,
    documents,
    make_review,
    make_run,
    served,
)
from tilewise.corpus.config import CorpusConfig
from tilewise.corpus.plan import Run, open_run
from tilewise.corpus.review.labels import read_labels
from tilewise.corpus.review.samples import acted, sample, view
from tilewise.corpus.review.server import image_kind
from tilewise.errors import DataError
from tilewise.shards.documents import image_name


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run")


@pytest.fixture
def address(run: Run) -> Iterator[str]:
    with served(make_review(run)) as found:
        yield found


def ask(
    address: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    data = None if body is None else json.dumps(body).encode()
    fields = ({"Content-Type": "application/json"} if data else {}) | (headers or {})
    try:
        with urlopen(Request(address, data, fields), timeout=20) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except HTTPError as err:
        with err:
            return err.code, err.read(), dict(err.headers)


def test_the_same_seed_draws_the_same_documents(run: Run) -> None:
    first = [one.document.id for one in sample(run, 3, seed=1)]
    assert first == [one.document.id for one in sample(run, 3, seed=1)]
    orders = {tuple(one.document.id for one in sample(run, 4, seed)) for seed in range(9)}
    assert len(orders) > 3
    assert len({name for order in orders for name in order}) == 4


def test_documents_that_earlier_stages_dropped_are_a_share(run: Run) -> None:
    assert [one.dropped for one in sample(run, 3, 0, dropped_share=0)] == [None] * 3
    dropped = [one.dropped.reason for one in sample(run, 4, 0, 0.25) if one.dropped]
    assert dropped == ["lorem_ipsum"]


def test_a_run_without_documents_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "pages.jsonl"
    source.write_text('{"url": "http://a.example/", "html": "<p>A</p>"}\n')
    empty, _ = open_run(tmp_path / "empty", [str(source)], CorpusConfig())
    with pytest.raises(DataError, match="no documents before the stage detailed_text yet"):
        sample(empty, 5, 0)


def test_the_view_tells_each_edit_and_verdict(run: Run) -> None:
    by_title = {one.document.title: one for one in sample(run, 4, 1)}
    mill = view(run, by_title["The mill"], lambda url: url == SHOWN)
    assert mill["reason"] == ""
    (edit,) = mill["blocks"][2]["edits"]
    assert (edit["before"], edit["after"]) == ("Advertisement", None)
    assert edit["rule"] in {rule["id"] for rule in mill["rules"]}
    assert mill["rules_fired"] == [edit["rule"]]
    assert mill["blocks"][1]["image"]["name"] == image_name(SHOWN)
    short = view(run, by_title["Short"], lambda url: False)
    assert (short["stage"], short["reason"]) == ("detailed_text", "text_empty")
    assert len(short["reasons"]) > 1
    lorem = view(run, by_title["Lorem"], lambda url: False)
    assert (lorem["stage"], lorem["reason"], lorem["by_rules"]) == (
        "prelim_text",
        "lorem_ipsum",
        False,
    )


def test_rules_that_act_are_told_by_year(run: Run) -> None:
    found = list(acted(run, sample(run, 4, 1)))
    assert len(found) == 3  # not the one that rules never saw
    assert {year for year, _ in found} == {"2023"}
    assert any("text_empty" in rules for _, rules in found)


def test_the_page_may_load_nothing_from_elsewhere(address: str) -> None:
    for path in ("/", "/review.js", "/review.css", "/api/samples", "/nothing"):
        _, body, headers = ask(address + path)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        if not path.startswith("/api"):
            assert not re.search(rb"https?://", body)
            assert b"innerHTML" not in body


def test_a_label_is_stored_with_the_time_and_comes_back(address: str, run: Run) -> None:
    one = documents()[0]
    given = {
        "document": one.id,
        "rule": "advertisement_line",
        "block": 2,
        "fired": True,
        "is_right": False,
    }
    status, body, _ = ask(f"{address}/api/labels", given)
    assert status == 201
    assert json.loads(body)["at"] == "2026-01-02T03:04:05+00:00"
    labels, bad = read_labels(run.root / "review" / "labels.jsonl")
    assert (len(labels), bad) == (1, 0)
    assert (labels[0].url, labels[0].block) == (one.url, 2)
    shown: dict[str, Any] = json.loads(ask(f"{address}/api/documents/{one.id}")[1])
    assert [x["rule"] for x in shown["labels"]] == ["advertisement_line"]
    rows = json.loads(ask(f"{address}/api/samples")[1])
    assert {row["id"]: row["labels"] for row in rows}[one.id] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rule": "no_such_rule"}, "there is no rule 'no_such_rule' for this document"),
        ({"rule": ""}, "there is no rule ''"),
        ({"rule": "zh_credits"}, "there is no rule 'zh_credits'"),  # the document is English
        ({"rule": "*", "fired": False, "rules_fired": ["urls", "made_up"]}, "no rule 'made_up'"),
        ({"block": 6}, "the document has 6 blocks, from 0 up, and no 6"),
        ({"block": 3}, "but the rule advertisement_line did nothing to block 3"),
        ({"block": None}, "but the rule advertisement_line did nothing to the document"),
        ({"fired": False}, "but the rule advertisement_line did something to block 2"),
    ],
)
def test_a_label_that_does_not_fit_the_document_is_refused(
    address: str, run: Run, change: dict[str, Any], said: str
) -> None:
    one = documents()[0]
    given = {
        "document": one.id,
        "rule": "advertisement_line",
        "block": 2,
        "fired": True,
        "is_right": True,
    }
    status, body, _ = ask(f"{address}/api/labels", given | change)
    assert status == 400
    assert said in json.loads(body)["error"]
    assert not (run.root / "review").exists()


@pytest.mark.parametrize(
    ("number", "label"),
    [
        (0, {"rule": "*", "fired": False, "rules_fired": ["advertisement_line"]}),  # nothing else
        (0, {"rule": "upper_case", "fired": False, "block": 3}),  # missed, or taken back
        (2, {"rule": "text_empty", "fired": True}),  # the gate that dropped it
        (0, {"rule": "adult_words", "fired": False}),
    ],
)
def test_labels_of_what_the_page_offers_are_taken(
    address: str, number: int, label: dict[str, Any]
) -> None:
    given = {"document": documents()[number].id, "is_right": True, **label}
    status, body, _ = ask(f"{address}/api/labels", given)
    assert status == 201, body


def test_requests_of_other_sites_and_names_are_refused(address: str, run: Run) -> None:
    given = {"document": documents()[0].id, "rule": "urls", "fired": True, "is_right": True}
    post = f"{address}/api/labels"
    assert ask(address, headers={"Host": "evil.example"})[0] == 421
    assert ask(post, given, {"Origin": "http://evil.example"})[0] == 403
    assert ask(post, given, {"Content-Type": "text/plain"})[0] == 415
    assert ask(post, {**given, "document": "f" * 32})[0] == 404
    assert ask(post, {**given, "fired": "yes"})[0] == 400
    assert ask(post, {**given, "text": "x" * 70_000})[0] == 413
    assert not (run.root / "review").exists()


def test_labels_that_cannot_be_read_or_written_are_told(address: str, run: Run) -> None:
    (run.root / "review" / "labels.jsonl").mkdir(parents=True)
    status, body, headers = ask(f"{address}/api/samples")
    assert (status, headers["Content-Type"].partition(";")[0]) == (500, "application/json")
    assert "labels.jsonl cannot be read" in json.loads(body)["error"]
    given = {"document": documents()[0].id, "rule": "urls", "fired": False, "is_right": True}
    status, body, _ = ask(f"{address}/api/labels", given)
    assert status == 507
    assert "labels.jsonl cannot be written" in json.loads(body)["error"]


def test_only_pictures_of_the_drawn_documents_are_sent(address: str, run: Run) -> None:
    status, body, headers = ask(f"{address}/images/{image_name(SHOWN)}")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert body.startswith(b"\x89PNG")
    for name in (
        image_name(NOT_A_PICTURE),
        image_name("http://a.example/other.png"),
        "..%2f..%2frun.json",
        "../run.json",
        "%2e%2e/%2e%2e/run.json",
        "",
    ):
        assert ask(f"{address}/images/{name}")[0] == 404
    for path in ("/static/review.js", "/run.json", "/..%2frun.json", "/api/documents/..%2f"):
        assert ask(address + path)[0] == 404


def test_texts_of_documents_travel_as_json(address: str) -> None:
    one = documents()[1]
    _, body, headers = ask(f"{address}/api/documents/{one.id}")
    assert headers["Content-Type"].startswith("application/json")
    assert json.loads(body)["title"] == HOSTILE


def test_what_is_no_picture_by_its_first_bytes_has_no_kind() -> None:
    assert image_kind(b"RIFF\0\0\0\0WEBPVP8 ") == "image/webp"
    assert image_kind(b"\xff\xd8\xff\xe0") == "image/jpeg"
    assert image_kind(b"<svg/>") is None
    assert image_kind(b"") is None
