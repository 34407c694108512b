"""Sources are picked by content, and what is not readable is refused in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.sources.making import LEFT_HALF_RED, pdf, pixels_of, saved, scene
from tilewise.errors import SourceError
from tilewise.sources.content import kind_of
from tilewise.sources.pages import OPENERS, open_source

_IMAGES = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")


@pytest.mark.parametrize("kind", _IMAGES)
def test_every_image_format_is_told_by_its_content(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "misnamed.pdf"
    path.write_bytes(saved(scene(), kind))
    assert kind_of(path.read_bytes()) in OPENERS
    for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes())):
        assert pixels_of(source).shape == (32, 48, 3)


def test_a_pdf_is_told_by_its_content_even_behind_junk(tmp_path: Path) -> None:
    path = tmp_path / "misnamed.png"
    path.write_bytes(b"junk before the header\n" + pdf(LEFT_HALF_RED))
    with open_source(path) as source:
        assert source.size(1) == (200, 100, "pt")


def _zip_of(*names: str) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


_FOREIGN = {
    "an XML file": b"<?xml version='1.0'?><a/>",
    "plain text": "Größe, 12\n".encode(),
    "a damaged Word document (docx)": _zip_of("[Content_Types].xml", "word/document.xml"),
    "a damaged Excel workbook (xlsx)": _zip_of("[Content_Types].xml", "xl/workbook.xml"),
    "damaged PowerPoint slides (pptx)": _zip_of("[Content_Types].xml", "ppt/presentation.xml"),
    "a zip archive": _zip_of("a.txt"),
    "a gzip archive": b"\x1f\x8b\x08\0\0\0\0\0",
    "a program": Path(sys.executable).resolve().read_bytes()[:4096],
    "sound or video": b"OggS\0\x02" + bytes(22),
    "a JPEG 2000 image": saved(scene(), "JPEG2000"),
    "of an unknown kind (it starts with the bytes 00 01 02 80)": b"\0\1\2\x80",
}


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    path.touch()
    with pytest.raises(SourceError, match=r"page\.png is an empty file; get it again\.$"):
        open_source(path)


@pytest.mark.parametrize("found", _FOREIGN)
def test_another_kind_of_file_is_refused_by_what_it_is(found: str, tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(_FOREIGN[found])
    with pytest.raises(SourceError) as caught:
        open_source(path)
    assert str(caught.value).startswith(
        f"{path} is {found}; this version reads images (PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_text_is_text_in_any_encoding(encoding: str) -> None:
    assert kind_of(("a" + "ü" * 3000).encode(encoding)[:4096]) == "plain text"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/no/such/file.png", "does not exist"),
        ("", "the path is empty"),
        ("a\0b", "cannot be opened"),
        ("x" * 5000, "cannot be opened"),
        ("/dev/null", "is a device"),
    ],
    ids=["missing", "empty", "zero", "long", "device"],
)
def test_a_path_that_leads_to_no_file_is_refused(path: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        open_source(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        open_source(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "locked.png"
    path.touch(mode=0)
    with pytest.raises(SourceError, match="may not be read"):
        open_source(path)


def test_a_named_pipe_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(saved(scene(), "PNG"),))
    writer.start()
    assert pixels_of(path).shape == (32, 48, 3)
    writer.join()


def test_a_file_name_that_is_not_utf8_is_opened(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.pdf"
    Path(os.fsdecode(path)).write_bytes(pdf(LEFT_HALF_RED))
    assert pixels_of(os.fsdecode(path)).size


def test_a_refused_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<?xml version='1.0'?><a/>")
    with pytest.raises(SourceError):  # a leak would warn, and warnings are errors
        open_source(path)


def test_sources_need_no_torch() -> None:
    code = "import sys, tilewise.sources.pages; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
