"""Folders of weights, whole and damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tilewise.errors import WeightsError
from tilewise.weights.files import (
    CONFIG,
    INDEX,
    MANIFEST,
    WEIGHTS,
    check_manifest,
    load_strict,
    read_checkpoint,
    read_config,
    read_tensors,
    write_manifest,
)


def small() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / CONFIG).write_text(json.dumps({"model_type": "tiny", "dim": 8}))
    save_file(small().state_dict(), tmp_path / WEIGHTS)
    write_manifest(tmp_path, [CONFIG, WEIGHTS], {"seed": 0})
    return tmp_path


def test_save_then_load_is_the_identity(folder: Path) -> None:
    checkpoint = read_checkpoint(folder, "tiny")
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    load_strict(module, checkpoint.tensors)
    for name, tensor in small().state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor)
    assert checkpoint.config["dim"] == 8


def test_shards_are_read_as_one(folder: Path) -> None:
    whole = read_tensors(folder)
    (folder / WEIGHTS).unlink()
    names = sorted(whole)
    shards = {"a.safetensors": names[:3], "b.safetensors": names[3:]}
    for shard, inside in shards.items():
        save_file({name: whole[name] for name in inside}, folder / shard)
    places = {name: shard for shard, inside in shards.items() for name in inside}
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    assert read_tensors(folder).keys() == whole.keys()

    (folder / INDEX).write_text(json.dumps({"weight_map": {**places, "more": "a.safetensors"}}))
    with pytest.raises(WeightsError, match="no shard holds: more"):
        read_tensors(folder)
    (folder / "b.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"1 of 2 shards are missing: b\.safetensors"):
        read_tensors(folder)


def test_a_family_is_checked_before_the_weights_are_read(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(WeightsError, match="model_type is 'tiny', this loader reads 'other'"):
        read_checkpoint(folder, "other")


def test_one_flipped_bit_is_found(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-5] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(WeightsError, match="is damaged, its SHA-256"):
        read_checkpoint(folder, "tiny")


def test_a_truncated_file_is_found_with_and_without_a_manifest(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    for length in (0, 4, 60, len(data) - 1):
        (folder / WEIGHTS).write_bytes(data[:length])
        with pytest.raises(WeightsError, match=f"it has {length} bytes"):
            check_manifest(folder)
        with pytest.raises(WeightsError, match="damaged or cut short"):
            read_tensors(folder)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_file_named_by_the_manifest_but_not_there_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=f"{name}: the file is missing"):
        check_manifest(folder)


def test_a_folder_without_manifest_is_read(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    assert read_checkpoint(folder, "tiny").tensors.keys() == small().state_dict().keys()


def test_a_folder_without_weights_says_what_it_looked_for(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(WeightsError, match=r"none of model\.safetensors, .*pytorch_model\.bin"):
        read_tensors(folder)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "no JSON;"),
        (b"[1]", "no JSON object"),
        (b"\xff\xfe\x00", "no JSON;"),
        (b"", "no JSON;"),
    ],
)
def test_a_damaged_config_is_named(folder: Path, content: bytes, says: str) -> None:
    (folder / CONFIG).write_bytes(content)
    with pytest.raises(WeightsError, match=says):
        read_config(folder)


@pytest.mark.parametrize("files", [None, [], {WEIGHTS: "abc"}, {WEIGHTS: {"sha256": "abc"}}])
def test_a_damaged_manifest_is_named(folder: Path, files: object) -> None:
    (folder / MANIFEST).write_text(json.dumps({"files": files}))
    with pytest.raises(WeightsError, match=MANIFEST):
        check_manifest(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such model folder"):
        read_config(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match=r"config\.json: the file is missing"):
        read_config(tmp_path)


def test_strict_loading_lists_every_offender_and_copies_nothing() -> None:
    module, before = small(), small().state_dict()
    tensors = {name: torch.zeros_like(value) for name, value in before.items()}
    del tensors["0.bias"], tensors["1.weight"]
    tensors |= {"x": torch.zeros(1), "y": torch.zeros(1), "0.weight": torch.zeros(4, 8)}
    with pytest.raises(WeightsError) as caught:
        load_strict(module, tensors, "a.safetensors")
    text = str(caught.value)
    assert "missing: 0.bias, 1.weight;" in text
    assert "extra: x, y;" in text
    assert "misshapen: 0.weight is (4, 8), wanted (8, 4)" in text
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
