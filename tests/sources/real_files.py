"""About forty files of every kind that is read, each with the words it holds, made when asked."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Final

import openpyxl
from openpyxl.chart import BarChart, LineChart, PieChart, Reference
from PIL import Image, ImageDraw, ImageFont

from tests.sources.making import pdf, saved
from tests.sources.office_making import converted, docx, flat_slides

Made = tuple[bytes | str | Path, Sequence[str]]
"""A source and the words it holds."""

ROOT: Final = Path(__file__).parents[2]
DOC: Final = Path("/usr/share/doc")

LINES: Final = (
    "Harbour office 4711", "Opens at 9:40 each day", "Rain 158 mm", "The last line of the page",
)  # fmt: skip
WORDS: Final = tuple(" ".join(LINES).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class RealFile:
    """A file: its kind as ``content`` tells it, how to make it, what it takes.

    ``check`` names how its words are looked for: "pixels" (drawn by us at known places), "pdf" (by
    the text layer) or "web" (by Chromium).
    """

    name: str
    make: Callable[[], Made]
    check: str
    is_quick: bool = False
    needs: str = ""
    pages: int = 1


def drawn(mode: str = "RGB", turn: Image.Transpose | None = None) -> Image.Image:
    """The lines on a page of 620 x 420 px, the last words near its edges."""
    picture = Image.new("RGB", (620, 420), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(34)
    for line, place in zip(LINES, places(), strict=True):
        draw.text(place[:2], line, font=font, fill="black")
    picture = picture if turn is None else picture.transpose(turn)
    return picture.convert(mode)


@cache
def places() -> list[tuple[int, int, int, int]]:
    """Box of each line on the drawn page."""
    font = ImageFont.load_default(34)
    corners = [(20, 20), (120, 130), (300, 240), (170, 360)]
    return [
        (x, y, x + int(font.getlength(line)) + 1, y + 42)
        for (x, y), line in zip(corners, LINES, strict=True)
    ]


def _image(kind: str, mode: str = "RGB", **options: Any) -> Callable[[], Made]:
    return lambda: (saved(drawn(mode), kind, **options), WORDS)


def _turned_jpeg() -> Made:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    return saved(drawn(turn=Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=90), WORDS


def _heic() -> Made:
    return (ROOT / "tests/fixtures/scene.heic").read_bytes(), ()


def _djvu() -> Made:
    with tempfile.TemporaryDirectory() as folder:
        drawn().save(f"{folder}/a.ppm")
        subprocess.run(["c44", f"{folder}/a.ppm", f"{folder}/a.djvu"], check=True)
        argv = ["djvm", "-c", f"{folder}/b.djvu", f"{folder}/a.djvu", f"{folder}/a.djvu"]
        subprocess.run(argv, check=True)
        return Path(folder, "b.djvu").read_bytes(), WORDS


def _made_pdf(page: str = "") -> Made:
    rows = " ".join(f"1 0 0 1 12 {160 - 40 * n} Tm ({line}) Tj" for n, line in enumerate(LINES))
    return pdf(f"BT /F 20 Tf {rows} ET", size=(300, 200), page=page), WORDS


def _scanned_pdf() -> Made:
    return saved(drawn(), "PDF", resolution=100), ()


TABLE: Final = (("Town", "Rain", "Wind"), ("Elgin", 31, 12), ("Corvo", 158, 44), ("Farrow", 74, 9))


@cache
def charts() -> bytes:
    """A workbook: a wide sheet, and one each with a bar, a line and a pie chart."""
    book = openpyxl.Workbook()
    wide = book.active
    assert wide is not None
    wide.title = "Wide"
    for row in range(1, 12):
        wide.append([f"r{row}c{col}" for col in range(1, 31)])
    for make in (BarChart, LineChart, PieChart):
        sheet = book.create_sheet(make.__name__)
        for line in TABLE:
            sheet.append(line)
        chart = make()
        chart.title = f"Rainfall {make.__name__}"
        last = 2 if make is PieChart else 3
        chart.add_data(
            Reference(sheet, min_col=2, max_col=last, min_row=1, max_row=4), titles_from_data=True
        )
        chart.set_categories(Reference(sheet, min_col=1, min_row=2, max_row=4))
        sheet.add_chart(chart, "E2")
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def cells() -> list[str]:
    """All words in the cells of ``charts``."""
    words = [f"r{row}c{col}" for row in range(1, 12) for col in range(1, 31)]
    return words + [str(cell) for line in TABLE for cell in line]


def sheet(kind: str) -> bytes:
    """The workbook as another kind."""
    return charts() if kind == "xlsx" else converted(charts(), "xlsx", kind)


def _sheet(kind: str) -> Callable[[], Made]:
    return lambda: (sheet(kind), cells())


def _table(ending: str, delimiter: str) -> Callable[[], Made]:
    def make() -> Made:
        text = StringIO()
        csv.writer(text, delimiter=delimiter).writerows(TABLE)
        return text.getvalue().encode(), [str(cell) for line in TABLE for cell in line]

    return make


_LONG: Final = [f"Paragraph {n} says that pier {n * 7} is closed." for n in range(90)]


def _document(kind: str) -> Callable[[], Made]:
    def make() -> Made:
        data = docx(*LINES, *_LONG)
        words = [*WORDS, *" ".join(_LONG).split()]
        return (data if kind == "docx" else converted(data, "docx", kind)), words

    return make


def _slides(kind: str) -> Callable[[], Made]:
    return lambda: (converted(flat_slides(*LINES), "fodp", kind), WORDS)


def _text() -> Made:
    path = Path(tempfile.mkdtemp(prefix="tilewise-real-")) / "notes.txt"
    path.write_text("\n".join((*LINES, *_LONG)), encoding="utf-8")
    return path, [*WORDS, *" ".join(_LONG).split()]


def _svg() -> Made:
    lines = "".join(
        f'<text x="20" y="{50 + 60 * n}" font-size="28">{line}</text>'
        for n, line in enumerate(LINES)
    )
    data = f'<svg xmlns="http://www.w3.org/2000/svg" width="500" height="300">{lines}</svg>'
    return data.encode(), WORDS


def page_of_html(picture: str = "") -> str:
    """A page with a table, a list, a wide line, and text after what is pushed far down."""
    rows = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in line)}</tr>" for line in TABLE)
    items = "".join(f"<li>{line}</li>" for line in _LONG)
    return (
        "<!DOCTYPE html><html><head><meta charset=utf-8><title>Ferry</title><style>"
        "body{font-family:sans-serif;margin:30px} td{border:1px solid #999;padding:4px}</style>"
        f"</head><body><h1>{LINES[0]}</h1><p>{LINES[1]}</p>{picture}<table>{rows}</table>"
        f"<p style='text-align:right'>{LINES[2]}</p><ul>{items}</ul><p>{LINES[3]}</p>"
        "</body></html>"
    )


def _html() -> Made:
    path = Path(tempfile.mkdtemp(prefix="tilewise-real-")) / "page.html"
    path.write_text(page_of_html(), encoding="utf-8")
    return path, WORDS


def _mhtml() -> Made:
    path = Path(tempfile.mkdtemp(prefix="tilewise-real-")) / "page.mhtml"
    head = (
        "From: <Saved>\r\nSubject: Ferry\r\nMIME-Version: 1.0\r\nContent-Type: "
        'multipart/related; type="text/html"; boundary="----b"\r\n\r\n------b\r\nContent-Type: '
        "text/html\r\nContent-Transfer-Encoding: 8bit\r\nContent-Location: http://a.example/\r\n"
    )
    path.write_text(f"{head}\r\n{page_of_html()}\r\n------b--\r\n", encoding="utf-8", newline="")
    return path, WORDS


def _data_picture() -> Made:
    return "data:image/png;base64," + b64encode(saved(drawn(), "PNG")).decode(), WORDS


def _data_page() -> Made:
    return "data:text/html;base64," + b64encode(page_of_html().encode()).decode(), WORDS


def _documentation(path: str) -> Callable[[], Made]:
    return lambda: (DOC / path, ())


_OFFICE: Final = "soffice"
_WEB: Final = "chromium"

FILES: Final = (
    RealFile(name="png", make=_image("PNG"), check="pixels", is_quick=True),
    RealFile(name="png, palette", make=_image("PNG", "P"), check="pixels"),
    RealFile(name="png, 1 bit", make=_image("PNG", "1"), check="pixels"),
    RealFile(name="png, grey with alpha", make=_image("PNG", "LA"), check="pixels"),
    RealFile(name="jpeg", make=_image("JPEG", quality=85), check="pixels", is_quick=True),
    RealFile(name="jpeg, grey", make=_image("JPEG", "L"), check="pixels"),
    RealFile(name="jpeg, CMYK", make=_image("JPEG", "CMYK"), check="pixels"),
    RealFile(name="jpeg, turned by EXIF", make=_turned_jpeg, check="pixels", is_quick=True),
    RealFile(name="webp", make=_image("WEBP", quality=80), check="pixels", is_quick=True),
    RealFile(name="webp, lossless", make=_image("WEBP", lossless=True), check="pixels"),
    RealFile(
        name="tiff of 3 pages",
        make=lambda: (
            saved(drawn(), "TIFF", save_all=True, append_images=[drawn(), drawn()]), WORDS,
        ),
        check="pixels", is_quick=True, pages=3,
    ),
    RealFile(name="tiff, fax", make=_image("TIFF", "1", compression="group4"), check="pixels"),
    RealFile(name="tiff, LZW", make=_image("TIFF", compression="tiff_lzw"), check="pixels"),
    RealFile(name="bmp", make=_image("BMP"), check="pixels", is_quick=True),
    RealFile(name="gif", make=_image("GIF", "P"), check="pixels", is_quick=True),
    RealFile(name="avif", make=_image("AVIF", quality=80), check="pixels", is_quick=True),
    RealFile(name="heic", make=_heic, check="size", needs="pi_heif"),
    RealFile(name="djvu of 2 pages", make=_djvu, check="pixels", needs="c44", pages=2),
    RealFile(name="data: picture", make=_data_picture, check="pixels", is_quick=True),
    RealFile(name="http picture", make=_image("PNG"), check="http pixels", is_quick=True),
    RealFile(name="pdf", make=_made_pdf, check="pdf", is_quick=True),
    RealFile(name="pdf, on its side", make=lambda: _made_pdf("/Rotate 90"), check="pdf"),
    RealFile(
        name="pdf, cut", make=lambda: _made_pdf("/CropBox [0 20 300 190]"), check="pdf",
    ),
    RealFile(name="pdf of a scan", make=_scanned_pdf, check="size"),
    RealFile(name="http pdf", make=_made_pdf, check="http pdf"),
    RealFile(
        name="pdf, the bundled invoice", check="pdf", is_quick=True,
        make=lambda: (ROOT / "src/tilewise/assets/demo/invoice.pdf", ("Invoice", "3,413.75")),
    ),
    RealFile(
        name="pdf of Octave", check="pdf", needs="octave/refcard-a4.pdf", pages=0,
        make=_documentation("octave/refcard-a4.pdf"),
    ),
    RealFile(name="xlsx", make=_sheet("xlsx"), check="pdf", needs=_OFFICE, pages=4),
    RealFile(name="xls", make=_sheet("xls"), check="pdf", needs=_OFFICE, pages=4),
    RealFile(name="ods", make=_sheet("ods"), check="pdf", needs=_OFFICE, pages=4),
    RealFile(name="csv", make=_table("csv", ","), check="pdf", needs=_OFFICE),
    RealFile(name="tsv", make=_table("tsv", "\t"), check="pdf", needs=_OFFICE),
    RealFile(
        name="docx", make=_document("docx"), check="pdf", needs=_OFFICE, is_quick=True, pages=0,
    ),
    RealFile(name="doc", make=_document("doc"), check="pdf", needs=_OFFICE, pages=0),
    RealFile(name="odt", make=_document("odt"), check="pdf", needs=_OFFICE, pages=0),
    RealFile(name="rtf", make=_document("rtf"), check="pdf", needs=_OFFICE, pages=0),
    RealFile(name="txt", make=_text, check="pdf", needs=_OFFICE, pages=0),
    RealFile(name="pptx", make=_slides("pptx"), check="pdf", needs=_OFFICE, pages=4),
    RealFile(name="ppt", make=_slides("ppt"), check="pdf", needs=_OFFICE, pages=4),
    RealFile(name="odp", make=_slides("odp"), check="pdf", needs=_OFFICE, pages=4),
    RealFile(name="svg", make=_svg, check="pdf", needs=_OFFICE),
    RealFile(name="html", make=_html, check="web", needs=_WEB, is_quick=True),
    RealFile(name="mhtml", make=_mhtml, check="web", needs=_WEB),
    RealFile(name="data: page", make=_data_page, check="web", needs=_WEB),
    RealFile(
        name="http page", make=lambda: (page_of_html().encode(), WORDS), check="http web",
        needs=_WEB,
    ),
    RealFile(
        name="html of SQLite", check="web", needs="chromium sqlite3/lang_select.html", pages=0,
        make=_documentation("sqlite3/lang_select.html"),
    ),
    RealFile(
        name="html of Python", check="web", needs="chromium python3.11/html/about.html",
        make=_documentation("python3.11/html/about.html"),
    ),
)  # fmt: skip


def missing(needs: str) -> str:
    """What of a file's needs is not on this machine, or nothing."""
    for each in needs.split():
        if each == "pi_heif":
            if importlib.util.find_spec("pi_heif") is None:
                return each
        elif "/" in each:
            if not (DOC / each).exists():
                return str(DOC / each)
        elif shutil.which(each) is None:
            return each
    return ""
