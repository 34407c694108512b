"""Draw three of the pages that ``tilewise demo`` asks, and write the questions about all.

Everything on them is invented. The PDF needs ReportLab (BSD licence), which nothing else here
uses; the fonts are DejaVu and Liberation, as Debian packages them. The output is the same every
time and is committed:

    pip install reportlab
    python scripts/make_demo_pages.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import TTFont  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

import make_demo_documents

FONTS: Final = Path("/usr/share/fonts/truetype")
SANS: Final = FONTS / "liberation/LiberationSans-Regular.ttf"
BOLD: Final = FONTS / "liberation/LiberationSans-Bold.ttf"
DEJAVU: Final = FONTS / "dejavu/DejaVuSans.ttf"
DEJAVU_BOLD: Final = FONTS / "dejavu/DejaVuSans-Bold.ttf"
SERIF: Final = FONTS / "liberation/LiberationSerif-Regular.ttf"
SERIF_BOLD: Final = FONTS / "liberation/LiberationSerif-Bold.ttf"

Rows = list[list[str]]
Ink = int | tuple[int, int, int]


class Sheet:
    """A picture to write on."""

    def __init__(self, mode: Literal["L", "RGB"], width: int, height: int) -> None:
        self.picture = Image.new(mode, (width, height), "white")
        self.draw = ImageDraw.Draw(self.picture)

    def text(
        self, x: float, y: float, text: str, font: Path, size: int, anchor: str = "ls", ink: Ink = 0
    ) -> None:
        """Write one line on baseline ``y``."""
        face = ImageFont.truetype(font, size)
        self.draw.text((x, y), text, font=face, anchor=anchor, fill=ink)

    def paragraph(self, x: int, y: int, width: int, text: str, font: Path, size: int) -> int:
        """Write text in lines of at most ``width``; returns the baseline after the last."""
        face = ImageFont.truetype(font, size)
        line = ""
        for word in [*text.split(), ""]:
            longer = f"{line} {word}".strip()
            if word and face.getlength(longer) <= width:
                line = longer
                continue
            self.text(x, y, line, font, size)
            y += round(size * 1.45)
            line = word
        return y

    def table(
        self, x: int, y: int, widths: list[int], rows: Rows, fonts: tuple[Path, Path], size: int
    ) -> int:
        """Write a ruled table whose first row and column are names; returns the y below it."""
        step = round(size * 1.7)
        for r, row in enumerate(rows):
            top, left = y + r * step, x
            if r == 0:
                self.draw.rectangle((x, top, x + sum(widths), top + step), fill="#e4e4e4")
            for c, (cell, width) in enumerate(zip(row, widths, strict=True)):
                where = (left + 14, "ls") if c == 0 else (left + width - 14, "rs")
                font = fonts[1] if r == 0 else fonts[0]
                self.text(where[0], top + round(size * 1.18), cell, font, size, anchor=where[1])
                left += width
            self.draw.line((x, top, x + sum(widths), top), fill="#5a5a5a", width=2)
        bottom = y + len(rows) * step
        self.draw.line((x, bottom, x + sum(widths), bottom), fill="#5a5a5a", width=2)
        return bottom

    def save(self, colours: int, path: Path) -> None:
        """Write a small PNG of at most so many colours or greys."""
        few = self.picture.quantize(colours, dither=Image.Dither.NONE)
        few.save(path, "PNG", optimize=True)


ITEMS: Final = (
    ("Oak desk 160 cm", 3, 389.00),
    ("Desk lamp Lumo", 6, 47.50),
    ("Office chair Arvid", 3, 249.90),
    ("Cable tray", 12, 18.25),
    ("Shelf unit Tall", 2, 164.00),
    ("Delivery and assembly", 1, 120.00),
)
VAT: Final = 0.19


def _net() -> float:
    return sum(count * price for _, count, price in ITEMS)


def _total() -> float:
    return _net() + round(_net() * VAT, 2)


def invoice(path: Path) -> None:
    """One A4 page with a text layer, in points from the bottom left."""
    pdfmetrics.registerFont(TTFont("Sans", SANS))
    pdfmetrics.registerFont(TTFont("Bold", BOLD))
    page = Canvas(str(path), pagesize=(595.28, 841.89), invariant=1, pageCompression=1)
    page.setTitle("Invoice")

    def put(x: float, y: float, text: str, font: str = "Sans", size: float = 11) -> None:
        page.setFont(font, size)
        page.drawString(x, y, text)

    def put_right(x: float, y: float, text: str, font: str = "Sans", size: float = 11) -> None:
        page.setFont(font, size)
        page.drawRightString(x, y, text)

    put(56, 770, "Invoice", "Bold", 26)
    put(350, 778, "Fernhill Furniture Ltd", "Bold", 12)
    for i, line in enumerate(("48 Mill Lane", "Wexbridge WX4 2LR", "hello@fernhill.example")):
        put(350, 762 - 15 * i, line)
    facts = {
        "Invoice number": "FF-20817",
        "Invoice date": "14/03/2026",
        "Due date": "13/04/2026",
        "Order reference": "PO-5526",
    }
    for i, (label, value) in enumerate(facts.items()):
        put(56, 700 - 18 * i, label + ":", "Bold")
        put(170, 700 - 18 * i, value)
    put(350, 700, "Billed to", "Bold")
    for i, line in enumerate(("Marlow & Quill Studio", "7 Harbour Street", "Tarrow TW1 9AB")):
        put(350, 682 - 15 * i, line)

    columns = (340.0, 435.0, 539.0)
    y = 596.0
    page.setLineWidth(0.5)
    page.setStrokeGray(0.5)
    page.setFillGray(0.9)
    page.rect(56, y - 7, 483, 22, stroke=0, fill=1)
    page.setFillGray(0)
    put(62, y, "Item", "Bold")
    for x, name in zip(columns, ("Quantity", "Unit price", "Amount"), strict=True):
        put_right(x - 6, y, name, "Bold")
    for item, count, price in ITEMS:
        y -= 24
        put(62, y, item)
        for x, cell in zip(
            columns, (str(count), f"{price:,.2f}", f"{count * price:,.2f}"), strict=True
        ):
            put_right(x - 6, y, cell)
        page.line(56, y - 8, 539, y - 8)
    net, tax = _net(), round(_net() * VAT, 2)
    for label, amount in {"Subtotal": net, "VAT 19 %": tax, "Total": _total()}.items():
        y -= 26
        put(380, y, label, "Bold", 12)
        put_right(533, y, f"{amount:,.2f}", "Bold" if label == "Total" else "Sans", 12)
    put(56, 300, "Account holder:", "Bold")
    put(170, 300, "Fernhill Furniture Ltd")
    put(56, 282, "Account number:", "Bold")
    put(170, 282, "4417 9920 06")
    put(56, 90, "Payment terms: 30 days net. Goods stay ours until they are paid in full.", size=8)
    put(56, 78, "This company, its goods and its customers are invented.", size=8)
    page.save()


POSTER_TITLE: Final = "Nine lakes, nine buoys: seeing the day the ice closes"
POSTER_AUTHORS: Final = "L. Ostrander, M. Veyra and T. Kallow, Institute for Cold Waters, Norrvik"
POSTER_FACTS: Final = {
    "Contact": "buoys@norrvik.example", "Poster number": "P-117", "Session": "Thursday 14:30",
}  # fmt: skip
POSTER_NOTE: Final = (
    "Data: camera days from the shore stations, winters 2019 to 2025. All names and numbers are "
    "invented."
)
POSTER_TEXT: Final = (
    (
        "Background",
        "Mountain lakes freeze later every decade, and the day on which the ice closes is written "
        "down by few people. We asked whether a floating sensor the size of a lunch box can see "
        "that day without help. Nine lakes between 640 and 2,150 metres were chosen because "
        "their shores can be reached on foot in winter.",
    ),
    (
        "Method",
        "Each buoy carries four thermometers on a chain, a light meter and a small radio. Readings "
        "are taken every ten minutes and sent once a day. Ice is called closed when the upper two "
        "thermometers stay within a tenth of a degree for twelve hours and the light falls by a "
        "third. A camera on the shore served as the judge.",
    ),
    (
        "Findings",
        "In 41 of 45 winters the buoy and the camera agreed within one day. Snow on young ice was "
        "the main cause of doubt. Batteries lasted for two winters at all lakes but one, where a "
        "curious otter pulled the chain from its socket in November.",
    ),
    (
        "Next steps",
        "A second chain will reach the lake bed, so that spring mixing can be followed too. The "
        "parts list, the housing and all readings are free to use. Schools near three of the "
        "lakes have asked to look after a buoy of their own.",
    ),
)
ICE: Final = {"Alvra": 127, "Brenn": 94, "Corvo": 158, "Duna": 71, "Elgin": 113, "Fjella": 142}
BUOYS: Final[Rows] = [
    ["Lake", "Altitude", "Depth", "Winters"],
    ["Alvra", "1,480 m", "38 m", "5"],
    ["Brenn", "910 m", "22 m", "6"],
    ["Corvo", "2,150 m", "61 m", "4"],
    ["Duna", "640 m", "17 m", "6"],
    ["Elgin", "1,205 m", "29 m", "5"],
    ["Fjella", "1,760 m", "44 m", "5"],
    ["Gorse", "1,010 m", "26 m", "4"],
    ["Hollow", "1,390 m", "33 m", "6"],
    ["Ister", "830 m", "19 m", "4"],
]


def poster(path: Path) -> None:
    """A conference poster of 3840 x 1600 px; letters of 22 to 60 px, so it wants every pixel."""
    sheet = Sheet("RGB", 3840, 1600)
    ink, blue = (24, 32, 48), (30, 80, 140)
    sheet.text(80, 120, POSTER_TITLE, DEJAVU_BOLD, 60, ink=ink)
    sheet.text(80, 185, POSTER_AUTHORS, DEJAVU, 32, ink=ink)
    sheet.draw.line((80, 225, 3760, 225), fill=(40, 90, 150), width=6)
    for (head, text), (x, y) in zip(
        POSTER_TEXT, ((80, 310), (80, 900), (1010, 310), (1010, 900)), strict=True
    ):
        sheet.text(x, y, head, DEJAVU_BOLD, 42, ink=blue)
        sheet.paragraph(x, y + 68, 830, text, DEJAVU, 32)
    _bars(sheet, 1960, 310)
    sheet.text(2940, 310, "Where the buoys are", DEJAVU_BOLD, 42, ink=blue)
    bottom = sheet.table(2940, 345, [210, 220, 180, 200], BUOYS, (DEJAVU, DEJAVU_BOLD), 36)
    y = bottom + 80
    for label, value in POSTER_FACTS.items():
        sheet.text(2940, y, f"{label}:", DEJAVU_BOLD, 32, ink=ink)
        sheet.text(3270, y, value, DEJAVU, 32, ink=ink)
        y += 64
    sheet.text(80, 1540, POSTER_NOTE, DEJAVU, 22, ink=ink)
    sheet.save(64, path)


def _bars(sheet: Sheet, x: int, y: int) -> None:
    """A bar chart with its values printed."""
    sheet.text(x, y, "Days under ice, winter 2025", DEJAVU_BOLD, 42, ink=(30, 80, 140))
    base, step = y + 1080, 140
    for i, (lake, days) in enumerate(ICE.items()):
        left = x + 20 + i * step
        sheet.draw.rectangle((left, base - days * 6, left + 90, base), fill=(120, 165, 215))
        sheet.text(left + 45, base - days * 6 - 14, str(days), DEJAVU_BOLD, 32, anchor="ms")
        sheet.text(left + 45, base + 44, lake, DEJAVU, 30, anchor="ms")
    sheet.draw.line((x, base, x + 860, base), fill=(0, 0, 0), width=3)


REPORT_TEXT: Final = (
    "The board served eight districts in 2025. Demand fell in all but two of them, and leaks "
    "found by night readings were mended within nine days on average. Table 1 gives the "
    "volumes, table 2 the quality of samples and table 3 the works planned."
)
REPORT_FACTS: Final = {
    "Prepared by": "R. Aldous", "Approved on": "27/01/2026", "Report number": "CV-0093",
}  # fmt: skip
DISTRICTS: Final = (
    "Ashmoor", "Belwick", "Cray Hill", "Dunsford", "Eastmere", "Farrow", "Glenside", "Hartley",
)  # fmt: skip


QUALITY: Final = {
    "Nitrate": 50.0, "Iron": 0.2, "Lead": 0.01, "Chlorine": 0.5, "Sodium": 200.0, "Fluoride": 1.5,
}  # fmt: skip
WORKS: Final = (
    "Mill Road main", "Harbour pumps", "Tower lining", "Quarry valves", "Abbey tunnel",
    "North meters",
)  # fmt: skip


def report_tables() -> tuple[Rows, Rows, Rows]:
    """Volumes, quality and works: invented numbers from a seed."""
    rng = Random(20260314)
    volumes = [["District", "Homes", "Supplied", "Billed", "Lost"]]
    for district in DISTRICTS:
        homes, supplied = rng.randrange(2_000, 19_000), rng.randrange(800, 4200)
        lost = round(supplied * rng.uniform(0.05, 0.2))
        cells = (homes, supplied, supplied - lost, lost)
        volumes.append([district, *(f"{cell:,}" for cell in cells)])
    quality = [["Test", "Limit", "Samples", "Mean", "Highest"]]
    for test, limit in QUALITY.items():
        digits = 3 if limit < 0.1 else 2 if limit < 10 else 1
        mean = limit * rng.uniform(0.1, 0.4)
        cells_of_test = (mean, mean * rng.uniform(1.3, 2.2))
        samples = str(rng.randrange(120, 960))
        quality.append([test, f"{limit:g}", samples, *(f"{v:.{digits}f}" for v in cells_of_test)])
    works = [["Work", "Start", "Length", "Cost"]]
    for work in WORKS:
        start = f"{rng.randrange(1, 29):02d}/{rng.randrange(1, 13):02d}/2026"
        works.append(
            [work, start, f"{rng.randrange(3, 30)} weeks", f"{rng.randrange(40, 900)},000"]
        )
    return volumes, quality, works


def report(path: Path) -> None:
    """A grey page of 2480 x 3508 px, A4 at 300 dpi, with three tables."""
    sheet = Sheet("L", 2480, 3508)
    sheet.text(200, 270, "Water Supply Report 2025", SERIF_BOLD, 76)
    sheet.text(200, 350, "Calder Valley Water Board", SERIF, 44)
    y = sheet.paragraph(200, 450, 2080, REPORT_TEXT, SERIF, 42)
    titles = (
        "Table 1. Volumes in thousand cubic metres",
        "Table 2. Quality in milligrams per litre",
        "Table 3. Works planned for 2026",
    )
    for title, rows, size in zip(titles, report_tables(), (40, 38, 40), strict=True):
        widths = [560] + [380] * 4 if len(rows[0]) == 5 else [740, 460, 420, 460]
        sheet.text(200, y + 60, title, BOLD, 44)
        y = sheet.table(200, y + 95, widths, rows, (SANS, BOLD), size) + 70
    for label, value in REPORT_FACTS.items():
        y += 66
        sheet.text(200, y, f"{label}:", BOLD, 42)
        sheet.text(560, y, value, SANS, 42)
    sheet.text(200, 3400, "The board, its districts and all figures are invented.", SERIF, 34)
    sheet.save(16, path)


def questions() -> list[dict[str, Any]]:
    """For each page, questions in the words the default reader knows, with true answers."""
    volumes, quality, works = report_tables()
    asked = {
        "invoice.pdf": {
            "What is the title?": "Invoice",
            "What is the Invoice number?": "FF-20817",
            "What is the value of Total?": f"{_total():,.2f}",
            "In the table, what is the Quantity of Cable tray?": "12",
        },
        "poster.png": {
            "What is the title?": POSTER_TITLE,
            "What is the value of Corvo in the chart?": str(ICE["Corvo"]),
            "In the table, what is the Depth of Elgin?": BUOYS[5][2],
            'What comes after "Schools near three"?': "of the lakes",
        },
        "report.png": {
            "What is the title?": "Water Supply Report 2025",
            f"In the table, what is the Billed of {volumes[6][0]}?": volumes[6][3],
            f"In the table, what is the Samples of {quality[3][0]}?": quality[3][2],
            f"In the table, what is the Start of {works[2][0]}?": works[2][1],
        },
    }
    return [
        {"file": file, "questions": [{"question": q, "answer": a} for q, a in pairs.items()]}
        for file, pairs in (asked | make_demo_documents.questions()).items()
    ]


def main() -> None:
    """Write the pages and the questions into the package."""
    folder = Path(__file__).resolve().parents[1] / "src" / "tilewise" / "assets" / "demo"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=folder)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    invoice(out / "invoice.pdf")
    poster(out / "poster.png")
    report(out / "report.png")
    text = json.dumps(questions(), indent=2, ensure_ascii=False)
    (out / "questions.json").write_text(text + "\n", encoding="utf-8")
    for path in sorted(out.iterdir()):
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
