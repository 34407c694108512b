"""The contracts of import-linter name every part that exists, so that none escapes them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "tilewise"

FAMILIES = {"ixc2", "internvl", "nano"}
TORCH_FREE = {
    "corpus", "domains", "errors", "records", "runners", "settings", "shards", "sources", "synth",
    "text", "tiling",
}  # fmt: skip


def _contracts() -> dict[str, dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {c["id"]: c for c in settings["tool"]["importlinter"]["contracts"]}


def _parts(folder: Path) -> set[str]:
    """Modules and packages directly inside a folder."""
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return packages | {path.stem for path in folder.glob("*.py")}


def test_parts_that_run_without_torch_are_held_to_it() -> None:
    wanted = {f"tilewise.{name}" for name in TORCH_FREE & _parts(PACKAGE)}
    assert set(_contracts()["torch"]["source_modules"]) == wanted


def test_model_families_are_held_apart() -> None:
    wanted = {f"tilewise.models.{name}" for name in FAMILIES & _parts(PACKAGE / "models")}
    assert set(_contracts()["families"]["modules"]) == wanted


def test_every_folder_with_code_is_a_package() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert not [str(f) for f in folders if not (f / "__init__.py").is_file()]
