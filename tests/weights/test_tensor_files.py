"""Folders of tensors: safetensors and pickles, whole, sharded and damaged."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tilewise.errors import WeightsError
from tilewise.weights import files as files_module
from tilewise.weights.files import INDEX, PICKLE, PICKLE_INDEX, WEIGHTS, TensorFiles

TENSORS = {
    "a.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "a.bias": torch.arange(3, dtype=torch.bfloat16),
    "b": torch.tensor([True, False]),
    "none": torch.zeros(0, 4),
    "one": torch.tensor(2.5, dtype=torch.float16),
}


def save_shards(folder: Path, ending: str, parts: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write shards and the index that goes with them."""
    for name, tensors in parts.items():
        if ending == ".bin":
            torch.save(dict(tensors), folder / name)
        else:
            save_file(dict(tensors), folder / name)
    places = {tensor: name for name, tensors in parts.items() for tensor in tensors}
    index = PICKLE_INDEX if ending == ".bin" else INDEX
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def halves(ending: str) -> dict[str, dict[str, Tensor]]:
    names = list(TENSORS)
    return {
        f"part-1{ending}": {name: TENSORS[name] for name in names[:2]},
        f"part-2{ending}": {name: TENSORS[name] for name in names[2:]},
    }


def check_same(found: TensorFiles) -> None:
    assert found.infos.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found.infos[name].shape == tensor.shape
        assert found.infos[name].dtype == tensor.dtype
        assert found.infos[name].size_bytes == tensor.nbytes
        assert torch.equal(found.read(name), tensor)
    assert found.size_bytes == sum(tensor.nbytes for tensor in TENSORS.values())


def test_one_file_gives_names_shapes_and_tensors(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / WEIGHTS)
    check_same(TensorFiles(tmp_path))


def test_one_pickle_gives_the_same(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / PICKLE)
    check_same(TensorFiles(tmp_path))


def test_a_pickle_in_the_old_form_gives_the_same(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / PICKLE, _use_new_zipfile_serialization=False)
    check_same(TensorFiles(tmp_path))


@pytest.mark.parametrize("ending", [".safetensors", ".bin"])
def test_shards_give_the_same(tmp_path: Path, ending: str) -> None:
    save_shards(tmp_path, ending, halves(ending))
    check_same(TensorFiles(tmp_path))


@pytest.mark.parametrize("ending", [".safetensors", ".bin"])
def test_mapping_anew_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    save_shards(tmp_path, ending, halves(ending))
    monkeypatch.setattr(files_module, "_LEAST_MAP_BYTES", 1)
    check_same(TensorFiles(tmp_path))


def test_tensors_outlive_their_files(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / WEIGHTS)
    found = TensorFiles(tmp_path)
    kept = found.read("a.weight")
    found.close()
    assert torch.equal(kept, TENSORS["a.weight"])
    assert torch.equal(found.read("a.weight"), kept)


def test_safetensors_are_preferred_to_pickles(tmp_path: Path) -> None:
    save_shards(tmp_path, ".bin", halves(".bin"))
    save_file({"only": torch.zeros(1)}, tmp_path / WEIGHTS)
    assert list(TensorFiles(tmp_path).infos) == ["only"]


class Marker:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "ran")


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path: Path, is_zip: bool) -> None:
    table = {"a": torch.zeros(1), "b": Marker(tmp_path / "ran")}
    torch.save(table, tmp_path / PICKLE, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(WeightsError, match=r"holds code or objects \(.*\), and loading it could"):
        TensorFiles(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_bare_pickle_with_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / PICKLE).write_bytes(pickle.dumps({"b": Marker(tmp_path / "ran")}))
    with pytest.raises(WeightsError, match=r"holds code or objects \(pathlib.*\), and loading it"):
        TensorFiles(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([torch.zeros(1)], "holds a list, wanted is a table"),
        ({"model": {"a": torch.zeros(1)}, "epoch": 3}, r"more than tensors by name \(model, epoch"),
        ({1: torch.zeros(1)}, "more than tensors by name"),
    ],
)
def test_a_pickle_of_something_else_is_named(tmp_path: Path, value: object, says: str) -> None:
    torch.save(value, tmp_path / PICKLE)
    with pytest.raises(WeightsError, match=says):
        TensorFiles(tmp_path)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_truncated_pickle_is_named(tmp_path: Path, is_zip: bool) -> None:
    torch.save(TENSORS, tmp_path / PICKLE, _use_new_zipfile_serialization=is_zip)
    data = (tmp_path / PICKLE).read_bytes()
    for length in (0, 3, 100, len(data) // 2, len(data) - 1):
        (tmp_path / PICKLE).write_bytes(data[:length])
        with pytest.raises(WeightsError, match=r"pytorch_model\.bin: is .*(damaged|cut short)"):
            TensorFiles(tmp_path)


def test_bytes_that_are_no_pickle_are_named(tmp_path: Path) -> None:
    (tmp_path / PICKLE).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(WeightsError, match="damaged"):
        TensorFiles(tmp_path)


@pytest.mark.parametrize("ending", [".safetensors", ".bin"])
def test_all_missing_shards_are_named(tmp_path: Path, ending: str) -> None:
    save_shards(tmp_path, ending, halves(ending))
    for path in tmp_path.glob(f"part-*{ending}"):
        path.unlink()
    says = rf"2 of 2 shards are missing: part-1\{ending}, part-2\{ending}; get these"
    with pytest.raises(WeightsError, match=says):
        TensorFiles(tmp_path)


def test_a_tensor_in_two_shards_is_named(tmp_path: Path) -> None:
    parts = halves(".safetensors")
    parts["part-2.safetensors"]["a.bias"] = torch.zeros(3)
    save_shards(tmp_path, ".safetensors", parts)
    says = r"part-2\.safetensors: holds tensors that part-1\.safetensors holds too: a\.bias"
    with pytest.raises(WeightsError, match=says):
        TensorFiles(tmp_path)


@pytest.mark.parametrize("shard", ["../part-1.safetensors", "/x.safetensors", "a\\b", "a.py", 3])
def test_an_index_names_files_beside_it_only(tmp_path: Path, shard: object) -> None:
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(WeightsError, match=r"names shards that are no \.safetensors files beside"):
        TensorFiles(tmp_path)


@pytest.mark.parametrize("places", [None, {}, []])
def test_an_index_without_a_map_is_damaged(tmp_path: Path, places: object) -> None:
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": places}))
    with pytest.raises(WeightsError, match="has no weight_map"):
        TensorFiles(tmp_path)


def test_a_dtype_that_is_unknown_is_named(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "U64", "shape": [1], "data_offsets": [0, 8]}}).encode()
    header += b" " * (-len(header) % 8)
    data = len(header).to_bytes(8, "little") + header + bytes(8)
    (tmp_path / WEIGHTS).write_bytes(data)
    with pytest.raises(WeightsError, match=r"holds tensors of U64; known are F64"):
        TensorFiles(tmp_path)
