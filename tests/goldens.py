"""Where expected values of outside behaviour lie, and which of them are there.

The root is ``TILEWISE_GOLDEN`` (default ``tests/golden``) and holds a folder per family. Inside,
model folders are known by their files, not by name, so that a new one is picked up by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, get_args

import pytest

Family = Literal["ixc2-4khd", "internvl", "metrics", "sdan", "omnicorpus"]

DEFAULT_ROOT: Final = Path(__file__).parent / "golden"

MODEL_FILES: Final = ("config.json", "model.safetensors", "expected.safetensors")
"""What makes a folder a model with expected values."""


def golden_root() -> Path:
    """The folder of all goldens, from ``TILEWISE_GOLDEN`` or ``tests/golden``.

    Raises:
        FileNotFoundError: ``TILEWISE_GOLDEN`` names no folder, or one without any family, such as
            a family's own; skipping would hide the mistake.
    """
    root = Path(os.environ.get("TILEWISE_GOLDEN") or DEFAULT_ROOT).resolve()
    if not root.is_dir():
        raise FileNotFoundError(f"TILEWISE_GOLDEN is {root}, which is no folder; name one or unset")
    if not any((root / family).is_dir() for family in get_args(Family)):
        names = ", ".join(get_args(Family))
        raise FileNotFoundError(f"TILEWISE_GOLDEN is {root}, which holds none of {names}; name one")
    return root


def family_folder(family: Family) -> Path | None:
    """The folder of one family, or None where these goldens have none."""
    folder = golden_root() / family
    return folder if folder.is_dir() else None


def model_folders(family: Family) -> list[Path]:
    """Folders of one family, at any depth, that hold a model and its expected values.

    Fit for ``pytest.mark.parametrize``: an empty list makes a skipped test.
    """
    folder = family_folder(family)
    configs = sorted(folder.rglob(MODEL_FILES[0])) if folder else []
    return [c.parent for c in configs if all((c.parent / name).is_file() for name in MODEL_FILES)]


def golden_file(family: Family, name: str) -> Path:
    """A file of one family by its path inside the family's folder; skips the test if absent."""
    path = golden_root() / family / name
    if not path.is_file():
        pytest.skip(f"no golden {family}/{name} under {golden_root()}")
    return path


GoldenFile = Callable[[Family, str], Path]
"""The type of the fixture ``golden``."""
