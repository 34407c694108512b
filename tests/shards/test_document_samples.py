"""Shards of documents as data to learn from, opened like any other file of samples."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.shards.documents import document
from tests.shards.making import picture, save_picture, write_tar
from tilewise.errors import DataError
from tilewise.records import Block, Document, WebImage
from tilewise.shards.conversation import IMAGE, Bad, Sample
from tilewise.shards.document_files import ShardsConfig, write_documents
from tilewise.shards.document_samples import MOST_IMAGES, Documents
from tilewise.shards.image_files import ImageFolder
from tilewise.shards.index import FORMS, NAME, Form, write_index
from tilewise.shards.listing import open_data, runs_of

SMALL = ShardsConfig(group_bytes=5_000, shard_bytes=9_000)


def written(folder: Path, documents: list[Document], form: Form, **more: Any) -> Path:
    shards = write_documents(documents, folder, form=form, cfg=SMALL, **more)
    write_index(folder, shards, form)
    return folder


def samples(path: Path, root: Path | None = None) -> list[Sample | Bad]:
    (listed,) = open_data(path, root)
    return [listed.data[index] for index in range(len(listed.data))]


def good(found: Sample | Bad) -> Sample:
    assert isinstance(found, Sample), found
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("what", ["folder", "index", "shard"])
def test_a_folder_its_index_and_a_shard_are_opened(form: Form, what: str, tmp_path: Path) -> None:
    documents = [document(n, images=n % 3, words=6) for n in range(6)]
    images = ImageFolder(tmp_path / "images")
    for one in documents:
        for image in one.images:
            save_picture(images.path(image.url))
    folder = written(tmp_path / "final", documents, form, lookup=images.read)
    path = {"folder": folder, "index": folder / NAME}.get(what) or next(folder.glob("part-00000.*"))
    found = samples(path)
    for one, sample in zip(documents, map(good, found), strict=False):
        said = [IMAGE if block.image else block.text for block in one.blocks]
        assert sample.turns[0].text == "\n".join(said)
        assert sample.is_document
        assert sample.id == one.id
        assert [image.page().width for image in sample.images] == [40] * len(one.images)
    (listed,) = open_data(path)
    assert sum(runs_of(listed.data) or ()) == len(found)


def test_images_that_are_dropped_and_those_beyond_the_most_are_left_out(tmp_path: Path) -> None:
    blocks = []
    for n in range(10):
        dropped = "image_unsafe" if n in (0, 3) else None
        image = WebImage(url=f"http://a.example/{n}", dropped=dropped)
        save_picture(ImageFolder(tmp_path / "images").path(image.url))
        blocks += [Block(kind="image", image=image), Block(kind="text", text=f"text {n}")]
    one = replace(document(), blocks=(*blocks, Block(kind="text")))
    folder = written(tmp_path / "final", [one], "parquet")
    (sample,) = map(good, samples(folder))
    assert [image.name[-1] for image in sample.images] == list("124567")
    assert len(sample.images) == MOST_IMAGES
    assert sample.turns[0].text.count("text") == 10
    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps({"web": {"annotation": "final", "root": "images", "max_images": 2}}))
    (sample,) = map(good, samples(meta))
    assert len(sample.images) == 2


def test_released_files_are_read_with_images_from_their_folder(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    rows = {
        "general_metadata": [json.dumps({"id": "a", "url": "http://a.example"})] * 2,
        "images": [[None, "http://a.example/1"], [None, None]],
        "texts": [["Hello.", None], ["Bad.", None]],
        "metadata": [json.dumps([None, {"width": 40}]), "[null, null]"],
    }
    pyarrow.parquet.write_table(pa.table(rows), tmp_path / "odd.parquet")
    save_picture(tmp_path / "pictures" / ImageFolder(Path()).path("http://a.example/1").name)
    first, second = samples(tmp_path / "odd.parquet", tmp_path / "pictures")
    assert good(first).images[0].page().width == 40  # the flat folder of the released code
    assert isinstance(second, Bad)
    assert second.reason == "wrong placeholder count"
    assert "place 1 has neither" in second.detail
    assert "row 2" in second.where


def test_an_image_that_is_not_there_is_a_bad_sample(tmp_path: Path) -> None:
    for form in FORMS:
        folder = written(tmp_path / form, [document(1)], form)
        (found,) = samples(folder)
        if form == "webdataset":
            assert isinstance(found, Bad)
            assert found.reason == "missing image"
        else:
            assert not good(found).images[0].is_there


def test_an_archive_whose_record_names_a_member_that_is_gone_is_a_bad_sample(
    tmp_path: Path,
) -> None:
    folder = written(tmp_path / "a", [document(1)], "webdataset", lookup=lambda url: picture())
    import tarfile

    with tarfile.open(folder / "part-00000.tar") as archive:
        name = archive.getnames()[0]
        record = archive.extractfile(name)
        assert record is not None
        data = record.read()
    write_tar(tmp_path / "cut.tar", {name: data})
    (found,) = samples(tmp_path / "cut.tar")
    assert isinstance(found, Bad)
    assert found.reason == "missing image"


def test_portions_of_shards_know_what_is_read_together(tmp_path: Path) -> None:
    documents = [document(n, words=12) for n in range(20)]
    folder = written(tmp_path / "final", documents, "jsonl")
    runs = Documents(open_data(folder)[0].data.index).runs  # type: ignore[attr-defined]
    assert len(runs) > 3
    for times, count in ((0.5, 10), (2, 40)):
        entry = {"annotation": "final", "repeat_time": times}
        (tmp_path / "meta.json").write_text(json.dumps({"web": entry}))
        (listed,) = open_data(tmp_path / "meta.json")
        found = runs_of(listed.data)
        assert found is not None
        assert sum(found) == len(listed.data) == count
        assert found[:2] == runs[:2]


def test_other_files_are_what_they_were(tmp_path: Path) -> None:
    text = 'It says "general_metadata": nothing.'
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}) + "\n")
    (sample,) = map(good, samples(tmp_path / "a.jsonl"))
    assert sample.turns[0].text == text
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="holds no shards"):
        open_data(empty)
