"""Shards of documents: written and read back in each form, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shards.documents import document
from tests.shards.making import picture
from tilewise.errors import ConfigError, DataError
from tilewise.records import Document
from tilewise.shards.document_files import ENDINGS, ShardsConfig, write_documents
from tilewise.shards.document_shards import Shards, open_index, read_documents
from tilewise.shards.index import FORMS, Form, read_index, write_index
from tilewise.shards.new_file import hash_of

SMALL = ShardsConfig(group_bytes=8_000, shard_bytes=20_000, filters_version="v1")
DOCUMENTS = [document(n, images=n % 4, words=20) for n in range(40)]


@pytest.mark.parametrize("form", FORMS)
def test_documents_come_back_in_their_order(form: Form, tmp_path: Path) -> None:
    shards = write_documents(DOCUMENTS, tmp_path, form=form, cfg=SMALL)
    assert len(shards) > 1 or form == "parquet"
    assert sum(shard.rows for shard in shards) == len(DOCUMENTS)
    for shard in shards:
        path = tmp_path / shard.name
        assert path.stat().st_size == shard.bytes
        assert hash_of(path) == shard.sha256
    assert list(read_documents(tmp_path)) == DOCUMENTS  # without an index
    write_index(tmp_path, shards, form, {"min_side": 150})
    index = read_index(tmp_path)
    assert index.shards == shards
    assert index.metadata == {"min_side": 150}
    assert list(read_documents(tmp_path)) == DOCUMENTS
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_found_by_their_number_in_any_order(form: Form, tmp_path: Path) -> None:
    shards = write_documents(DOCUMENTS, tmp_path, form=form, cfg=SMALL)
    write_index(tmp_path, shards, form)
    opened = Shards(open_index(tmp_path))
    assert len(opened.sizes) > 2
    for number in [*range(0, 40, 7), *range(39, 0, -3)]:
        assert opened[number].document() == DOCUMENTS[number]
        assert opened.number(opened.place(number)) == number


@pytest.mark.parametrize("form", FORMS)
def test_equal_documents_give_equal_bytes(form: Form, tmp_path: Path) -> None:
    one = write_documents(DOCUMENTS, tmp_path / "a", form=form, cfg=SMALL)
    two = write_documents(iter(DOCUMENTS), tmp_path / "b", form=form, cfg=SMALL)
    assert one == two


def test_groups_keep_their_limit_but_for_one_large_document(tmp_path: Path) -> None:
    documents = [*DOCUMENTS[:9], document(50, images=2, words=5000), *DOCUMENTS[9:]]
    (shard,) = write_documents(
        documents, tmp_path, form="jsonl", cfg=ShardsConfig(group_bytes=8_000)
    )
    sizes = [
        end - group.offset
        for group, end in zip(
            shard.groups, [*(g.offset for g in shard.groups[1:]), shard.bytes], strict=True
        )
    ]
    large = [n for n, size in enumerate(sizes) if size > 8_000]
    assert [shard.groups[n].rows for n in large] == [1]


def test_images_travel_in_archives(tmp_path: Path) -> None:
    data = picture()
    shards = write_documents(
        [document(1, images=3)],
        tmp_path,
        form="webdataset",
        lookup=lambda url: None if url.endswith("1.png") else data,
    )
    assert shards[0].images == 2
    found = Shards(open_index(tmp_path))[0]
    assert [image is None for image in found.images] == [False, True, False]
    assert all(image.open().read() == data for image in found.images if image)


def test_no_documents_give_no_file(tmp_path: Path) -> None:
    assert write_documents([], tmp_path) == ()


def test_files_of_an_earlier_run_go(tmp_path: Path) -> None:
    write_documents(DOCUMENTS, tmp_path, form="jsonl", cfg=SMALL)
    write_documents(DOCUMENTS, tmp_path, form="jsonl", stem="other", cfg=SMALL)
    others = len(list(tmp_path.glob("other-*")))
    write_documents(DOCUMENTS[:1], tmp_path, form="jsonl", cfg=SMALL)
    assert [path.name for path in tmp_path.glob("part-*")] == ["part-00000.jsonl"]
    assert len(list(tmp_path.glob("other-*"))) == others


@pytest.mark.parametrize("form", FORMS)
def test_an_error_among_the_documents_leaves_no_file(form: Form, tmp_path: Path) -> None:
    def failing() -> Iterator[Document]:
        yield from DOCUMENTS[:5]
        raise DataError("the stage before is damaged")

    with pytest.raises(DataError, match="stage before"):
        write_documents(failing(), tmp_path, form=form, cfg=SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_form_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="jsonl"):
        write_documents([], tmp_path, form="csv")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="128 MiB"):
        ShardsConfig(group_bytes=1 << 30)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_documents(DOCUMENTS[:1], tmp_path / "file", form="jsonl")


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_cut_short_is_told(form: Form, tmp_path: Path) -> None:
    shards = write_documents(DOCUMENTS, tmp_path, form=form)
    write_index(tmp_path, shards, form)
    path = tmp_path / shards[0].name
    path.write_bytes(path.read_bytes()[: shards[0].bytes // 2 + 100])
    with pytest.raises(DataError, match="by the index"):
        list(read_documents(tmp_path))
    (tmp_path / "index.json").unlink()
    if form == "jsonl":
        found = list(read_documents(tmp_path))
        assert 0 < len(found) < len(DOCUMENTS)
        assert not isinstance(found[-1], Document)
    else:
        with pytest.raises(DataError, match="no whole"):
            list(read_documents(tmp_path))
    assert ENDINGS[form] == path.suffix[1:]


def test_the_columns_are_those_of_the_release_with_ours_behind_them(tmp_path: Path) -> None:
    import pyarrow.parquet

    write_documents(DOCUMENTS, tmp_path, cfg=SMALL)
    file = pyarrow.parquet.ParquetFile(tmp_path / "part-00000.parquet")
    said = [f"{field.name}: {field.type}".replace("element", "item") for field in file.schema_arrow]
    assert said[:4] == [
        "general_metadata: struct<domain: list<item: string>, fluency_prob: double, id: string, "
        "non_advertisement_prob: double, politics_prob: double, porn_prob: double, "
        "toxic_prob: double, url: string>",
        "images: list<item: string>",
        "texts: list<item: string>",
        "metadata: list<item: struct<aesthetic_prob: double, bytes: int64, d_hash: string, "
        "d_hash_dup_count: int64, height: int64, img_url_sha: string, p_hash: string, "
        "p_hash_dup_count: int64, unsafe_prob: double, width: int64>>",
    ]
    assert set(file.schema_arrow.names[4:]) >= {
        "valid_image", "doc_id", "warc_file", "warc_offset", "capture_date", "lang", "lang_score",
        "license", "block_kind", "stage_scores", "filters_version",
    }  # fmt: skip
    for number in range(file.metadata.num_row_groups):
        assert file.read_row_group(number).nbytes <= SMALL.group_bytes
    assert file.metadata.num_row_groups > 2
    assert file.read().column("filters_version").unique().to_pylist() == ["v1"]
