"""Copies of folders in another format: equal, whole or not there, and readable by others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.weights.test_keymap import RULES, seeded, theirs
from tests.weights.test_tensor_files import TENSORS, halves, save_shards
from tilewise.errors import ConfigError, WeightsError
from tilewise.weights.convert import Format, convert
from tilewise.weights.files import INDEX, MANIFEST, PICKLE, PICKLE_INDEX, WEIGHTS, TensorFiles
from tilewise.weights.keymap import KeyRule
from tilewise.weights.renaming import Renaming


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    save_shards(folder, ".bin", halves(".bin"))
    for name in ("config.json", "tokenizer.model", "README.md", "LICENSE", "code.py", MANIFEST):
        (folder / name).write_text("{}")
    (folder / "more").mkdir()
    return folder


def check_equal(first: Path, second: Path) -> None:
    one, other = TensorFiles(first), TensorFiles(second)
    assert one.infos.keys() == other.infos.keys()
    for name in one.infos:
        assert one.read(name).dtype == other.read(name).dtype
        assert torch.equal(one.read(name), other.read(name))


def test_pickles_become_safetensors_that_others_read(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "copy")
    check_equal(source, tmp_path / "copy")
    read = load_file(tmp_path / "copy" / WEIGHTS)
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert names == {"config.json", "tokenizer.model", "README.md", "LICENSE", WEIGHTS}


@pytest.mark.parametrize("kind", ["safetensors", "pickle"])
@pytest.mark.parametrize("shard_bytes", [1, 48, 60, 10**6])
def test_there_and_back_is_the_identity(
    source: Path, tmp_path: Path, kind: Format, shard_bytes: int
) -> None:
    convert(source, tmp_path / "there", kind=kind, shard_bytes=shard_bytes)
    convert(tmp_path / "there", tmp_path / "back", kind="pickle")
    check_equal(source, tmp_path / "there")
    check_equal(source, tmp_path / "back")
    assert (tmp_path / "back" / PICKLE).is_file()


def test_shards_are_named_and_listed_as_published_ones_are(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "a", shard_bytes=48)
    index = json.loads((tmp_path / "a" / INDEX).read_text())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in TENSORS.values())
    assert index["weight_map"].keys() == TENSORS.keys()
    assert index["weight_map"]["a.weight"] == "model-00001-of-00002.safetensors"
    convert(source, tmp_path / "b", kind="pickle", shard_bytes=48)
    index = json.loads((tmp_path / "b" / PICKLE_INDEX).read_text())
    assert index["weight_map"]["b"] == "pytorch_model-00002-of-00002.bin"


def test_our_names_become_the_published_ones(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    save_file(seeded().state_dict(), ours / WEIGHTS)
    before = [KeyRule(theirs=(name,), ours=name) for rule in RULES for name in rule.made]
    renaming = Renaming(files=TensorFiles(ours), before=before, after=RULES, texts={"a.json": "1"})
    convert(ours, tmp_path / "copy", renaming=renaming)
    assert (tmp_path / "copy" / "a.json").read_text() == "1"
    found = TensorFiles(tmp_path / "copy")
    wanted = theirs()
    assert found.infos.keys() == wanted.keys()
    assert all(torch.equal(found.read(name), tensor) for name, tensor in wanted.items())


def test_progress_is_told(source: Path, tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    convert(source, tmp_path / "a", progress=lambda *report: reports.append(report))
    assert len(reports) == len(TENSORS)
    assert reports[-1] == ("MiB written", 0, 0)


def failing(error: BaseException, after: int) -> Callable[[str, int, int], None]:
    calls = []

    def report(*_: object) -> None:
        calls.append(1)
        if len(calls) > after:
            raise error

    return report


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left")])
@pytest.mark.parametrize("after", [0, 3])
def test_a_copy_that_breaks_off_leaves_nothing(
    source: Path, tmp_path: Path, error: BaseException, after: int
) -> None:
    with pytest.raises((KeyboardInterrupt, ConfigError)):
        convert(source, tmp_path / "a", shard_bytes=1, progress=failing(error, after))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_damaged_source_leaves_nothing(source: Path, tmp_path: Path) -> None:
    (source / "part-2.bin").write_bytes(b"PK\x03\x04")
    with pytest.raises(WeightsError, match="damaged"):
        convert(source, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_what_is_there_is_not_overwritten(source: Path, tmp_path: Path) -> None:
    for target in (source, tmp_path / "link"):
        if target != source:
            target.symlink_to(tmp_path / "nowhere")
        with pytest.raises(ConfigError, match="exists already; give a folder that is not there"):
            convert(source, target)
    (tmp_path / ".a.part" / "mine").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"\.a\.part: holds folders, which no conversion leaves"):
        convert(source, tmp_path / "a")
    assert (tmp_path / ".a.part" / "mine").is_dir()


def test_what_a_killed_conversion_left_is_taken_over(source: Path, tmp_path: Path) -> None:
    part = tmp_path / ".a.part"
    part.mkdir()
    for name in (WEIGHTS, "other.safetensors"):
        (part / name).write_bytes(b"half")
    convert(source, tmp_path / "a")
    check_equal(source, tmp_path / "a")
    assert not part.exists()
    assert not (tmp_path / "a" / "other.safetensors").exists()


def test_two_conversions_do_not_write_to_one_folder(source: Path, tmp_path: Path) -> None:
    def second(*_: object) -> None:
        with pytest.raises(ConfigError, match="another conversion is writing it; wait for it"):
            convert(source, tmp_path / "a")

    convert(source, tmp_path / "a", progress=second)
    check_equal(source, tmp_path / "a")


def test_places_that_cannot_be_are_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist; make it first"):
        convert(source, tmp_path / "no" / "a")
    with pytest.raises(WeightsError, match="no such model folder"):
        convert(tmp_path / "no", tmp_path / "a")
    with pytest.raises(ConfigError, match="hold nothing"):
        convert(source, tmp_path / "a", shard_bytes=0)


def test_a_disk_too_small_is_found_out_before(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = type("Usage", (), {"free": 10})
    monkeypatch.setattr("tilewise.weights.convert.shutil.disk_usage", lambda _: free)
    with pytest.raises(ConfigError, match="GB are free there; choose another disk"):
        convert(source, tmp_path / "a")


def test_a_dtype_that_safetensors_lacks_is_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    torch.save({"a": torch.zeros(2, dtype=torch.complex128)}, source / PICKLE)
    with pytest.raises(WeightsError, match="cannot hold the dtype of: a; keep pickles"):
        convert(source, tmp_path / "a")
    assert not (tmp_path / "a").exists()
