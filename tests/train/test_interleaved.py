"""Streams of documents: each row once in a pass over all readers, and resumed at any row."""

from __future__ import annotations

import json
import pickle
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from tests.shards.documents import document
from tests.shards.making import save_picture
from tilewise.errors import ConfigError, DataError
from tilewise.records import Document
from tilewise.shards.document_files import ShardsConfig, write_documents
from tilewise.shards.image_files import ImageFolder
from tilewise.shards.index import FORMS, Form, write_index
from tilewise.train.interleaved import At, InterleavedDataset, Item

COUNT = 23
SMALL = ShardsConfig(group_bytes=4_000, shard_bytes=9_000)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same documents in each form, in several shards of several groups."""
    made: dict[str, Path] = {}
    for form in FORMS:
        folder = tmp_path_factory.mktemp(form)
        write(folder, form)
        made[form] = folder
    return made


def write(folder: Path, form: Form, count: int = COUNT) -> None:
    documents = [document(n, images=n % 3, words=12) for n in range(count)]
    shards = write_documents(documents, folder, form=form, cfg=SMALL)
    write_index(folder, shards, form)


def numbers(items: Any) -> list[int]:
    return [int(item.document.id, 16) for item in items]


@settings(max_examples=20)
@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 30),
    st.integers(0, 9),
    st.integers(0, 2),
)
def test_each_row_comes_once_in_a_pass_over_all_readers(
    folders: dict[str, Path], world: int, workers: int, buffer: int, seed: int, epoch: int
) -> None:
    found: list[int] = []
    sizes = []
    for rank in range(world):
        data = InterleavedDataset(
            folders["jsonl"], seed=seed, rank=rank, world=world, buffer=buffer
        )
        data.set_epoch(epoch)
        own = [numbers(data.read(worker, workers)) for worker in range(workers)]
        assert sum(map(len, own)) == len(data)
        sizes += [len(part) for part in own]
        found += [number for part in own for number in part]
    assert sorted(found) == list(range(COUNT))
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=12)
@given(st.integers(0, COUNT * 2), st.integers(1, 30), st.integers(0, 9), st.sampled_from(FORMS))
def test_a_stream_that_is_resumed_at_any_row_equals_an_undisturbed_one(
    folders: dict[str, Path], at: int, buffer: int, seed: int, form: Form
) -> None:
    given_: dict[str, Any] = {"seed": seed, "buffer": buffer, "is_endless": True}
    whole = numbers(islice(InterleavedDataset(folders[form], **given_), 2 * COUNT + 5))
    data = InterleavedDataset(folders[form], **given_)
    assert numbers(islice(data, at)) == whole[:at]
    state = json.loads(json.dumps(data.state_dict()))
    again = InterleavedDataset(folders[form], **given_)
    again.load_state_dict(state)
    assert numbers(islice(again, 5)) == whole[at : at + 5]


@pytest.mark.parametrize("form", FORMS)
def test_passes_have_other_orders_and_are_the_same_in_each_form(
    folders: dict[str, Path], form: Form
) -> None:
    data = InterleavedDataset(folders[form], seed=1, buffer=10)
    first, second = numbers(data), numbers(data)
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != second != sorted(second)
    assert data.epoch == 2
    data.set_epoch(0)
    assert numbers(data) == first
    assert numbers(InterleavedDataset(folders[form], seed=2, buffer=10)) != first


def test_a_pass_that_is_left_goes_on_and_the_next_one_is_whole(folders: dict[str, Path]) -> None:
    data = InterleavedDataset(folders["jsonl"], buffer=7)
    first = numbers(islice(data, 15))
    assert data.epoch == 0
    assert sorted(first + numbers(data)) == list(range(COUNT))
    assert data.epoch == 1
    assert sorted(numbers(data)) == list(range(COUNT))


def batches(data: InterleavedDataset, workers: int = 2) -> Any:
    return DataLoader(data, batch_size=3, num_workers=workers, collate_fn=list)


def test_workers_of_a_loader_have_each_row_once_and_go_on(folders: dict[str, Path]) -> None:
    data = InterleavedDataset(folders["parquet"], seed=3, buffer=9)
    rows: list[list[int]] = [[], []]
    for epoch in range(2):
        for batch in batches(data):
            data.seen(batch)
            rows[epoch] += numbers(batch)
    assert sorted(rows[0]) == sorted(rows[1]) == list(range(COUNT))
    assert rows[0] != rows[1]
    left = InterleavedDataset(folders["parquet"], seed=3, buffer=9)
    for batch in islice(batches(left), 3):
        left.seen(batch)
    again = InterleavedDataset(folders["parquet"], seed=3, buffer=9)
    again.load_state_dict(json.loads(json.dumps(left.state_dict())))
    rest = []
    for batch in batches(again):
        again.seen([At(*item.at) for item in batch])
        rest += numbers(batch)
    assert rows[0][:9] + rest == rows[0]
    assert again.epoch == 1
    alone = InterleavedDataset(folders["parquet"], seed=3, buffer=9)
    alone.load_state_dict(left.state_dict())
    with pytest.raises(ConfigError, match="2 readers"):
        list(alone)


def test_set_epoch_begins_passes_where_nothing_is_seen(folders: dict[str, Path]) -> None:
    data = InterleavedDataset(folders["jsonl"], buffer=9)
    one, two = [], []
    for batch in batches(data):
        one += numbers(batch)
    data.set_epoch(1)
    for batch in batches(data):
        two += numbers(batch)
    assert sorted(one) == sorted(two) == list(range(COUNT))
    assert one != two


def test_images_and_documents_are_those_that_were_written(tmp_path: Path) -> None:
    write(tmp_path / "final", "parquet", 4)
    url = document(1, images=1).images[0].url
    save_picture(ImageFolder(tmp_path / "images").path(url))
    items = sorted(InterleavedDataset(tmp_path / "final"), key=lambda item: item.document.id)
    assert [item.document for item in items] == [document(n, n % 3, 12) for n in range(4)]
    (image,) = items[1].images
    assert image is not None
    assert image.page().width == 40
    assert pickle.loads(pickle.dumps(items[1])) == items[1]


def test_damaged_rows_are_counted_once_also_behind_a_resume(tmp_path: Path) -> None:
    write(tmp_path, "jsonl", 12)
    (tmp_path / "index.json").unlink()
    for path in tmp_path.glob("*.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        lines[0] = b"{" + lines[0][2:]
        path.write_bytes(b"".join(lines))
    files = len(list(tmp_path.glob("*.jsonl")))
    assert files > 1
    data = InterleavedDataset(tmp_path, buffer=5)
    whole = numbers(data)
    assert len(whole) == 12 - files
    assert data.bad == {"unreadable record": files}
    left = InterleavedDataset(tmp_path, buffer=5)
    list(islice(left, 3))
    again = InterleavedDataset(tmp_path, buffer=5)
    again.load_state_dict(left.state_dict())
    assert numbers(again) == whole[3:]
    assert again.bad == data.bad


@pytest.mark.parametrize("form", FORMS)
def test_a_shard_that_is_cut_short_ends_the_stream_with_a_sentence(
    form: Form, tmp_path: Path
) -> None:
    write(tmp_path, form)
    path = sorted(tmp_path.glob("part-*"))[-1]
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="by the index"):
        list(InterleavedDataset(tmp_path))


def test_rows_of_which_none_can_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"general_metadata": 1}\n' * 3)
    with pytest.raises(DataError, match="none of 3 rows"):
        list(InterleavedDataset(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    ("change", "said"),
    [({"seed": 5}, "seed 0"), ({"buffer": 5}, "buffer 10000"), ({"world": 2}, "world 1")],
)
def test_a_state_of_other_settings_is_told(
    folders: dict[str, Path], change: dict[str, Any], said: str
) -> None:
    state = InterleavedDataset(folders["jsonl"]).state_dict()
    with pytest.raises(ConfigError, match=said):
        InterleavedDataset(folders["jsonl"], **change).load_state_dict(state)


def test_a_state_of_other_shards_or_a_damaged_one_is_told(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    data = InterleavedDataset(folders["jsonl"])
    list(islice(data, 3))
    state = data.state_dict()
    write(tmp_path, "jsonl", 5)
    with pytest.raises(DataError, match="shards"):
        InterleavedDataset(tmp_path).load_state_dict(state)
    (own,) = state["readers"]
    for readers in ([{"worker": 0}], [own | {"shard": 99}], [own | {"worker": 1}], 3):
        with pytest.raises(DataError, match="hold together"):
            InterleavedDataset(folders["jsonl"]).load_state_dict(state | {"readers": readers})


def test_what_cannot_hold_is_told(tmp_path: Path, folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="rank is 2"):
        InterleavedDataset(folders["jsonl"], rank=2, world=2)
    with pytest.raises(DataError, match="no shards"):
        InterleavedDataset(tmp_path)
    with pytest.raises(TypeError):
        len(InterleavedDataset(folders["jsonl"], is_endless=True))
    write_index(tmp_path, (), "jsonl")
    with pytest.raises(DataError, match="no documents"):
        InterleavedDataset(tmp_path)
    one = next(iter(InterleavedDataset(folders["jsonl"])))
    assert isinstance(one, Item)
    assert isinstance(one.document, Document)
