"""Texts and pairs of documents: the text is the source's, the pairs follow their rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from tests.shards import documents as making
from tests.shards.documents import document
from tests.shards.making import save_picture
from tilewise.corpus.export.degrade import PairsConfig, pairs_of, text_of, words
from tilewise.corpus.export.degrade_files import SUMMARY, degrade
from tilewise.corpus.export.similarity import similar_of, write_mmc4
from tilewise.errors import ConfigError, DataError
from tilewise.records import Block, Document, WebImage
from tilewise.shards.conversation import Sample
from tilewise.shards.document_files import ShardsConfig, write_documents
from tilewise.shards.image_files import ImageFolder
from tilewise.shards.index import FORMS, Form, write_index
from tilewise.shards.listing import open_data

SMALL = ShardsConfig(group_bytes=5_000, shard_bytes=9_000)


def text(said: str) -> Block:
    return Block(kind="text", text=said)


def image(name: str = "a", **more: Any) -> Block:
    return Block(kind="image", image=WebImage(url=f"http://a.example/{name}", **more))


def doc(*blocks: Block) -> Document:
    return Document(id="d", url="http://a.example", blocks=blocks)


@given(making.documents)
def test_the_text_is_that_of_the_source(document: Document) -> None:
    texts = [block.text for block in document.blocks if block.image is None]
    assert text_of(document) == "\n\n".join(texts)


def test_an_image_gets_its_caption_then_its_alternative_text_then_what_stands_beside() -> None:
    long, short = "one two three four five", "only four words here"
    found = list(
        pairs_of(
            doc(
                text(long + " before"),
                image("0", caption="a fine cat", alt="some other long words"),
                image("1", caption="a cat", alt="a very fine cat"),
                image("2"),
                text(long),
                image("3", alt="cat"),
                text(short),
                text(long),
                image("4"),
                image("5"),
                text(short),
                image("6", caption="a fine cat", dropped="min_side"),
            )
        )
    )
    assert [(pair.number, pair.origin, pair.text) for pair in found] == [
        (0, "caption", "a fine cat"),
        (1, "alt", "a very fine cat"),
        (2, "after", long),
        (3, "before", long),
        (4, "before", long),
    ]


def test_the_most_similar_block_comes_first_if_it_is_similar_enough() -> None:
    source = doc(text("far away"), image("0", caption="a fine cat"), text("x"), image("1"))
    matrix = np.array([[0.24, 0.1], [0.2, 0.23]])
    found = list(pairs_of(source, None, matrix))
    assert [(pair.number, pair.origin, pair.text) for pair in found] == [(0, "similar", "far away")]
    assert found[0].similarity == 0.24
    lenient = PairsConfig(least_similarity=0.2)
    assert [pair.text for pair in pairs_of(source, lenient, matrix)] == ["far away", "x"]
    with pytest.raises(DataError, match="a row for each image"):
        list(pairs_of(source, None, matrix[:1]))


def test_ideographs_are_words() -> None:
    assert words("一张猫的照片") == 6
    assert words("the cat 猫 sat") == 4
    assert words("") == 0


@pytest.mark.parametrize("form", FORMS)
def test_shards_give_texts_and_pairs_that_training_reads(form: Form, tmp_path: Path) -> None:
    documents = [document(n, images=n % 3, words=30) for n in range(20)]
    source = tmp_path / "final"
    shards = write_documents(documents, source, form=form, cfg=SMALL)
    write_index(source, shards, form)
    texts = degrade(source, tmp_path / "text", "text")
    pairs = degrade(source, tmp_path / "pairs", "pairs")
    assert (texts.documents, texts.rows) == (20, 20)
    assert pairs.rows == sum(len(one.images) for one in documents)
    assert len(texts.files) == len(shards)
    said = []
    for file in texts.files:
        lines = (tmp_path / "text" / file.name).read_text().splitlines()
        said += [json.loads(line)["text"] for line in lines]
    assert said == [text_of(one) for one in documents]
    summary = json.loads((tmp_path / "pairs" / SUMMARY).read_text())
    assert summary["settings"] == {
        "least_similarity": 0.24, "least_caption_words": 3, "least_words": 5
    }  # fmt: skip

    images = ImageFolder(tmp_path / "images")
    for one in documents:
        for picture in one.images:
            save_picture(images.path(picture.url))
    (listed,) = open_data(tmp_path / "pairs" / pairs.files[0].name, images.root)
    sample = listed.data[0]
    assert isinstance(sample, Sample)
    assert sample.is_document
    assert sample.images[0].page().width == 40
    (listed,) = open_data(tmp_path / "text" / texts.files[0].name)
    sample = listed.data[0]
    assert isinstance(sample, Sample)
    assert sample.turns[0].text == text_of(documents[0])


def test_a_damaged_shard_and_a_bad_row_are_counted_and_the_rest_is_written(tmp_path: Path) -> None:
    documents = [document(n, words=30) for n in range(20)]
    shards = write_documents(documents, tmp_path / "in", form="jsonl", cfg=SMALL)
    write_index(tmp_path / "in", shards, "jsonl")
    assert len(shards) > 2
    path = tmp_path / "in" / shards[0].name
    path.write_bytes(path.read_bytes()[:-9])
    path = tmp_path / "in" / shards[1].name
    path.write_bytes(path.read_bytes().replace(b'"texts":[', b'"texts":{', 1))
    found = degrade(tmp_path / "in", tmp_path / "out", "text")
    assert found.bad == {"damaged shard": 1, "unreadable record": 1}
    assert found.documents == 20 - shards[0].rows - 1


def test_mmc4_records_give_pairs_by_their_similarities(tmp_path: Path) -> None:
    one = document(1, images=2, words=9)
    matrix = np.array([[0.1, 0.9, 0.1], [0.1, 0.1, 0.2]])
    similar = similar_of(one, matrix, is_split=False)
    write_mmc4([similar], tmp_path / "docs.jsonl")
    found = degrade(tmp_path / "docs.jsonl", tmp_path / "out", "pairs")
    lines = (tmp_path / "out" / found.files[0].name).read_text().splitlines()
    said = [(row["origin"], row["text"]) for row in map(json.loads, lines)]
    assert said == [("similar", similar.sentences[1]), ("alt", "picture 1 of document 1")]
    assert degrade(tmp_path / "docs.jsonl", tmp_path / "text", "text").rows == 1


@pytest.mark.parametrize("first", ["", "\n\n", "{broken\n"])
def test_a_file_of_mmc4_is_told_by_more_than_its_first_line(tmp_path: Path, first: str) -> None:
    similar = similar_of(document(1, images=1, words=9), np.array([[0.9, 0.1]]), is_split=False)
    path = tmp_path / "docs.jsonl"
    write_mmc4([similar] * 3, path)
    path.write_text(first + path.read_text())
    found = degrade(path, tmp_path / "out", "pairs")
    assert (found.documents, found.rows) == (3, 3)
    assert found.bad == ({"unreadable record": 1} if "broken" in first else {})


def test_documents_are_not_mixed_with_what_is_made_of_them(tmp_path: Path) -> None:
    write_index(
        tmp_path, write_documents([document(1)], tmp_path, form="jsonl", cfg=SMALL), "jsonl"
    )
    with pytest.raises(ConfigError, match="is where the documents lie; give another folder"):
        degrade(tmp_path, tmp_path / "." / "x" / "..", "text")


def test_a_kind_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pairs"):
        degrade(tmp_path, tmp_path, "poems")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="least_words"):
        PairsConfig(least_words=-1)
    with pytest.raises(DataError, match="cannot be read"):
        degrade(tmp_path / "none", tmp_path, "text")
