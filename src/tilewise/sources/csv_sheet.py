"""A CSV file as a spreadsheet file, each cell the text it is, columns as wide as their text.

LibreOffice's own import would guess numbers and dates and write them its own way; here "007"
stays "007" and "=1+1" is text, so the page shows what the file says.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from tilewise.sources.spreadsheet import page_properties

MAX_CSV_BYTES: Final = 64 << 20
"""Largest CSV file; it is read whole."""

MAX_COLUMNS: Final = 1024
"""Most columns; what stands beyond them would be too small to read."""

_NUMBER: Final = re.compile(r"[-+(]?[$€£]?\s?[0-9][0-9.,' ]*\s?[%€)]?")
_ILLEGAL: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_CHARACTER_MM: Final = 2.1  # of 10 pt, a little more than the widest common digit
_LEAST_MM, _MOST_MM = 10.0, 90.0
_SAMPLE_ROWS: Final = 2000

_HEAD: Final = """<?xml version="1.0" encoding="UTF-8"?>
<office:document office:version="1.3"
 office:mimetype="application/vnd.oasis.opendocument.spreadsheet"
 xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0">
<office:automatic-styles>
<style:page-layout style:name="paper"><style:page-layout-properties fo:margin-top="10mm"
 fo:margin-bottom="10mm" {page}/></style:page-layout>
<style:style style:name="sheet" style:family="table" style:master-page-name="Page"/>
<style:style style:name="left" style:family="table-cell"><style:table-cell-properties
 fo:wrap-option="wrap" fo:border="0.2mm solid #c0c0c0"/><style:text-properties fo:font-size="10pt"
 fo:font-family="'Liberation Sans'"/></style:style>
<style:style style:name="right" style:family="table-cell" style:parent-style-name="left">
<style:table-cell-properties fo:wrap-option="wrap" fo:border="0.2mm solid #c0c0c0"/>
<style:paragraph-properties fo:text-align="end"/><style:text-properties fo:font-size="10pt"
 fo:font-family="'Liberation Sans'"/></style:style>
<style:style style:name="row" style:family="table-row"><style:table-row-properties
 style:use-optimal-row-height="true"/></style:style>
{columns}</office:automatic-styles>
<office:master-styles><style:master-page style:name="Page" style:page-layout-name="paper">
<style:header style:display="false"/><style:footer style:display="false"/></style:master-page>
</office:master-styles>
<office:body><office:spreadsheet><table:table table:name="Sheet1" table:style-name="sheet">
"""
_TAIL: Final = "</table:table></office:spreadsheet></office:body></office:document>\n"


def write_sheet(data: bytes, delimiter: str, target: Path) -> None:
    """Write the cells of a CSV file as a flat OpenDocument spreadsheet (.fods).

    Args:
        data: the file; UTF-8, UTF-16 with a mark, or else Windows-1252.
        delimiter: what stands between cells.
        target: the file to write.

    Raises:
        csv.Error: a cell of more than ``MAX_CSV_BYTES``.
        ValueError: over ``MAX_COLUMNS`` columns, or no cell at all.
    """
    rows = list(_rows(decoded(data), delimiter))
    cols = max(map(len, rows), default=0)
    if not 1 <= cols <= MAX_COLUMNS:
        raise ValueError(f"it has {cols:,} columns; 1 to {MAX_COLUMNS:,} are allowed")
    widths = [_LEAST_MM] * cols
    for row in rows[:_SAMPLE_ROWS]:
        for col, cell in enumerate(row):
            longest = max(map(len, cell.split("\n")))
            widths[col] = min(max(widths[col], 4 + longest * _CHARACTER_MM), _MOST_MM)
    styles = "".join(
        f'<style:style style:name="c{col}" style:family="table-column">'
        f'<style:table-column-properties style:column-width="{width:.1f}mm"/></style:style>\n'
        for col, width in enumerate(widths)
    )
    with target.open("w", encoding="utf-8") as file:
        file.write(_HEAD.format(page=page_properties(sum(widths)), columns=styles))
        for col in range(cols):
            file.write(f'<table:table-column table:style-name="c{col}"/>\n')
        for row in rows:
            file.write(f'<table:table-row table:style-name="row">{"".join(map(_cell, row))}')
            file.write("</table:table-row>\n" if row else "<table:table-cell/></table:table-row>\n")
        file.write(_TAIL)


def decoded(data: bytes) -> str:
    """Text of a file without declared encoding."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Rows without characters that XML cannot hold."""
    csv.field_size_limit(MAX_CSV_BYTES)
    for row in csv.reader(StringIO(text, newline=""), delimiter=delimiter):
        yield [_ILLEGAL.sub("�", cell.replace("\r\n", "\n").replace("\r", "\n")) for cell in row]


def _cell(text: str) -> str:
    if not text:
        return '<table:table-cell table:style-name="left"/>'
    style = "right" if _NUMBER.fullmatch(text.strip()) else "left"
    lines = "".join(f"<text:p>{_spaced(line)}</text:p>" for line in text.split("\n"))
    return (
        f'<table:table-cell table:style-name="{style}" office:value-type="string">{lines}'
        "</table:table-cell>"
    )


def _spaced(line: str) -> str:
    """Escaped, with runs of spaces and tabs as ODF writes them."""
    text = escape(line).replace("\t", "<text:tab/>")
    return re.sub(r"(?<= ) +|^ +", lambda run: f'<text:s text:c="{len(run[0])}"/>', text)
