"""Files about pictures complete config.json or contradict it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.models.internvl.published import official_config
from tests.models.internvl.test_config import native_config
from tests.models.internvl.test_layouts import official_folder, run
from tilewise.errors import ConfigError, WeightsError
from tilewise.models.internvl.config import InternVLConfig, read_config
from tilewise.models.internvl.model import load_internvl
from tilewise.models.internvl.network import MEAN
from tilewise.models.internvl.pictures import PREPROCESSOR, PROCESSOR, with_pictures
from tilewise.weights.files import CONFIG


def read(
    folder: Path, config: dict[str, Any], said: object, name: str = PREPROCESSOR
) -> InternVLConfig:
    """A config beside a file about pictures."""
    (folder / name).write_text(said if isinstance(said, str) else json.dumps(said))
    return with_pictures(read_config(config), config, folder)


def test_a_file_that_agrees_changes_nothing(tmp_path: Path) -> None:
    config = official_config()
    said = {"size": 56, "crop_size": {"height": 56, "width": 56}, "image_mean": list(MEAN)}
    assert read(tmp_path, config, said | {"max_patches": 12}) == read_config(config)
    (tmp_path / PREPROCESSOR).unlink()
    assert with_pictures(read_config(config), config, tmp_path) == read_config(config)


def test_limits_that_the_config_leaves_out_are_taken(tmp_path: Path) -> None:
    said = {"max_patches": 7, "min_patches": 2, "size": {"height": 448, "width": 448}}
    cfg = read(tmp_path, native_config(), said)
    assert (cfg.min_tiles, cfg.max_tiles) == (2, 7)
    (tmp_path / PREPROCESSOR).unlink()
    assert read(tmp_path, native_config(), {"image_processor": said}, PROCESSOR).max_tiles == 7


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"max_patches": 6}, "max_patches is 6 and max_dynamic_patch is 12 .*contradict"),
        ({"size": 448}, "size is 448 and the vision encoder's tiles .* are 56 px"),
        ({"crop_size": {"shortest_edge": 224}}, "crop_size is .*224.*contradict"),
        ({"image_mean": [0.5, 0.5, 0.5]}, r"image_mean is \[0.5, .*trained with \[0.485"),
        ({"image_std": 1}, "image_std is 1; the vision encoder"),
    ],
)
def test_files_that_contradict_each_other_are_told(
    tmp_path: Path, said: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        read(tmp_path, official_config(), said)


@pytest.mark.parametrize(
    ("text", "says"), [("{", "cannot be read as JSON"), ("3", "no JSON object")]
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(WeightsError, match=f"{PREPROCESSOR}: .*{says}"):
        read(tmp_path, official_config(), text)


def test_a_native_config_and_its_tokenizer_name_one_id(tmp_path: Path) -> None:
    source = official_folder(tmp_path / "source", official_config())
    run(source, tmp_path / "native", "--layout", "native")
    path = tmp_path / "native" / CONFIG
    load_internvl(path.parent)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_token_id": 7}))
    with pytest.raises(WeightsError, match=r"image_token_id is 7 in config\.json and <IMG"):
        load_internvl(path.parent)
