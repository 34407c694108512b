"""DjVu by its own program, HEIC by its own package; without them one sentence says what to get."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.making import pixels_of, scene
from tilewise.errors import MissingExtraError, SourceError
from tilewise.sources import djvu
from tilewise.sources.pages import open_source

FIXTURES = Path(__file__).parents[1] / "fixtures"

needs_djvu = pytest.mark.skipif(
    not (shutil.which("ddjvu") and shutil.which("c44")),
    reason="no DjVuLibre on the path; make system installs it",
)


@pytest.fixture
def two_pages(tmp_path: Path) -> Path:
    """A bundled file: the scene of 300 x 200 px, and one of 160 x 240 px."""
    parts = []
    for number, size in enumerate([(300, 200), (160, 240)]):
        scene(*size).save(tmp_path / f"{number}.ppm")
        parts.append(str(tmp_path / f"{number}.djvu"))
        subprocess.run(["c44", str(tmp_path / f"{number}.ppm"), parts[-1]], check=True)
    path = tmp_path / "two.djvu"
    subprocess.run(["djvm", "-c", str(path), *parts], check=True)
    return path


@needs_djvu
def test_every_page_of_a_djvu_file_is_read(two_pages: Path) -> None:
    with open_source(two_pages) as source:
        assert source.count == 2
        assert [source.size(n)[:2] for n in (1, 2)] == [(300, 200), (160, 240)]
        shown = source.page(2).pixels
    drawn = np.asarray(scene(160, 240))
    assert np.abs(shown.astype(int) - drawn).mean() < 4


@needs_djvu
def test_a_single_page_of_djvu_is_read_from_bytes(two_pages: Path) -> None:
    assert pixels_of((two_pages.parent / "0.djvu").read_bytes()).shape == (200, 300, 3)


@needs_djvu
def test_a_damaged_djvu_page_is_refused(two_pages: Path) -> None:
    data = (two_pages.parent / "0.djvu").read_bytes()
    with (
        open_source(data[:60] + bytes(len(data) - 60)) as source,
        pytest.raises(SourceError, match="page 1 of the DjVu file is damaged"),
    ):
        source.page(1)


@given(st.binary(max_size=60))
def test_any_djvu_header_gives_sizes_or_an_error_that_is_handled(noise: bytes) -> None:
    for head in (b"AT&TFORM\0\0\1\0DJVU", b"AT&TFORM\0\0\1\0DJVM", b"AT&TFORM"):
        try:
            sizes = djvu._page_sizes(BytesIO(head + noise))
        except (ValueError, struct.error):
            continue
        assert all(width > 0 and height > 0 for width, height in sizes)


def test_without_the_djvu_program_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(djvu, "PROGRAM_NAMES", ("ddjvu-not-there",))
    with pytest.raises(MissingExtraError, match="apt-get install djvulibre-bin"):
        open_source(b"AT&TFORM\0\0\0\x1cDJVUINFO\0\0\0\n\0\x20\0\x20")


@pytest.mark.parametrize("name", ["scene.heic", "scene-turned.heic"])
def test_a_heic_picture_is_read_upright(name: str) -> None:
    pytest.importorskip("pi_heif")
    with open_source(FIXTURES / name) as source:
        assert source.size(1) == (192, 128, "px")
        shown = source.page(1).pixels
    drawn = np.asarray(scene(192, 128))
    assert np.abs(shown.astype(int) - drawn).mean() < 4


def test_a_damaged_heic_picture_is_refused() -> None:
    pytest.importorskip("pi_heif")
    data = (FIXTURES / "scene.heic").read_bytes()
    for cut in (100, 300, len(data) - 40):
        with pytest.raises(SourceError, match="HEIC data are damaged"):
            pixels_of(data[:cut])


def test_without_the_heic_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tilewise\[heic\]'"):
        open_source(FIXTURES / "scene.heic")
