"""Files of every kind become pages that show all the text they hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from tests.sources.office_making import converted, needs_office
from tests.sources.real_files import FILES, RealFile, cells, missing, places, sheet
from tests.sources.serving import serving
from tests.sources.showing import coloured_mm2, html_words, outside, pdf_words, raster
from tilewise.records import Pixels
from tilewise.sources.pages import SourceLike, open_source
from tilewise.sources.pdf import PdfSource
from tilewise.sources.source import Source
from tilewise.sources.web_options import WebOptions

WEB = WebOptions(width=900, scale=1.5, allow_private=True)


def _marked(file: RealFile) -> object:
    lacking = missing(file.needs)
    marks = [pytest.mark.skipif(bool(lacking), reason=f"{lacking} is not on this machine")]
    if not file.is_quick:
        marks.append(pytest.mark.slow)
    return pytest.param(file, id=file.name, marks=marks)


@pytest.fixture(autouse=True)
def _temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with TemporaryDirectory() as folder:  # short: Chromium's sockets lie deep inside
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield


@pytest.mark.parametrize("file", [_marked(file) for file in FILES])
def test_a_file_becomes_pages_that_show_its_text(file: RealFile) -> None:
    made, words = file.make()
    if not file.check.startswith("http "):
        _check(file, made, words, str(made))
        return
    assert isinstance(made, bytes)
    with serving() as site:
        site.pages["/file"] = (
            (200, {"Content-Type": "text/html"}, made) if "web" in file.check else made
        )
        _check(file, site["/file"], words, site["/file"])


def _check(file: RealFile, source: SourceLike, words: object, address: str) -> None:
    way = file.check.removeprefix("http ")
    assert isinstance(words, list | tuple)
    with open_source(source, web=WEB, straighten=False) as opened:
        assert opened.count == file.pages or not file.pages
        if way == "pdf":
            _check_pdf(opened, words)
        elif way == "web":
            url = Path(address).as_uri() if address.startswith("/") else address
            _check_web(opened, words, url)
        else:
            for number in range(1, opened.count + 1):
                _check_pixels(opened.page(number).pixels, is_drawn=way == "pixels")


def _check_pixels(pixels: Pixels, *, is_drawn: bool) -> None:
    """Every line that was drawn has ink from end to end, and nothing else has any."""
    assert np.ptp(pixels) > 100
    if not is_drawn:
        return
    assert pixels.shape == (420, 620, 3)
    rest = pixels.min(axis=2) < 128
    for left, top, right, bottom in places():
        part = rest[top:bottom, left:right]
        columns = np.flatnonzero(part.any(axis=0))
        assert columns[0] < 12
        assert columns[-1] > right - left - 12
        part[:] = False
    assert not rest.any()


def _check_pdf(source: Source, words: list[str] | tuple[str, ...]) -> None:
    assert isinstance(source, PdfSource)
    found = []
    for number in range(1, source.count + 1):
        pixels = source.page(number, raster).pixels
        here = pdf_words(source, number, (pixels.shape[1], pixels.shape[0]))
        assert list(outside(here, pixels)) == []
        found += [word.text for word in here]
    assert found
    assert sorted(set(words) - set(found)) == []


def _check_web(source: Source, words: list[str] | tuple[str, ...], url: str) -> None:
    pixels = np.concatenate([source.page(n).pixels for n in range(1, source.count + 1)])
    found = html_words(url, WEB.width, WEB.scale)
    lost = list(outside(found, pixels))
    # pages of others lay a few words under other things, in any browser
    assert len(lost) <= (0 if words else len(found) // 50), lost
    assert not [each for each in lost if not each.endswith("is not drawn")]
    assert sorted(set(words) - {word.text for word in found}) == []


@needs_office
@pytest.mark.parametrize(
    "kind",
    [
        "xlsx",
        pytest.param("xls", marks=pytest.mark.slow),
        pytest.param("ods", marks=pytest.mark.slow),
    ],
)
def test_sheets_and_charts_are_those_of_the_office_suites_own_pdf(kind: str) -> None:
    data = sheet(kind)
    printed = converted(data, kind, "pdf")
    with open_source(data) as ours, open_source(printed, straighten=False) as theirs:
        assert isinstance(ours, PdfSource)
        assert isinstance(theirs, PdfSource)
        assert theirs.count > ours.count  # it cuts the wide sheet into strips
        assert _words(ours) == _words(theirs)
        assert set(cells()) <= _words(ours)
        area = coloured_mm2(ours)
        assert area > 1000
        assert area == pytest.approx(coloured_mm2(theirs), rel=0.1)


def _words(source: PdfSource) -> set[str]:
    """All words; what is cut in two by pages has them on both."""
    return {
        word.text
        for number in range(1, source.count + 1)
        for word in pdf_words(source, number, (1000, 1000))
    }
