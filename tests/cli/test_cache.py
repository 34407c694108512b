"""Asking about a page that was asked about before costs no vision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.engine.tiny_reader import TinyReader
from tilewise.cli.main import main

IMPORTANT = ("question", "answer", "found", "confidence", "complete", "boxes", "pages", "tokens")


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def ask(*words: object) -> dict[str, Any]:
    result = run("ask", *words, "--model", "tiny", "--json")
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    return {name: said[name] for name in IMPORTANT}


@pytest.fixture
def place(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder of pages; it does not exist yet."""
    monkeypatch.setenv("TILEWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vision"


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pages that the encoder has run on, by their number of tiles."""
    counts: list[int] = []
    forward = TinyReader._seen

    def counted(self: TinyReader, tiles: Any, order: Any) -> Any:
        before = self.tiles_encoded
        seen = forward(self, tiles, order)
        if self.tiles_encoded > before:
            counts.append(self.tiles_encoded - before)
        return seen

    monkeypatch.setattr(TinyReader, "_seen", counted)
    return counts


def test_the_second_time_costs_no_vision_and_answers_the_same_bit_for_bit(
    folder: Path, place: Path, encoded: list[int]
) -> None:
    first = ask(folder / "a.png", "What?")
    assert len(encoded) == 1
    other = ask(folder / "a.png", "And?")
    assert ask(folder / "a.png", "What?") == first
    assert other != first
    assert len(encoded) == 1
    assert len(list(place.iterdir())) == 1
    assert ask(folder / "a.png", "What?", "--no-cache") == first
    assert len(encoded) == 2


def test_another_name_of_the_same_page_is_known_and_another_cut_is_not(
    folder: Path, place: Path, encoded: list[int]
) -> None:
    ask(folder / "b.png", "What?")
    (folder / "b.png").rename(folder / "c.png")
    ask(folder / "c.png", "What?")
    assert len(encoded) == 1
    ask(folder / "c.png", "What?", "--max-tiles", 1)
    assert len(encoded) == 2


def test_other_weights_are_another_model(
    folder: Path, place: Path, models: Path, encoded: list[int]
) -> None:
    ask(folder / "a.png", "What?")
    (models / "tiny" / "model.safetensors").write_bytes(b"other")
    ask(folder / "a.png", "What?")
    assert len(encoded) == 2


def test_a_damaged_entry_is_made_again(folder: Path, place: Path, encoded: list[int]) -> None:
    first = ask(folder / "a.png", "What?")
    (entry,) = place.iterdir()
    entry.write_bytes(entry.read_bytes()[:-1])
    assert ask(folder / "a.png", "What?") == first
    assert len(encoded) == 2
    assert ask(folder / "a.png", "What?") == first
    assert len(encoded) == 2


def test_no_cache_and_a_size_of_nothing_leave_no_file(folder: Path, place: Path) -> None:
    ask(folder / "a.png", "What?", "--no-cache")
    ask(folder / "a.png", "What?", "--cache-size", 0)
    assert not place.exists()


def test_the_size_limit_may_come_from_the_environment(
    folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(folder / "a.png", "What?")
    (entry,) = place.iterdir()
    monkeypatch.setenv("TILEWISE_CACHE_SIZE", f"{entry.stat().st_size} B")
    ask(folder / "a.png", "What?", "--max-tiles", 1)
    assert len(list(place.iterdir())) == 1
    assert not entry.exists()


def test_a_folder_run_uses_it_too(folder: Path, place: Path, encoded: list[int]) -> None:
    out = folder.parent / "out.jsonl"
    run("ask", folder, "What?", "--out", out, "--model", "tiny")
    before = out.read_text(encoding="utf-8")
    seen = len(encoded)
    assert seen == 5
    run("ask", folder, "What?", "--out", out, "--model", "tiny", "--restart")
    assert len(encoded) == seen
    lines = [[json.loads(x) for x in text.splitlines()] for text in (before, out.read_text())]
    for one, other in zip(*lines, strict=True):
        del one["seconds"], other["seconds"]
        assert one == other


def test_cache_tells_what_is_kept_and_clears_it(folder: Path, place: Path) -> None:
    assert run("cache").stdout == f"0 pages, 0.0 MiB  {place}\n"
    ask(folder / "a.png", "What?")
    assert run("cache").stdout.startswith("1 page, 0.0 MiB  ")
    assert run("cache", "--clear").stdout.startswith("1 page, 0.0 MiB removed  ")
    assert list(place.iterdir()) == []
    assert run("cache").stdout.startswith("0 pages")


@pytest.mark.parametrize("size", ["much", "-1", "1.2.3G", "5X", ""])
def test_a_size_that_is_none_is_refused(folder: Path, place: Path, size: str) -> None:
    result = run("ask", folder / "a.png", "What?", f"--cache-size={size}", "--model", "tiny")
    assert result.exit_code == 2
    assert "is no size; write bytes with K, M, G or T" in result.stderr


def test_sizes_are_read(folder: Path) -> None:
    from tilewise.cli.cache import Size

    sizes = [Size().convert(text, None, None) for text in ("7", "1k", "1.5M", "2GiB", "3 TB")]
    assert sizes == [7, 1 << 10, 3 << 19, 2 << 30, 3 << 40]
