"""Chromium: found or named, started in any folder, gone afterwards."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from tests.sources.drawing import GREEN, STYLE, block, drawn, rows
from tilewise.errors import MissingExtraError, SourceError
from tilewise.sources import browser

chromium = pytest.mark.chromium


@chromium
def test_a_long_path_of_temporary_files_is_no_hindrance(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = set(Path("/tmp").glob("tw-*"))  # of other programs
    long = clean / ("x" * 100) / ("y" * 100)
    long.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setenv("TMPDIR", str(long))
    assert len(rows(drawn((STYLE + block(GREEN)).encode()), GREEN)) == 40
    assert set(Path("/tmp").glob("tw-*")) <= links
    assert not list(long.iterdir())
    long.rmdir()
    long.parent.rmdir()


def test_a_long_path_that_cannot_be_shortened_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("playwright")
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setattr(browser, "SHORT", "/nowhere")
    with pytest.raises(SourceError, match="has too long a path for Chromium, and a link to it"):
        drawn(b"<html>x")


@chromium
def test_a_place_for_the_profile_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match=r"profile finds no room in \S+/nowhere \(no such file"):
        drawn(b"<html>x")


def test_missing_chromium_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("playwright")
    monkeypatch.setenv("TILEWISE_CHROMIUM", "/no/such/chromium")
    with pytest.raises(MissingExtraError, match="TILEWISE_CHROMIUM is '/no/such/chromium'"):
        drawn(b"<html>x")
    monkeypatch.delenv("TILEWISE_CHROMIUM")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", "/nowhere")
    with pytest.raises(MissingExtraError, match="apt-get install chromium"):
        drawn(b"<html>x")


def test_a_program_that_is_no_browser_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("playwright")
    monkeypatch.setenv("TILEWISE_CHROMIUM", "/bin/false")
    with pytest.raises(SourceError, match="/bin/false does not start"):
        drawn(b"<html>x")


def test_missing_playwright_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright", None)
    with pytest.raises(MissingExtraError, match=r'pip install "tilewise\[web\]"'):
        drawn(b"<html>x")
