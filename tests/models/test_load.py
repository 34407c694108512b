"""Finding and loading models by name or folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tilewise
from tests.engine.tiny_reader import TinyReader, load_tiny
from tilewise.errors import ConfigError, WeightsError
from tilewise.models import folders
from tilewise.models.folders import find, on_disk
from tilewise.models.load import FAMILIES, devices, load


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's models that holds one, of the tiny family."""
    monkeypatch.setenv("TILEWISE_MODELS", str(tmp_path / "models"))
    monkeypatch.setitem(FAMILIES, "tiny", load_tiny)
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "tiny"}))
    return folder


def test_a_model_is_loaded_by_name_and_by_folder(own: Path) -> None:
    assert isinstance(load("mine"), TinyReader)
    assert isinstance(load(own), TinyReader)
    assert isinstance(load(str(own)), TinyReader)


def test_an_unknown_name_lists_the_known_ones(own: Path) -> None:
    with pytest.raises(WeightsError, match=r"'gpt' is unknown; known on this machine: .*mine\."):
        load("gpt")
    with pytest.raises(WeightsError, match="'' is unknown"):
        load("")


def test_an_unknown_family_lists_the_known_ones(own: Path) -> None:
    for model_type in ("bert", None, ["tiny"]):
        (own / "config.json").write_text(json.dumps({"model_type": model_type}))
        with pytest.raises(WeightsError, match=r"known are tilewise-nano, (.+, )?tiny\. Give"):
            load("mine")


def test_models_on_disk_have_names_folders_and_sizes(own: Path) -> None:
    (own / "weights").mkdir()
    (own / "weights" / "w.bin").write_bytes(bytes(1000))
    (mine,) = [known for known in on_disk() if known.name == "mine"]
    assert mine.folder == own == find("mine")
    assert mine.size_bytes == 1000 + (own / "config.json").stat().st_size


def test_the_default_model_lies_in_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWISE_MODELS", "")
    assert folders.default_folder().parts[-3:] == ("tilewise", "assets", "default")


def test_listing_models_needs_no_torch() -> None:
    code = (
        "import sys; from tilewise.models.folders import on_disk; list(on_disk()); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_weights_are_kept_in_the_dtype_asked_for(own: Path) -> None:
    for name in ("float32", "bfloat16", "float16"):
        reader = load("mine", dtype=name)
        assert isinstance(reader, TinyReader)
        assert {str(weight.dtype) for weight in reader.parameters()} == {f"torch.{name}"}


def test_an_unknown_dtype_or_device_lists_the_known_ones(own: Path) -> None:
    with pytest.raises(ConfigError, match=r"dtype is 'int8'; it can be float32, bfloat16, float16"):
        load("mine", dtype="int8")  # type: ignore[arg-type]
    for name in ("tpu", "cuda:99", "cpu:1", ""):
        with pytest.raises(ConfigError, match=rf"device is '{name}'; here it can be auto, cpu"):
            load("mine", device=name)


def test_device_names_stand_for_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    first, second, cpu = (torch.device(name) for name in ("cuda:0", "cuda:1", "cpu"))
    assert devices("cuda") == devices("cuda:0") == (first,)
    assert devices("cuda:1") == (second,)
    assert devices("auto") == (first, second, cpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices("auto") == devices("cpu") == (cpu,)
    with pytest.raises(ConfigError, match=r"device is 'cuda'; here it can be auto, cpu\. "):
        devices("cuda")


def test_by_default_a_reader_runs_on_what_is_here(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[torch.device, ...]] = []

    def noted(*args: object, **named: Any) -> TinyReader:
        asked.append(named["devices"])
        return TinyReader()

    monkeypatch.setitem(FAMILIES, "tiny", noted)
    load("mine")
    assert asked == [devices("auto")]
    assert tilewise.load().name == "tilewise-nano"  # on the CPU, whatever else is here


def test_the_default_reader_says_what_it_runs_on() -> None:
    with pytest.raises(ConfigError, match=r"float32 on the CPU and was asked for bfloat16 on cpu"):
        load(dtype="bfloat16")
