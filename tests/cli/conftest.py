"""Pages on disk and a model named "tiny" for the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.upscaling import photo
from tests.engine.tiny_reader import load_tiny, tiny_page
from tests.superres.making import network
from tilewise.models.load import FAMILIES
from tilewise.superres.config import SdanConfig
from tilewise.superres.files import save


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


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with ``a.png`` alone."""
    folder = tmp_path / "place"
    folder.mkdir()
    photo().save(folder / "a.png")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny network of scale 2 that gives about what bicubic interpolation does."""
    cfg = SdanConfig(width=4, blocks=0, scale=2, has_skip=True)
    net = network(cfg)
    for parameter in net.out.parameters():
        parameter.data *= 0.01
    return save(tmp_path / "model", net, cfg, {})
