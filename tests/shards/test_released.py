"""The released form: nothing is lost, its invariants hold, rows of other origin are read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shards import documents as making
from tilewise.errors import DataError
from tilewise.records import Block, Document, WebImage
from tilewise.shards.conversation import BadError
from tilewise.shards.documents import image_name
from tilewise.shards.released import NOT_VALID, check, from_released, to_released


@given(making.documents)
def test_a_row_gives_its_document_back_and_keeps_the_invariants(document: Document) -> None:
    row = json.loads(json.dumps(to_released(document, "v1")))
    check(row)
    assert from_released(row) == document


def test_a_row_has_what_the_release_has() -> None:
    row = to_released(making.document(3, images=2), "v1")
    assert row["general_metadata"] == {
        "domain": ["page.example"],
        "fluency_prob": None,
        "non_advertisement_prob": None,
        "politics_prob": None,
        "porn_prob": None,
        "toxic_prob": None,
        "id": f"{3:032x}",
        "url": "https://page.example/3",
    }
    assert [text is None for text in row["texts"]] == [False, True, False, True, False]
    assert [url is None for url in row["images"]] == [True, False, True, False, True]
    assert row["metadata"][1] == {
        "aesthetic_prob": 5.5,
        "bytes": 1000,
        "d_hash": "0" * 16,
        "d_hash_dup_count": 1,
        "height": 30,
        "img_url_sha": image_name("https://img.example/3/0.png"),
        "p_hash": "0000000000000003",
        "p_hash_dup_count": 1,
        "unsafe_prob": 0.25,
        "width": 40,
    }
    assert row["metadata"][0] is None
    assert row["filters_version"] == "v1"


def test_scores_of_the_scorers_are_the_probabilities_of_the_release() -> None:
    document = replace(making.document(), scores={"fluency": 0.9, "toxic_prob": 0.1})
    general = to_released(document)["general_metadata"]
    assert (general["fluency_prob"], general["toxic_prob"]) == (0.9, 0.1)


OTHER: dict[str, Any] = {
    "general_metadata": {"domain": [], "fluency_prob": 0.9, "id": "abc", "url": "http://a.example"},
    "images": [None, "http://a.example/1.jpg", "http://a.example/2.jpg"],
    "texts": ["Hello.", None, None],
    "metadata": [None, {"width": 200, "height": 300, "bytes": 5, "p_hash": "ff"}, {"width": 9}],
    "valid_image": [True, False],
}


@pytest.mark.parametrize("texts", [(), ("metadata",), ("metadata", "general_metadata")])
def test_a_released_row_is_read_also_where_objects_are_json_texts(texts: tuple[str, ...]) -> None:
    row = OTHER | {name: json.dumps(OTHER[name]) for name in texts}
    document = from_released(row)
    assert document.id == "abc"
    assert document.url == "http://a.example"
    assert document.scores == {"fluency_prob": 0.9}
    assert document.blocks == (
        Block(kind="text", text="Hello."),
        Block(
            kind="image",
            image=WebImage(
                url="http://a.example/1.jpg", width=200, height=300, size_bytes=5, p_hash="ff"
            ),
        ),
        Block(
            kind="image",
            image=WebImage(url="http://a.example/2.jpg", width=9, dropped=NOT_VALID),
        ),
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"texts": ["Hello.", None]}, "3 images and 2 texts"),
        ({"texts": ["Hello.", "x", None]}, "place 1 has both"),
        ({"texts": [None, None, None]}, "place 0 has neither"),
        ({"metadata": [None, {}]}, "metadata has 2 values"),
        ({"metadata": [{}, {}, {}]}, "place 0 has no image and metadata"),
        ({"metadata": [None, None, {}]}, "place 1 has an image and no metadata"),
        ({"metadata": [None, 3, {}]}, "no object"),
        ({"metadata": "[nul"}, "no JSON"),
        ({"general_metadata": "[]]"}, "no JSON"),
        ({"general_metadata": [1]}, "no object"),
        ({"general_metadata": {"url": 3}}, "url is a int"),
        ({"valid_image": [True]}, "valid_image has 1 values, 2"),
        ({"block_kind": ["text"]}, "block_kind has 1 values, 3"),
        ({"block_kind": ["text", "image", "poem"]}, "no kind"),
        ({"images": "no"}, "images is a str"),
        ({"texts": None}, "both needed"),
        ({"texts": [3, None, None]}, "place 0 holds no text"),
        ({"stage_scores": [{"value": 3}]}, "another form"),
        ({"stage_scores": [{"name": "a", "value": "b"}]}, "a score is 'b'"),
        ({"metadata": [None, {"width": "wide"}, {}]}, "width is 'wide'"),
        ({"metadata": [None, {"p_hash": 3}, {}]}, "p_hash is 3"),
        ({"lang_score": True}, "lang_score is True"),
        ({"block_level": [1, None, 2]}, "block_level is null"),
    ],
)
def test_a_row_that_breaks_the_form_is_told(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadError, match=said):
        from_released(OTHER | change)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(making.documents, st.data())
def test_a_row_with_anything_in_a_column_is_read_or_told(
    document: Document, data: st.DataObject
) -> None:
    row = to_released(document)
    for name in data.draw(st.lists(st.sampled_from(sorted(row)), max_size=3)):
        row[name] = data.draw(anything)
    try:
        found = from_released(row)
    except BadError:
        return
    check(json.loads(json.dumps(to_released(found))))


def test_a_block_of_both_text_and_image_is_told() -> None:
    odd = Block(kind="image", text="x", image=WebImage(url="u"))
    with pytest.raises(DataError, match="both a text and an image"):
        to_released(replace(making.document(), blocks=(odd,)))
