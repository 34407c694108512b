"""Files of samples in every form, told apart by their content."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shards.making import picture, record, save_picture, turns, write_lines, write_tar
from tilewise.errors import DataError, MissingExtraError
from tilewise.records import Turn
from tilewise.shards.conversation import Bad, Sample
from tilewise.shards.listing import Dataset, open_data
from tilewise.shards.text_files import json_lines, json_list


def only(path: Path, root: Path | None = None) -> Dataset:
    (listed,) = open_data(path, root)
    return listed.data


def good(data: Dataset, index: int = 0) -> Sample:
    sample = data[index]
    assert isinstance(sample, Sample), sample
    return sample


def bad(data: Dataset, index: int = 0) -> Bad:
    found = data[index]
    assert isinstance(found, Bad), found
    return found


def test_a_line_becomes_a_sample_with_its_image_from_the_root(tmp_path: Path) -> None:
    save_picture(tmp_path / "img" / "a.png", 20, 10)
    path = write_lines(tmp_path / "a.jsonl", [record("x", "a.png", width=20, height=10, length=9)])
    sample = good(only(path, tmp_path / "img"))
    assert sample.id == "x"
    assert sample.turns == (
        Turn(role="user", text="<image>\nWhat is it?"),
        Turn(role="assistant", text="A page."),
    )
    assert sample.where == f"{path}:1"
    assert (sample.length, sample.sizes) == (9, ((20, 10),))
    (image,) = sample.images
    assert image.is_there
    assert image.size() == (20, 10)
    assert image.page().pixels.shape == (10, 20, 3)


def test_a_system_turn_is_kept_and_another_first_turn_is_dropped(tmp_path: Path) -> None:
    said = turns("Q", "A")
    lines = [
        {"conversations": [{"from": "system", "value": "Be brief."}, *said]},
        {"conversations": [{"from": "gpt", "value": "Hello."}, *said]},
        {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]},
    ]
    data = only(write_lines(tmp_path / "a.jsonl", lines))
    assert [good(data, i).system for i in range(3)] == ["Be brief.", None, None]
    assert len({good(data, i).turns for i in range(3)}) == 1


@pytest.mark.parametrize(
    ("item", "reason", "detail"),
    [
        (5, "unreadable record", "no object"),
        ({}, "no conversation", "neither conversations nor messages"),
        ({"conversations": "x"}, "no conversation", "not a list"),
        ({"conversations": [{"from": "human"}]}, "no conversation", "no text"),
        ({"conversations": turns("only")}, "no conversation", "no question with an answer"),
        (
            {"conversations": [turns("a")[0], turns("a")[0]]},
            "turns do not alternate",
            "turn 2 is from 'human' again",
        ),
        (
            {"conversations": [turns("a")[0], {"from": "bot", "value": "x"}]},
            "turns do not alternate",
            "turn 2 is from 'bot'",
        ),
        (record("1", None, "<image>", "A"), "wrong placeholder count", "hold 1 places"),
        (record("1", ["a", "b"], "<image>", "A"), "wrong placeholder count", "for 2 images"),
        (record("1", ["a", "b"], "Q", "A"), "wrong placeholder count", "hold 0 places"),
        (record("1", "http://x/y.png"), "missing image", "fetch it into a file"),
        (record("1", [None]), "missing image", "path of a file"),
        (record("1", None, video="v.mp4", clip=[3, 1]), "bad clip", "start and end"),
        ({"texts": ["a", None], "images": [None, None]}, "wrong placeholder count", "place 2"),
        ({"texts": ["a"], "images": []}, None, ""),
        ({"texts": ["a", "b"], "images": [None]}, "wrong placeholder count", "2 texts and 1"),
        ({"texts": ["<image>"]}, "marker in text", "text 1"),
        ({"texts": []}, "no conversation", "empty"),
    ],
)
def test_a_bad_record_says_why(tmp_path: Path, item: Any, reason: str | None, detail: str) -> None:
    found = json_lines(write_lines(tmp_path / "a.jsonl", [record(), item]))[1]
    if reason is None:
        assert isinstance(found, Sample)
        return
    assert isinstance(found, Bad)
    assert (found.where, found.reason) == (f"{tmp_path}/a.jsonl:2", reason)
    assert detail in found.detail


def test_an_unreadable_line_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    line = json.dumps(record()).encode()
    path.write_bytes(line + b"\n\n  \n{broken\n" + line + b"\r\n\xff\n" + line)
    data = only(path)
    assert len(data) == 5
    assert bad(data, 1).where == f"{path}:4"
    assert bad(data, 1).detail.startswith("it is no JSON: Expecting property name")
    assert "UTF-8" in bad(data, 3).detail
    assert good(data, 4).where == f"{path}:7"
    assert isinstance(data[2], Sample)


def test_a_json_list_is_read_record_by_record(tmp_path: Path) -> None:
    records = [record(str(n), None, 'a "quote" ]}{[ \\', "b") for n in range(5)]
    path = tmp_path / "llava.json"
    path.write_text(json.dumps(records, indent=1))
    data = only(path)
    assert [good(data, n).id for n in range(5)] == list("01234")
    assert good(data, 1).where == f"{path}:15 (record 2)"
    path.write_text(json.dumps(records)[:-9])
    with pytest.raises(DataError, match="does not end, after 4 records"):
        open_data(path)
    path.write_text(json.dumps(records).replace('"id": "3"', '"id" "3"'))
    assert bad(only(path), 3).reason == "unreadable record"
    assert good(only(path), 4).id == "4"


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.sampled_from([None, 2]))
def test_both_json_forms_give_all_records(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], indent: int | None
) -> None:
    folder = tmp_path_factory.mktemp("both")
    records = [record(text.replace("\0", ""), None, "q", text) for text in texts]
    (folder / "a.json").write_text(json.dumps(records, indent=indent, ensure_ascii=False), "utf-8")
    write_lines(folder / "a.jsonl", records)
    for data in (json_list(folder / "a.json"), json_lines(folder / "a.jsonl")):
        assert [good(data, n).turns[1].text for n in range(len(data))] == texts


def test_an_interleaved_document_is_one_text_with_its_images(tmp_path: Path) -> None:
    document = {"id": "d", "texts": ["One.", None, "Two."], "images": [None, "a.png", None]}
    sample = good(only(write_lines(tmp_path / "d.jsonl", [document])))
    assert sample.is_document
    assert sample.turns == (Turn(role="assistant", text="One.\n<image>\nTwo."),)
    assert [image.name for image in sample.images] == ["a.png"]


def test_a_video_gets_its_place_and_its_clip(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "v.jsonl", [record("v", None, video="v.mp4", clip=[1, 2.5])])
    sample = good(only(path))
    assert sample.is_video
    assert sample.turns[0].text == "<video>\nWhat is it?"
    assert sample.images[0].clip_s == (1.0, 2.5)


def test_a_tar_archive_groups_members_by_name(tmp_path: Path) -> None:
    one, two = picture(8, 6, 1), picture(6, 8, 2)
    said = {"conversations": turns("<image><image> same?", "no")}
    members = {
        "a/001.json": json.dumps(said).encode(),
        "a/001.0.png": one,
        "a/001.1.png": two,
        "a/002.txt": b"A caption.",
        "a/002.jpg": two,
        "a/003.json": json.dumps(record("mine", "1.png")).encode(),
        "a/003.0.png": one,
        "a/003.1.png": two,
        "a/004.png": one,
        "a/005.json": json.dumps(record("x", "other.png")).encode(),
    }
    data = only(write_tar(tmp_path / "w.tar", members))
    assert len(data) == 5
    assert [image.size() for image in good(data).images] == [(8, 6), (6, 8)]
    assert good(data).id == "a/001"
    caption = good(data, 1)
    assert caption.is_document
    assert caption.turns[0].text == "<image>\nA caption."
    assert good(data, 2).id == "mine"
    assert good(data, 2).images[0].page().pixels.shape == (8, 6, 3)
    assert bad(data, 3).reason == "no conversation"
    assert (bad(data, 4).reason, bad(data, 4).where) == (
        "missing image",
        f"{data_path(data)}: a/005",
    )


def data_path(data: Any) -> Path:
    return Path(data.path)


def test_a_tar_archive_that_is_cut_short_or_compressed_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "w.tar", {"a.png": picture(90, 90), "a.json": b"{}"})
    whole = path.read_bytes()
    path.write_bytes(whole[:9_000])
    with pytest.raises(DataError, match="no whole tar archive"):
        open_data(path)
    import gzip

    path.write_bytes(gzip.compress(whole))
    with pytest.raises(DataError, match="is compressed"):
        open_data(path)


def write_parquet(path: Path, rows: list[dict[str, Any]], group: int = 2) -> Path:
    import pyarrow
    import pyarrow.parquet as parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=group)
    return path


def test_rows_of_a_parquet_file_have_images_as_bytes_or_paths(tmp_path: Path) -> None:
    save_picture(tmp_path / "b.png", 9, 7)
    both = [
        record(str(n), {"bytes": picture(5 + n, 4), "path": f"{n}.png"} if n < 3 else None)
        for n in range(5)
    ]
    data = only(write_parquet(tmp_path / "a.parquet", both))
    assert [good(data, n).id for n in (4, 0, 3, 1)] == list("4031")
    assert good(data, 1).images[0].size() == (6, 4)
    assert good(data, 4).images == ()
    assert good(data, 2).where == f"{tmp_path}/a.parquet: row 3"
    path = write_parquet(tmp_path / "b.parquet", [record("1", "b.png")])
    assert good(only(path)).images[0].size() == (9, 7)
    with pytest.raises(IndexError):
        data[5]
    write_parquet(tmp_path / "c.parquet", [{"question": "?"}])
    with pytest.raises(DataError, match="has the columns question"):
        open_data(tmp_path / "c.parquet")
    (tmp_path / "d.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:200])
    with pytest.raises(DataError, match="no whole Parquet file"):
        open_data(tmp_path / "d.parquet")


def test_parquet_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tilewise\[parquet\]'"):
        open_data(tmp_path / "a.parquet")


def test_a_meta_file_lists_datasets_with_their_settings(tmp_path: Path) -> None:
    write_lines(tmp_path / "x" / "a.jsonl", [record(str(n), f"{n}.png") for n in range(5)])
    write_lines(tmp_path / "b.jsonl", [record(str(n)) for n in range(3)])
    meta = {
        "first": {
            "root": "x/img",
            "annotation": "x/a.jsonl",
            "data_augment": True,
            "repeat_time": 0.5,
            "length": 5,
            "max_dynamic_patch": 6,
        },
        "again": {"root": "", "annotation": "b.jsonl", "data_augment": False, "repeat_time": 3},
    }
    for indent in (None, 2):
        (tmp_path / "meta.json").write_text(json.dumps(meta, indent=indent))
        first, again = open_data(tmp_path / "meta.json")
        assert (first.name, len(first), first.max_tiles) == ("first", 2, 6)
        assert (first.is_augmented, first.declared) == (True, 5)
        assert good(first.data, 1).images[0].path == tmp_path / "x/img/1.png"
        assert [good(again.data, n).id for n in range(9)] == list("012012012")
        assert (again.max_tiles, again.is_augmented) == (None, False)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"repeat_time": 1.5}, "repeat_time is 1.5; a fraction below 1, or a whole number"),
        ({"repeat_time": 0}, "repeat_time is 0"),
        ({"repeat_time": 0.1}, "of 3 samples none is left"),
        ({"max_dynamic_patch": 0}, "max_dynamic_patch is 0"),
        ({"annotation": 7}, "must be paths"),
        ({"annotation": "gone.jsonl"}, "gone.jsonl cannot be read"),
        ({"annotation": "meta.json"}, "is listed itself"),
    ],
)
def test_a_wrong_entry_of_a_meta_file_is_named(
    tmp_path: Path, entry: dict[str, object], message: str
) -> None:
    write_lines(tmp_path / "a.jsonl", [record()] * 3)
    path = tmp_path / "meta.json"
    path.write_text(json.dumps({"d": {"annotation": "a.jsonl"} | entry}))
    with pytest.raises(DataError, match=message):
        open_data(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"[]", "holds no samples"),
        (b"hello", "of no form that is read"),
        (b'{"a": {"annotation": "x"}, }', "lists datasets and is no JSON"),
    ],
)
def test_a_file_that_is_no_data_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_data(tmp_path / "a")


def test_readers_travel_to_other_processes(tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "a.jsonl", [record("7")])
    (tmp_path / "l.json").write_text(json.dumps([record("7")]))
    files = [lines, tmp_path / "l.json"]
    files.append(write_tar(tmp_path / "w.tar", {"7.json": json.dumps(record("7")).encode()}))
    files.append(write_parquet(tmp_path / "p.parquet", [record("7")]))
    for path in files:
        data = only(path)
        assert good(data) == good(pickle.loads(pickle.dumps(data)))
        assert good(data).id == "7"
