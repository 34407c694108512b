"""Rows of documents: nothing is lost, and what is no document is told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from tests.shards import documents as making
from tilewise.errors import DataError
from tilewise.records import Block, Document, Dropped
from tilewise.shards.documents import (
    dropped_from_row,
    dropped_to_row,
    from_row,
    image_name,
    line_of,
    to_row,
)


@given(making.documents)
def test_a_row_gives_its_document_back(document: Document) -> None:
    assert from_row(json.loads(line_of(to_row(document)))) == document


@given(making.dropped)
def test_a_row_gives_its_dropped_document_back(dropped: Dropped) -> None:
    assert dropped_from_row(json.loads(line_of(dropped_to_row(dropped)))) == dropped


def test_half_a_surrogate_pair_is_kept() -> None:
    document = replace(making.document(), title="odd \ud800 title")
    assert from_row(json.loads(line_of(to_row(document)))) == document


def test_a_number_that_json_cannot_say_is_told() -> None:
    document = replace(making.document(), scores={"a": float("nan")})
    with pytest.raises(DataError, match="not finite"):
        line_of(to_row(document))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([], "no object"),
        ({"id": "a", "url": "b"}, "blocks is missing"),
        ({"id": 1, "url": "b", "blocks": []}, "id is 1, no text"),
        ({"id": "a", "url": "b", "blocks": [{"kind": "poem"}]}, "'poem' is no kind"),
        ({"id": "a", "url": "b", "blocks": [{"kind": "text", "size": 1}]}, "size"),
        ({"id": "a", "url": "b", "blocks": [], "colour": "red"}, "colour"),
        ({"id": "a", "url": "b", "blocks": [], "scores": 3}, "scores"),
        ({"id": "a", "url": "b", "blocks": [{"kind": "image", "image": {}}]}, "url"),
        ({"id": "a", "url": "b", "blocks": [3]}, "subscriptable"),
    ],
)
def test_what_is_no_document_is_told(row: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        from_row(row, "part-0:3")


def test_empty_blocks_stay() -> None:
    document = replace(making.document(), blocks=(Block(kind="text"), Block(kind="image")))
    assert from_row(to_row(document)) == document


def test_an_image_is_named_by_the_hash_of_its_url() -> None:
    name = "7c047e185f1a66c24dd06620b3294e5171f06a45664ea905eecd507b51d361fe"
    assert image_name("https://img.example/a.png") == name
