"""Finding and loading models by name or folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.tiny_reader import TinyReader, load_tiny
from tilewise.errors import WeightsError
from tilewise.models import folders
from tilewise.models.folders import find, on_disk
from tilewise.models.load import FAMILIES, load


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
        with pytest.raises(WeightsError, match=r"known are tilewise-nano, tiny\. Give"):
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
