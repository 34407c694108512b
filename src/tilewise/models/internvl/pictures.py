"""What a checkpoint's files say of its pictures beside config.json, and whether they agree."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import isclose
from pathlib import Path
from typing import Any, Final

from tilewise.errors import ConfigError, WeightsError
from tilewise.models.internvl.config import InternVLConfig
from tilewise.models.internvl.network import MEAN, STD

PREPROCESSOR: Final = "preprocessor_config.json"
PROCESSOR: Final = "processor_config.json"
"""Of newer libraries; its section ``image_processor`` is what the other file is as a whole."""

_LIMITS: Final = {
    "min_patches": ("min_dynamic_patch", "min_tiles"),
    "max_patches": ("max_dynamic_patch", "max_tiles"),
}
"""Tile limits by their names there, in config.json, and ours."""

_SIZES: Final = ("size", "crop_size")
_SIDES: Final = ("height", "width", "shortest_edge")


def with_pictures(cfg: InternVLConfig, data: Mapping[str, Any], folder: Path) -> InternVLConfig:
    """The settings with what a folder says of its pictures elsewhere.

    Args:
        cfg: as read from config.json.
        data: config.json.
        folder: where it lies. Tile limits that config.json leaves out are taken from the file
            about pictures, as the library's own form has them there.

    Raises:
        ConfigError: the files contradict each other.
        WeightsError: the file about pictures is damaged.
    """
    for name in (PREPROCESSOR, PROCESSOR):
        said = _read(folder / name)
        if name == PROCESSOR:
            said = said.get("image_processor", {})
        if isinstance(said, Mapping):
            cfg = _agreed(cfg, data, said, folder / name)
    return cfg


def _agreed(
    cfg: InternVLConfig, data: Mapping[str, Any], said: Mapping[str, Any], path: Path
) -> InternVLConfig:
    for name, wanted in (("image_mean", MEAN), ("image_std", STD)):
        found = said.get(name, wanted)
        if not _close(found, wanted):
            raise ConfigError(
                f"{path}: {name} is {found}; the vision encoder was trained with {list(wanted)}. "
                "Correct it, or give a folder of InternVL 1.5 or Mini-InternVL."
            )
    for name in _SIZES:
        if any(side != cfg.vision.tile for side in _sides(said.get(name))):
            raise ConfigError(
                f"{path}: {name} is {said[name]} and the vision encoder's tiles in config.json "
                f"are {cfg.vision.tile} px; the two contradict each other. Correct one."
            )
    limits: dict[str, Any] = {}
    for name, (theirs, ours) in _LIMITS.items():
        value = said.get(name)
        if value is None or value == getattr(cfg, ours):
            continue
        if theirs in data or isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(
                f"{path}: {name} is {value!r} and {theirs} is {getattr(cfg, ours)} in config.json; "
                "the two contradict each other. Correct one."
            )
        limits[ours] = value
    return replace(cfg, **limits)


def _sides(value: object) -> list[object]:
    """The sides that a size names: a number, or an object of several."""
    if isinstance(value, Mapping):
        return [value[side] for side in _SIDES if value.get(side) is not None]
    return [] if value is None else [value]


def _close(found: object, wanted: tuple[float, ...]) -> bool:
    if not isinstance(found, (list, tuple)) or len(found) != len(wanted):
        return False
    pairs = zip(found, wanted, strict=True)
    return all(isinstance(a, (int, float)) and isclose(a, b, abs_tol=1e-3) for a, b in pairs)


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file is not there."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as err:
        raise WeightsError(f"{path}: cannot be read as JSON; get the folder again.") from err
    if not isinstance(value, dict):
        raise WeightsError(f"{path}: holds no JSON object; get the folder again.")
    return value
