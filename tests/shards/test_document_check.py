"""Verifying: what is whole is whole, and each kind of damage is told and counted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.shards.documents import document
from tests.shards.making import picture
from tilewise.errors import DataError
from tilewise.shards.document_check import verify
from tilewise.shards.document_files import ShardsConfig, write_documents
from tilewise.shards.document_shards import index_files, read_documents
from tilewise.shards.index import FORMS, Form, write_index

SMALL = ShardsConfig(group_bytes=6_000, shard_bytes=9_000)
DOCUMENTS = [document(n, images=2, words=20) for n in range(30)]


def written(folder: Path, form: Form) -> list[Path]:
    shards = write_documents(
        DOCUMENTS, folder, form=form, cfg=SMALL, lookup=lambda url: picture(4, 4)
    )
    write_index(folder, shards, form)
    return [folder / shard.name for shard in shards]


@pytest.mark.parametrize("form", FORMS)
def test_what_was_written_is_whole(form: Form, tmp_path: Path) -> None:
    files = written(tmp_path, form)
    seen: list[tuple[int, int]] = []
    found = verify(tmp_path, lambda done, of: seen.append((done, of)))
    assert found.is_whole
    assert (found.shards, found.rows, found.images) == (len(files), 30, 60)
    assert seen[-1] == (len(files), len(files))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-700])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (Path.unlink, "missing shard"),
    "cut": (cut, "damaged shard"),
    "flipped": (flip, "other bytes"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_counted_and_the_other_shards_are_read(
    form: Form, damage: str, tmp_path: Path
) -> None:
    files = written(tmp_path, form)
    assert len(files) > 1
    change, kind = DAMAGE[damage]
    change(files[0])
    found = verify(tmp_path)
    assert not found.is_whole
    assert found.counts[kind] == 1  # type: ignore[index]
    assert str(files[0]) in found.faults[0].where
    assert found.rows > 0


@pytest.mark.parametrize("form", FORMS)
def test_any_damage_is_told_or_read_and_never_ends_the_reading(form: Form, tmp_path: Path) -> None:
    (path, *_) = written(tmp_path, form)
    whole = path.read_bytes()
    draw = random.Random(form)
    for _ in range(25):
        data = bytearray(whole)
        for at in draw.sample(range(len(data)), 3):
            data[at] = draw.randrange(256)
        path.write_bytes(data[: draw.choice([len(data), draw.randrange(len(data))])])
        assert not verify(tmp_path).is_whole
        with suppress(DataError):
            list(read_documents(path))


def test_a_row_that_breaks_the_form_is_counted(tmp_path: Path) -> None:
    write_documents(DOCUMENTS[:3], tmp_path, form="jsonl")
    path = tmp_path / "part-00000.jsonl"
    lines = path.read_text().splitlines()
    row = json.loads(lines[1])
    row["texts"].append("one more")
    path.write_text("\n".join([lines[0], json.dumps(row), "{}"]) + "\n")
    (shard,) = index_files([path]).shards
    write_index(tmp_path, [replace(shard, name=path.name)], "jsonl")
    found = verify(tmp_path)
    assert found.counts == {"bad row": 2}
    assert "row 2" in found.faults[0].where
    assert "5 images and 6 texts" in found.faults[0].detail
    assert found.rows == 1


def test_a_file_that_the_index_does_not_name_is_told(tmp_path: Path) -> None:
    written(tmp_path, "jsonl")
    (tmp_path / "other.jsonl").write_text("{}\n")
    assert verify(tmp_path).counts == {"unlisted file": 1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "x"}, "is no index"),
        ({"version": 2}, "version 2"),
        ({"rows": 7}, "its rows are 7"),
        ({"form": "csv"}, "'csv'"),
        ({"shards": [{}]}, "groups is missing"),
        ({"shards": 3}, "not iterable"),
    ],
)
def test_an_index_that_does_not_hold_together_is_told(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    written(tmp_path, "jsonl")
    path = tmp_path / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=said):
        verify(tmp_path)


def test_an_index_may_not_name_files_of_other_folders(tmp_path: Path) -> None:
    written(tmp_path, "jsonl")
    path = tmp_path / "index.json"
    path.write_text(path.read_text().replace("part-00000.jsonl", "../part.jsonl"))
    with pytest.raises(DataError, match="no name of a file"):
        verify(path)


def test_no_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="index"):
        verify(tmp_path)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        verify(tmp_path)
