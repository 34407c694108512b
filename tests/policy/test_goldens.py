"""Goldens are found by their files, and a mistyped root is an error, not a skipped suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.goldens import MODEL_FILES, family_folder, golden_file, model_folders


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "internvl").mkdir()
    monkeypatch.setenv("TILEWISE_GOLDEN", str(tmp_path))
    return tmp_path


def test_model_folders_are_known_by_their_files(root: Path) -> None:
    whole, partial = root / "internvl/deep/any-name", root / "internvl/no-weights"
    for folder, names in ((whole, MODEL_FILES), (partial, MODEL_FILES[:1])):
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch()
    assert model_folders("internvl") == [whole]


def test_a_family_that_is_absent_has_no_folders(root: Path) -> None:
    assert family_folder("sdan") is None
    assert model_folders("sdan") == []


def test_an_absent_file_skips_its_test(root: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"no golden sdan/pairs\.json"):
        golden_file("sdan", "pairs.json")


def test_a_root_that_is_no_folder_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWISE_GOLDEN", str(root / "mistyped"))
    with pytest.raises(FileNotFoundError, match="mistyped"):
        family_folder("internvl")


def test_a_root_without_any_family_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWISE_GOLDEN", str(root / "internvl"))
    with pytest.raises(FileNotFoundError, match="holds none of ixc2-4khd, internvl"):
        family_folder("internvl")
