"""MMC4's form: images in front of the sentences that fit them best."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.shards.documents import document
from tilewise.corpus.export.similarity import (
    LEAST,
    Matrix,
    Similar,
    document_of,
    from_mmc4,
    placed,
    read_mmc4,
    sentences_of,
    similar_of,
    to_mmc4,
    write_mmc4,
)
from tilewise.errors import DataError
from tilewise.records import Block, Document, WebImage
from tilewise.shards.conversation import Bad, BadError

matrices = st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 100).map(lambda n: n / 100))
)


@given(matrices)
def test_the_sum_of_similarities_is_the_greatest_there_is(matrix: Matrix) -> None:
    images, sentences = matrix.shape
    found = placed(matrix, least=-1)
    if images <= sentences:
        assert len(set(found)) == images
        total = sum(matrix[n, at] for n, at in enumerate(found) if at is not None)
        orders = itertools.permutations(range(sentences), images)
        best = max(sum(matrix[n, at] for n, at in enumerate(order)) for order in orders)
        assert total == pytest.approx(best)
    else:  # every sentence has an image, and those left over stand at their best
        assert set(found) == set(range(sentences))
        odd = [n for n, at in enumerate(found) if matrix[n, at] != matrix[n].max()]
        assert len(odd) <= sentences


def test_images_left_over_go_to_their_best_sentence() -> None:
    matrix = np.array([[0.9, 0.3], [0.8, 0.5], [0.7, 0.2]])
    assert placed(matrix) == (0, 1, 0)


def test_a_similarity_below_the_least_leaves_an_image_out() -> None:
    matrix = np.array([[LEAST - 0.001, 0.0], [0.0, LEAST]])
    assert placed(matrix) == (None, 1)
    assert placed(matrix, least=0.1) == (0, 1)


def test_images_that_are_not_valid_take_no_sentence() -> None:
    matrix = np.array([[0.9, 0.1], [0.8, 0.1]])
    assert placed(matrix, valid=[1]) == (None, 0)
    assert placed(matrix, valid=[]) == (None, None)
    assert placed(np.zeros((2, 0))) == (None, None)


def test_a_document_has_its_images_in_front_of_their_sentences() -> None:
    similar = Similar(
        url="http://a.example",
        sentences=("One.", "Two.", "Three."),
        images=tuple(WebImage(url=f"http://a.example/{n}") for n in range(3)),
        matrix=np.array([[0.1, 0.2, 0.9], [0.8, 0.1, 0.1], [0.1, 0.2, 0.1]]),
        valid=(0, 1, 2),
        place="a.warc.gz:17",
    )
    made = document_of(similar)
    said = [block.image.url[-1] if block.image else block.text for block in made.blocks]
    assert said == ["1", "One.", "Two.", "0", "Three."]
    assert (made.archive, made.offset) == ("a.warc.gz", 17)


def test_a_record_comes_back_from_a_file(tmp_path: Path) -> None:
    made = []
    for number in range(3):
        own = document(number, images=number, words=6)
        size = (number, len(sentences_of(own)))
        matrix = np.random.default_rng(number).random(size)
        made.append(similar_of(own, matrix))
    assert write_mmc4(made, tmp_path / "docs.jsonl") == 3
    found = list(read_mmc4(tmp_path / "docs.jsonl"))
    for one, other in zip(made, found, strict=True):
        assert isinstance(other, Similar)
        assert to_mmc4(one) == to_mmc4(other)
        assert [image.url for image in one.images] == [image.url for image in other.images]


def test_matches_are_those_of_the_original_record() -> None:
    record: dict[str, Any] = {
        "url": "http://a.example",
        "text_list": ["One.", "Two."],
        "image_info": [
            {"image_name": "a.jpg", "raw_url": "http://a.example/a.jpg", "matched_text_index": 1},
            {"image_name": "b.jpg", "raw_url": "http://a.example/b.jpg", "matched_text_index": 0},
        ],
        "similarity_matrix": [[0.2, 0.3], [0.3, 0.1]],
    }
    similar = from_mmc4(record)
    assert similar.valid == (0, 1)
    assert [one["matched_text_index"] for one in to_mmc4(similar)["image_info"]] == [1, 0]
    assert from_mmc4(record | {"valid_image_ids": ["b.jpg"]}).valid == (1,)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"similarity_matrix": [[0.1]]}, r"\(1, 1\)"),
        ({"similarity_matrix": [[0.1, 0.2], [0.1]]}, "another form"),
        ({"similarity_matrix": [[0.1, float("nan")]]}, "no finite"),
        ({"text_list": [1, 2]}, "no text"),
        ({"image_info": [{}]}, "image_name"),
        ({"valid_image_ids": [3]}, "not there"),
        ({"valid_image_ids": 3}, "another form"),
    ],
)
def test_a_record_of_another_form_is_told(change: dict[str, Any], said: str) -> None:
    record: dict[str, Any] = {
        "url": "u",
        "text_list": ["One.", "Two."],
        "image_info": [{"image_name": "a"}],
        "similarity_matrix": [[0.1, 0.2]],
    }
    from_mmc4(record)
    with pytest.raises(BadError, match=said):
        from_mmc4(record | change)


def test_a_damaged_line_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    good = json.dumps({"text_list": [], "image_info": [], "similarity_matrix": []})
    path.write_text(f"{good}\n{{\n[]\n{good}\n")
    found = list(read_mmc4(path))
    assert [isinstance(one, Bad) for one in found] == [False, True, True, False]
    with pytest.raises(DataError, match="cannot be read"):
        list(read_mmc4(tmp_path / "none"))


def test_sentences_are_split_in_english_and_chinese() -> None:
    blocks = (
        Block(kind="text", text="It is so. Is it? Yes!"),
        Block(kind="text", text="今天很好。明天呢？"),
        Block(kind="image", image=WebImage(url="u")),
    )
    one = Document(id="a", url="u", blocks=blocks)
    assert sentences_of(one) == ("It is so.", "Is it?", "Yes!", "今天很好。", "明天呢？")
    assert sentences_of(one, is_split=False) == ("It is so. Is it? Yes!", "今天很好。明天呢？")
