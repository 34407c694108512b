"""Pages on disk and a model named "tiny" for the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.engine.tiny_reader import load_tiny, tiny_page
from tilewise.models.load import FAMILIES


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of models which holds "tiny", and a cache of the test's own."""
    folder = tmp_path / "models"
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "config.json").write_text(json.dumps({"model_type": "tiny"}))
    monkeypatch.setenv("TILEWISE_MODELS", str(folder))
    monkeypatch.setenv("TILEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(FAMILIES, "tiny", load_tiny)
    return folder


@pytest.fixture
def folder(tmp_path: Path, models: Path) -> Path:
    """Where ``a.png``, ``b.png`` and ``three.tif``, of three pages, lie, and nothing else."""
    place = tmp_path / "place"
    place.mkdir()
    pictures = [Image.fromarray(tiny_page(20 + 4 * i, 12, seed=i).pixels) for i in range(3)]
    pictures[0].save(place / "three.tif", save_all=True, append_images=pictures[1:])
    Image.fromarray(tiny_page().pixels).save(place / "a.png")
    Image.fromarray(tiny_page(30, 18, seed=7).pixels).save(place / "b.png")
    return place
