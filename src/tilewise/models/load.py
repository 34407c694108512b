"""Loading a reader by name or from a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tilewise.errors import WeightsError
from tilewise.models.folders import DEFAULT, find
from tilewise.models.reader import Reader
from tilewise.weights.files import CONFIG, read_config


def load(name_or_folder: str | Path = DEFAULT) -> Reader:
    """Load a reader to keep and to ask as often as wanted.

    Args:
        name_or_folder: a name that ``tilewise models`` lists, or a folder with ``config.json``.

    Raises:
        WeightsError: unknown name, unknown family, or missing or damaged weights.
    """
    folder = find(name_or_folder)
    family = read_config(folder).get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise WeightsError(
            f"{folder / CONFIG}: model_type is {family!r}; known are {', '.join(FAMILIES)}. "
            "Give a folder of one of these families."
        )
    return FAMILIES[family](folder)


def _nano(folder: Path) -> Reader:
    from tilewise.models.nano.model import load_nano  # noqa: PLC0415 - a family is imported when used

    return load_nano(folder)


FAMILIES: Final[dict[str, Callable[[Path], Reader]]] = {
    "tilewise-nano": _nano,
}
"""Loaders by the ``model_type`` of ``config.json``."""
