"""Whole files that damage is done to, by the reader that they are for."""

from __future__ import annotations

import gzip
import importlib.util
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from tests.sources.making import LEFT_HALF_RED, pdf, saved, scene
from tests.sources.office_making import (
    RTF,
    SVG,
    converted,
    docx,
    flat_slides,
    ole,
    workbook,
    zipped,
)
from tests.sources.video_making import video

_ROOT: Final = Path(__file__).parents[2]
_NO_DATE: Final = time.gmtime(0)
_FIXTURES: Final = _ROOT / "tests" / "fixtures"
_DEMO: Final = _ROOT / "src" / "tilewise" / "assets" / "demo"


@cache
def seeds(group: str) -> tuple[bytes, ...]:
    """The files of a group of readers, always the same and in the same order.

    Raises:
        KeyError: no such group.
    """
    return tuple(_SEEDS[group]())


def _images() -> list[bytes]:
    picture = scene()
    grey = np.linspace(0, 1, 48 * 32, dtype=np.float32).reshape(32, 48)
    exif = Image.Exif()
    exif[0x0112] = 6
    more = {"save_all": True, "append_images": [picture.rotate(180)] * 2}
    clear = picture.convert("RGBA")
    clear_more = {"save_all": True, "append_images": [clear.rotate(180)] * 2}
    return [
        saved(picture, "PNG"),
        saved(picture.convert("P"), "PNG", transparency=3),
        saved(Image.fromarray((grey * 65535).astype(np.uint16)), "PNG"),
        saved(clear, "PNG", **clear_more),
        saved(picture.convert("1"), "PNG", dpi=(300, 300)),
        saved(picture, "JPEG", exif=exif),
        saved(picture, "JPEG", progressive=True, subsampling=2, restart_marker_rows=1),
        saved(picture.convert("CMYK"), "JPEG"),
        saved(picture.convert("L"), "JPEG", comment=b"a comment"),
        saved(picture, "WEBP"),
        saved(clear, "WEBP", lossless=True, **clear_more),
        saved(picture, "BMP"),
        saved(picture.convert("P"), "BMP"),
        saved(picture, "GIF", **more),
        saved(picture.convert("P"), "GIF", transparency=1, interlace=1),
        saved(picture, "AVIF"),
        saved(clear, "AVIF", **clear_more),
        saved(picture, "TIFF", **more),
        saved(picture, "TIFF", compression="tiff_lzw"),
        saved(picture, "TIFF", compression="jpeg"),
        saved(picture, "TIFF", compression="tiff_adobe_deflate", big_tiff=True),
        saved(picture.convert("1"), "TIFF", compression="group4"),
        saved(picture.convert("CMYK"), "TIFF", compression="packbits"),
        saved(Image.fromarray(grey), "TIFF"),
        saved(picture.convert("I;16"), "TIFF"),
        saved(scene(300, 200), "PNG"),
        saved(scene(300, 200), "JPEG"),
        *((_FIXTURES / name).read_bytes() for name in ("scene.heic", "scene-turned.heic")),
    ]


def _pdfs() -> list[bytes]:
    image = (
        f"<< /Type /XObject /Subtype /Image /Width 4 /Height 4 /BitsPerComponent 8 /ColorSpace "
        f"/DeviceGray /Length 16 >>\nstream\n{'0a8f' * 4}\nendstream"
    )
    shading = (
        "<< /ShadingType 2 /ColorSpace /DeviceRGB /Coords [0 0 200 100] /Extend [true true] "
        "/Function << /FunctionType 2 /Domain [0 1] /C0 [1 0 0] /C1 [0 0 1] /N 1 >> >>"
    )
    tiling = (
        "<< /Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 4 4] /XStep 4 "
        "/YStep 4 /Resources << >> /Length 22 >>\nstream\n1 0 0 rg 0 0 2 2 re f \nendstream"
    )
    form = (
        "<< /Type /XObject /Subtype /Form /BBox [0 0 50 50] /Group << /S /Transparency >> "
        "/Resources << /XObject << /X 7 0 R >> >> /Length 25 >>\n"
        "stream\n0 0 1 rg 0 0 30 30 re f Q\nendstream"
    )
    widget = (
        "<< /Type /Annot /Subtype /Widget /FT /Tx /T (a) /V (filled in) /Rect [10 10 90 30] "
        "/DA (/F 12 Tf 0 g) >>"
    )
    resources = (
        "/Resources << /Font << /F 3 0 R >> /XObject << /I 4 0 R /X 7 0 R >> "
        "/Shading << /S 5 0 R >> /Pattern << /P 6 0 R >> >> /Annots [8 0 R]"
    )
    drawn = pdf(
        "q 40 0 0 40 10 10 cm /I Do Q /X Do BT /F 12 Tf 20 60 Td (Total 31.50) Tj ET",
        "/S sh /Pattern cs /P scn 20 20 90 60 re f 0 0 m 50 90 90 10 200 100 c 3 w [4 2] 1 d S",
        page=resources,
        objects=(image, shading, tiling, form, widget),
        catalog="/AcroForm << /Fields [8 0 R] /NeedAppearances true >>",
    )
    return [
        pdf("BT /F 40 Tf 20 30 Td (Total) Tj ET", LEFT_HALF_RED),
        drawn,
        drawn,
        saved(scene(300, 200), "PDF", creationDate=_NO_DATE, modDate=_NO_DATE),
        (_FIXTURES / "encrypted-rc4-40.pdf").read_bytes(),
        (_FIXTURES / "encrypted-aes-256.pdf").read_bytes(),
        (_DEMO / "invoice.pdf").read_bytes(),
    ]


def _any_bytes() -> list[bytes]:
    """Beginnings of every kind that is told by content, read or not."""
    heads = [
        b"\0\0\0\x20ftypheic\0\0\0\0mif1heic", b"AT&TFORM\0\0\0\x30DJVUINFO", b"%!PS-Adobe-3.0",
        b"{\\rtf1", b"\x1f\x8b\x08\0", b"RIFF\x30\0\0\0WEBPVP8 ", b"<?xml version='1.0'?><svg/>",
        b"<!-- x --> <!DOCTYPE html>", b"\xff\xfea\0,\0b\0\n\0", b"a,b\n1,2\n",
        b"From: a\nTo: b\n\n", b"\xef\xbb\xbfplain text\n",
        b"BM\x9e\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", b"PK\x05\x06" + bytes(18),
        b"MM\0+\0\x08\0\0" + bytes(8), b"II*\0\x08\0\0\0\x01\0", b"\xff\xd8\xff\xe1\0\x10Exif\0\0",
    ]  # fmt: skip
    return [head + bytes(40) for head in heads] + heads


def _office_parts() -> list[bytes]:
    small = workbook(6, 10)
    streams = {"WordDocument": bytes(5000), "Workbook": b"\x09\x08\x10\0" + bytes(300)}
    mime = "application/vnd.oasis.opendocument.spreadsheet"
    table = (
        '<office:document-content xmlns:office="o" xmlns:table="t" xmlns:style="s">'
        '<style:style style:name="c" style:family="table-column"><style:table-column-properties '
        'style:column-width="22.6mm" fo:break-before="auto"/></style:style>'
        '<table:table table:style-name="t" table:print-ranges="A1:B2"><table:table-column '
        'table:style-name="c" table:number-columns-repeated="4"/><table:table-row>'
        '<table:table-cell office:value-type="string" table:number-columns-spanned="2"/>'
        "</table:table-row></table:table></office:document-content>"
    )
    styles = (
        '<s><style:page-layout style:name="p"><style:page-layout-properties fo:page-width="1mm"/>'
        "</style:page-layout></office:automatic-styles>"
        '<style:master-page style:name="Default" style:page-layout-name="p"/></s>'
    )
    return [
        docx("Hello there", "x"),
        small,
        zipped({"mimetype": mime, "content.xml": table, "styles.xml": styles}),
        ole(streams),
        ole({"EncryptedPackage": bytes(99), "PowerPoint Document": bytes(9000)}),
        b"a,b,c\n1,2,3\n4,5,6\n",
        'Name;"Ort;\nLand";x\n007;Köln;1.5\n'.encode("cp1252"),
        "a\tb\n1\t2\n".encode("utf-16"),
        SVG.encode(),
    ]


def _addresses() -> list[bytes]:
    """Answers of a web server, whole with their headers, and data: addresses."""
    png, page = saved(scene(), "PNG"), b"<html><body>Total 31</body></html>"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n"
    return [
        head % (b"image/png", len(png)) + b"\r\n" + png,
        head % (b"text/html; charset=utf-8", len(page)) + b"Set-Cookie: a=b; Path=/\r\n\r\n" + page,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n3;x=y\r\n, 1\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(png, mtime=0),
        b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
        b"data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=",
        b"data:application/pdf," + b"".join(b"%%%02x" % byte for byte in pdf(LEFT_HALF_RED)),
        b"data:text/csv;charset=utf-8,a%2Cb%0A1%2C2",
    ]


def _djvu() -> list[bytes]:
    """One page and two pages, where DjVuLibre is there; else headers alone."""
    info = b"INFO" + struct.pack(">IHHBBHBB", 10, 300, 200, 24, 0, 0x6400, 22, 1)
    one = b"AT&TFORM" + struct.pack(">I", 4 + len(info)) + b"DJVU" + info
    if not (shutil.which("c44") and shutil.which("djvm")):
        return [one]
    with tempfile.TemporaryDirectory() as folder:
        for number in (0, 1):
            scene(300, 200).save(Path(folder, f"{number}.ppm"))
            argv = ["c44", f"{folder}/{number}.ppm", f"{folder}/{number}.djvu"]
            subprocess.run(argv, check=True)
        parts = [f"{folder}/{number}.djvu" for number in (0, 1)]
        subprocess.run(["djvm", "-c", f"{folder}/two.djvu", *parts], check=True)
        return [one, Path(parts[0]).read_bytes(), Path(folder, "two.djvu").read_bytes()]


def _videos() -> list[bytes]:
    """Every form, and one with sound, where PyAV is there; else headers alone."""
    if importlib.util.find_spec("av") is None:
        return [b"\0\0\0\x18ftypisom\0\0\0\0isomiso2", b"\x1a\x45\xdf\xa3" + bytes(40)]
    forms = [
        ("mp4", "libx264"), ("mp4", "mpeg4"), ("mp4", "libx265"), ("mp4", "libsvtav1"),
        ("mov", "mjpeg"), ("mov", "prores_ks"), ("matroska", "libx264"), ("matroska", "ffv1"),
        ("webm", "libvpx"), ("webm", "libvpx-vp9"), ("avi", "mpeg4"), ("avi", "mjpeg"),
        ("avi", "msmpeg4v2"),
    ]  # fmt: skip
    made = [video(form, codec, 12, gop=5) for form, codec in forms]
    return [*made, video("mp4", "libx264", 12, sound=True), video("matroska", frames=0, sound=True)]


def _office() -> list[bytes]:
    word, slides = docx("Hello there", "x"), flat_slides("One lake", "Two lakes")
    return [
        word,
        workbook(6, 10),
        RTF,
        b"a,b\n1,2\n3,4\n",
        SVG.encode(),
        *(converted(word, "docx", kind) for kind in ("doc", "odt")),
        *(converted(workbook(4, 5), "xlsx", kind) for kind in ("xls", "ods")),
        *(converted(slides, "fodp", kind) for kind in ("pptx", "ppt", "odp")),
    ]


def _web() -> list[bytes]:
    mail = (
        b"From: <Saved>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=\"x\"\r\n"
        b"\r\n--x\r\nContent-Type: text/html\r\nContent-Location: http://a.example/\r\n\r\n"
        b"<html><body><h1>Archive</h1><img src=\"http://a.example/p.png\"></body></html>\r\n"
        b"--x\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Location: http://a.example/p.png\r\n\r\niVBORw0KGgo=\r\n--x--\r\n"
    )  # fmt: skip
    plain = (
        b"<!DOCTYPE html>\n<html>\n<head><title>Ferry</title>\n"
        b"<style>table{border:1px solid}</style>\n"
        b"</head>\n<body>\n<h1 style='height:40px'>Ferry times</h1>\n<table>\n<tr><td>Corvo</td>\n"
        b"<td>9:40</td></tr>\n</table>\n<script>document.title = 1 + 1;</script>\n"
        b"</body>\n</html>\n"
    )
    return [plain, plain, mail]


_SEEDS: Final[dict[str, Callable[[], list[bytes]]]] = {
    "images": _images,
    "pdf": _pdfs,
    "bytes": _any_bytes,
    "office parts": _office_parts,
    "addresses": _addresses,
    "djvu": _djvu,
    "videos": _videos,
    "libreoffice": _office,
    "chromium": _web,
}
