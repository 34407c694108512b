"""Office files become pages that show all of them; what is locked, hostile or damaged does not."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from tests.sources.making import saved, scene
from tests.sources.office_making import (
    RTF,
    SVG,
    converted,
    docx,
    docx_with_link,
    flat_slides,
    needs_office,
    odt_that_acts,
    texts_of,
    workbook,
)
from tilewise.errors import MissingExtraError, SourceError
from tilewise.records import Pixels
from tilewise.sources import office
from tilewise.sources.office import open_office
from tilewise.sources.pages import open_source
from tilewise.sources.program import Limits


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files; nothing may be left in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def _coloured(pixels: Pixels) -> int:
    """Pixels that are no shade of grey."""
    spread = pixels.max(axis=2).astype(int) - pixels.min(axis=2)
    return int((spread > 60).sum())


@needs_office
def test_every_sheet_appears_whole_with_its_chart() -> None:
    with open_source(workbook(), name="rain.xlsx") as source:
        wide, figures = texts_of(source)  # the hidden sheet is not shown
        sizes = [source.size(number) for number in (1, 2)]
        drawn = source.page(2).pixels
    for row in (1, 30):
        for col in (1, 2, 40):  # the print area, A1:B3, leaves nothing out
            assert f"r{row}c{col}" in wide
    assert sizes[0].width > 1500  # as wide as its columns
    assert sizes[1].width < 850  # one sheet of A4, lying where a chart needs the width
    assert figures.count("Corvo") == 2  # cell and axis
    assert "Rainfall" in figures
    assert _coloured(drawn) > 0.01 * drawn.shape[0] * drawn.shape[1]


@needs_office
def test_a_word_file_shows_its_text() -> None:
    with open_source(docx("The harbour office", "opens at nine")) as source:
        assert source.count == 1
        (text,) = texts_of(source)
        assert (source.page(1).pixels < 128).any()
    assert "The harbour office" in text
    assert "opens at nine" in text


@needs_office
def test_every_slide_is_a_page() -> None:
    data = converted(flat_slides("One lake", "Two lakes"), "fodp", "pptx")
    with open_source(data) as source:
        texts = texts_of(source)
    assert ["One lake" in texts[0], "Two lakes" in texts[1], len(texts)] == [True, True, 2]


@needs_office
def test_rich_text_shows_its_text() -> None:
    with open_source(RTF) as source:
        assert "Minutes of the meeting" in texts_of(source)[0]


@needs_office
def test_a_drawing_keeps_its_shape_and_colours() -> None:
    with open_source(SVG.encode()) as source:
        assert "Lighthouse" in texts_of(source)[0]
        width, height, _ = source.size(1)
        pixels = source.page(1).pixels
    assert width / height == pytest.approx(1.5, rel=0.02)
    middle = pixels.shape[0] // 2
    assert np.abs(pixels[middle, -20].astype(int) - (200, 30, 40)).max() < 10
    assert (pixels[middle, 20] == 255).all()


@needs_office
def test_cells_of_a_csv_file_stay_the_text_they_are() -> None:
    data = 'Name;Ort;Menge\n007;Köln;1.50\n=1+1;"a;\nb";2024-1-2\n'.encode("cp1252")
    with open_source(data) as source:
        (text,) = texts_of(source)
    assert set("Name Ort Menge 007 Köln 1.50 =1+1 a; b 2024-1-2".split()) == set(text.split())


@needs_office
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["xls", "ods", "xlsm"])
def test_other_spreadsheets_are_fitted_too(kind: str) -> None:
    data = workbook() if kind == "xlsm" else converted(workbook(), "xlsx", kind)
    with open_source(data) as source:
        wide, figures = texts_of(source)
    assert "r1c1" in wide
    assert "r30c40" in wide
    assert figures.count("Corvo") == 2


@needs_office
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["doc", "odt", "rtf"])
def test_other_documents_show_their_text(kind: str) -> None:
    with open_source(converted(docx("The harbour office"), "docx", kind)) as source:
        assert "The harbour office" in texts_of(source)[0]


@needs_office
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ppt", "odp"])
def test_other_slides_are_pages(kind: str) -> None:
    with open_source(converted(flat_slides("One lake", "Two lakes"), "fodp", kind)) as source:
        assert "Two lakes" in texts_of(source)[1]


@needs_office
@pytest.mark.slow
def test_a_chart_shows_what_the_office_suite_itself_prints() -> None:
    data = workbook(cols=4)
    printed = converted(data, "xlsx", "pdf")
    with open_source(printed, straighten=False) as plain, open_source(data) as ours:
        expected = " ".join(texts_of(plain)[-plain.count + 1 :])  # cut across pages, perhaps
        assert set(texts_of(ours)[-1].split()) == set(expected.split())


@needs_office
@pytest.mark.slow
def test_a_sheet_of_more_pages_than_the_limit_is_cut_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(office, "MAX_OFFICE_PAGES", 2)
    lines = "".join(f"{n},x\n" for n in range(500))
    with open_source(lines.encode(), name="long.csv") as source:
        assert source.count == 2
        assert source.page(2).total == 2
    assert "long.csv has over 2 pages" in caplog.text


@needs_office
def test_nothing_in_a_file_runs_and_nothing_is_fetched(tmp_path: Path) -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_OPTIONS = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    (tmp_path / "secret.png").write_bytes(saved(scene(), "PNG"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        mark = tmp_path / "ran"
        data = odt_that_acts(address, mark, (tmp_path / "secret.png").as_uri())
        with open_source(data) as source:
            assert "Quiet page" in texts_of(source)[0]
            assert not _coloured(source.page(1).pixels)
        server.shutdown()
    assert not mark.exists()
    assert not asked


@needs_office
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["docx", "svg"])
def test_a_linked_picture_on_this_machine_is_not_shown(kind: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(saved(scene(), "PNG"))
    address = (tmp_path / "secret.png").as_uri()
    image = f'<image xmlns:x="http://www.w3.org/1999/xlink" x:href="{address}" width="99"/></svg>'
    plain = SVG.replace("#c81e28", "#808080")
    data = docx_with_link(address) if kind == "docx" else plain.replace("</svg>", image).encode()
    with open_source(data) as source:
        assert not _coloured(source.page(1).pixels)


@needs_office
def test_a_damaged_file_is_refused_in_one_sentence() -> None:
    data = docx("x", body="<w:p><w:broken")
    with pytest.raises(SourceError, match="cannot turn this DOCX file into pages") as caught:
        open_source(data)
    assert "\n" not in str(caught.value)


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(office.PROGRAM_VARIABLE, raising=False)
    monkeypatch.setattr(office, "PROGRAM_NAMES", ("soffice-not-there",))
    with pytest.raises(MissingExtraError, match="libreoffice-calc-nogui"):
        open_source(docx("x"))


def test_a_wrong_name_in_the_variable_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(office.PROGRAM_VARIABLE, "/no/such/soffice")
    with pytest.raises(MissingExtraError, match="TILEWISE_SOFFICE is '/no/such/soffice'"):
        open_source(docx("x"))


def _program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a shell script in the place of LibreOffice."""
    path = tmp_path / "soffice"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv(office.PROGRAM_VARIABLE, str(path))


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_program_that_does_not_end_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    _program(tmp_path, monkeypatch, f"sleep 60 & echo $$ $! > {pids}; wait")
    began = time.monotonic()
    limits = Limits(seconds=1, memory_bytes=1 << 30)
    with pytest.raises(SourceError, match="needed over 1 s and was stopped at this DOCX file"):
        open_office(BytesIO(docx("x")), "slow.docx", "DOCX", limits=limits)
    assert time.monotonic() - began < 10
    assert not any(_is_alive(int(pid)) for pid in pids.read_text().split())


def test_a_program_that_gives_nothing_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path, monkeypatch, "exit 81")
    with pytest.raises(SourceError, match="cannot turn this SVG file into pages"):
        open_source(SVG.encode())


def test_the_users_variables_and_folders_stay_unknown_to_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    _program(tmp_path, monkeypatch, f"env > {tmp_path}/seen")
    with pytest.raises(SourceError):
        open_source(RTF)
    seen = (tmp_path / "seen").read_text()
    assert "SECRET_TOKEN" not in seen
    assert f"HOME={tmp_path}/temporary/tilewise-" in seen


def test_a_full_disk_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("tilewise.sources.office.shutil.copyfileobj", full)
    monkeypatch.setenv(office.PROGRAM_VARIABLE, "/bin/true")
    with pytest.raises(SourceError, match=r"needs room for temporary files.*No space left"):
        open_source(docx("x"))


def test_a_program_ends_with_tilewise_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    pids = tmp_path / "pids"
    _program(tmp_path, monkeypatch, f"echo $$ > {pids}.part; mv {pids}.part {pids}; sleep 60")
    (tmp_path / "slow.rtf").write_bytes(RTF)
    code = "import sys; from tilewise.sources.pages import open_source; open_source(sys.argv[1])"
    argv = [sys.executable, "-c", code, str(tmp_path / "slow.rtf")]
    asking = subprocess.Popen(argv, env=os.environ | {"TMPDIR": str(temporary)})
    _until(pids.exists)
    asking.kill()  # SIGKILL: nothing of tilewise itself can clean up
    asking.wait()
    _until(lambda: not _is_alive(int(pids.read_text())) and not list(temporary.iterdir()))


def _until(is_so: Callable[[], bool]) -> None:
    """Wait for something, 20 s at most."""
    ends = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.02)
