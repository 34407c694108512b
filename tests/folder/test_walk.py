"""Which files words of the command line stand for."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.engine.tiny_reader import tiny_page
from tests.sources.making import saved
from tilewise.errors import SourceError
from tilewise.folder.walk import find_files, is_many


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures in a folder and below, hidden ones, one that lies about its kind, others."""
    for name in ("b.png", "a.dat", "sub/c.png", ".hidden.png", ".dir/d.png", "sub/.e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(saved(Image.fromarray(tiny_page().pixels), "PNG"))
    (tmp_path / "notes.png").write_bytes(b"only words, whatever the name says")
    (tmp_path / "sub" / "empty.pdf").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_is_walked_in_order_by_content(tree: Path) -> None:
    found = find_files(["."])
    assert found.names == ("a.dat", "b.png", "sub/c.png", "sub/empty.pdf")
    assert found.left_out == {"plain text": 1}


def test_an_empty_file_is_there_to_be_reported(tree: Path) -> None:
    assert "sub/empty.pdf" in find_files(["sub"]).names


def test_a_pattern_is_expanded_and_sorted(tree: Path) -> None:
    assert find_files(["*.png"]).names == ("b.png", "notes.png")
    assert find_files(["**/*.png"]).names == ("b.png", "notes.png", "sub/c.png")
    assert find_files(["s*"]).names == ("sub/c.png", "sub/empty.pdf")


def test_each_file_comes_once_in_the_order_of_words(tree: Path) -> None:
    assert find_files(["sub/c.png", "b.png", "sub", "*.png"]).names == (
        *("sub/c.png", "b.png", "sub/empty.pdf", "notes.png"),
    )


def test_the_file_of_answers_is_left_out(tree: Path) -> None:
    assert find_files(["."], tree / "b.png").names == ("a.dat", "sub/c.png", "sub/empty.pdf")


def test_names_and_addresses_stand_for_themselves(tree: Path) -> None:
    words = ["nowhere.png", "https://example.org/*.png"]
    assert find_files(words).names == tuple(words)


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tree: Path) -> None:
    (tree / "scan[1].png").write_bytes((tree / "b.png").read_bytes())
    assert find_files(["scan[1].png"]).names == ("scan[1].png",)
    assert not is_many("scan[1].png")
    (tree / "half[1.png").write_bytes((tree / "b.png").read_bytes())
    assert find_files(["half[1.png"]).names == ("half[1.png",)
    assert not is_many("half[1.png")  # as a pattern it would match itself


@pytest.mark.parametrize("word", ["*.tif", "hollow", "words"])
def test_nothing_to_ask_is_an_error_that_says_so(tree: Path, word: str) -> None:
    (tree / "hollow").mkdir()
    (tree / "words").mkdir()
    (tree / "words" / "a.wav").write_bytes(b"RIFFxxxxWAVEfmt ")
    with pytest.raises(SourceError, match=f"^{word.replace('*', '.')}: holds .*check the path"):
        find_files([word])


def test_questions_are_not_taken_for_files(tree: Path) -> None:
    assert is_many("sub")
    assert is_many("*.png")
    assert not is_many("b.png")
    assert not is_many("What is the value of Total [net]?")
    assert not is_many("?" * 5000)
