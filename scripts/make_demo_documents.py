"""Write the workbook and the web page that ``tilewise demo`` asks.

Everything in them is invented. The workbook needs openpyxl (MIT licence, extra ``dev``). The output
is the same every time, but for the times in the workbook's properties, which are set:

    python scripts/make_demo_documents.py
"""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.chart.label import DataLabelList
from openpyxl.styles import Alignment, Font, PatternFill

HARVEST_TITLE: Final = "Harvest of the Marl valley 2026"
HARVEST: Final = (
    ("Crop", "Hectares", "Tonnes", "Price"),
    ("Barley", 412, 2610, 187.5),
    ("Oats", 198, 1045, 203.0),
    ("Rye", 263, 1372, 176.25),
    ("Spelt", 87, 391, 318.0),
    ("Wheat", 655, 5120, 214.75),
    ("Maize", 144, 1498, 192.5),
)

FERRY_TITLE: Final = "Winter timetable of the Sund ferries"
FERRY: Final = (
    ("Line", "First boat", "Last boat", "Fare"),
    ("Harbour loop", "06:10", "22:40", "3.20"),
    ("Castle island", "07:25", "18:05", "5.80"),
    ("North shore", "05:50", "21:15", "4.40"),
    ("Lighthouse", "09:00", "16:30", "7.90"),
)
FERRY_FACTS: Final = {
    "Valid from": "14 December 2026",
    "Ticket office": "Quay 3",
    "Lost property": "+45 330 2914",
}
FERRY_PROSE: Final = (
    "Boats wait five minutes for the train from the north. In fog the Lighthouse line stops at "
    "Castle island. Bicycles travel free outside the morning rush, prams and wheelchairs always."
)


def harvest(path: Path) -> None:
    """A sheet with a table and a chart of it."""
    book = Workbook()
    sheet = book.active
    sheet.title = "Harvest"
    sheet["A1"] = HARVEST_TITLE
    sheet["A1"].font = Font(name="Liberation Sans", size=18, bold=True)
    for r, row in enumerate(HARVEST, 3):
        for c, value in enumerate(row, 1):
            cell = sheet.cell(row=r, column=c, value=value)
            cell.font = Font(name="Liberation Sans", size=12, bold=r == 3)
            cell.alignment = Alignment(horizontal="left" if c == 1 else "right")
            if r == 3:
                cell.fill = PatternFill("solid", start_color="FFE4E4E4")
            elif c > 1:
                cell.number_format = "0.00" if c == 4 else "#,##0"
    for column, width in zip("ABCD", (16, 14, 14, 14), strict=True):
        sheet.column_dimensions[column].width = width
    chart = BarChart()
    chart.title = "Tonnes by crop"
    last = 2 + len(HARVEST)
    chart.add_data(Reference(sheet, min_col=3, min_row=3, max_row=last), titles_from_data=True)
    chart.set_categories(Reference(sheet, min_col=1, min_row=4, max_row=last))
    chart.dataLabels = DataLabelList()
    chart.dataLabels.showVal = True
    for other in ("showSerName", "showCatName", "showLegendKey", "showPercent"):
        setattr(chart.dataLabels, other, False)
    chart.legend = None
    chart.x_axis.delete = chart.y_axis.delete = False
    chart.y_axis.majorGridlines = None
    chart.width, chart.height = 16.5, 10
    sheet.add_chart(chart, "A12")
    book.properties.created = datetime(2026, 11, 1, tzinfo=UTC)
    book.save(path)
    _settle(path)


def _settle(path: Path) -> None:
    """Give every member of a zip file one date, so that the same content is the same file."""
    with ZipFile(path) as old:
        members = [(name, old.read(name)) for name in old.namelist()]
    date = rb"2026-11-01T00:00:00Z</dcterms:modified>"  # openpyxl writes the time of saving
    members = [(n, re.sub(rb"[-0-9T:Z]+</dcterms:modified>", date, d)) for n, d in members]
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=9) as new:
        for name, data in members:
            entry = ZipInfo(name, (2026, 11, 1, 0, 0, 0))
            entry.compress_type = ZIP_DEFLATED
            new.writestr(entry, data)


STYLE: Final = """
body { font: 17px "Liberation Sans", "DejaVu Sans", Arial, sans-serif; margin: 0; color: #14202b; }
header { position: sticky; top: 0; background: #123a5a; color: #fff; padding: 12px 32px; }
main { padding: 12px 32px 32px; max-width: 880px; }
h1 { font-size: 34px; margin: 18px 0; }
table { border-collapse: collapse; width: 100%; margin: 18px 0; }
th, td { text-align: left; padding: 9px 12px; border-bottom: 1px solid #9fb0bd; }
dl { display: grid; grid-template-columns: 180px 1fr; row-gap: 8px; }
dt { font-weight: bold; } dd { margin: 0; }
"""


def ferry(path: Path) -> None:
    """A saved web page: a header that sticks, a table, facts, prose."""
    head, *rows = FERRY
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    facts = "\n".join(f"<dt>{escape(k)}:</dt><dd>{escape(v)}</dd>" for k, v in FERRY_FACTS.items())
    path.write_text(
        f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{escape(FERRY_TITLE)}</title><style>{STYLE}</style></head>
<body>
<header>Sund ferries</header>
<main>
<h1>{escape(FERRY_TITLE)}</h1>
<table>
<tr>{cells}</tr>
{lines}
</table>
<dl>
{facts}
</dl>
<p>{escape(FERRY_PROSE)}</p>
</main>
</body>
</html>
""",
        encoding="utf-8",
    )


def questions() -> dict[str, dict[str, str]]:
    """For each document, questions in the words the default reader knows, with true answers."""
    return {
        "harvest.xlsx": {
            "What is the title?": HARVEST_TITLE,
            "In the table, what is the Price of Spelt?": "318.00",
            "What is the value of Oats in the chart?": "1,045",
            "Which crop is the highest in the chart?": "Wheat",
        },
        "ferry.html": {
            "What is the title?": FERRY_TITLE,
            "In the table, what is the Last boat of Harbour loop?": "22:40",
            "What is the value of Lost property?": FERRY_FACTS["Lost property"],
            'What comes after "In fog the"?': "Lighthouse line stops",
        },
    }


def main() -> None:
    """Write the documents into the package."""
    folder = Path(__file__).resolve().parents[1] / "src" / "tilewise" / "assets" / "demo"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=folder)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    harvest(out / "harvest.xlsx")
    ferry(out / "ferry.html")
    for name in questions():
        print(f"{out / name}: {(out / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
