"""Paper that fits each sheet of a spreadsheet, so that no column goes to a page of its own.

Works on an .ods file as LibreOffice writes it: measures how wide each sheet is, gives its page
style a paper of that width, and asks for "fit to one page in width". Print areas and column
breaks, which would leave out or cut, are taken away.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.parsers import expat

A4_MM: Final = (210.0, 297.0)
MAX_PAPER_MM: Final = 1200.0
"""Widest paper; a wider sheet is scaled down to it."""

MARGIN_MM: Final = 10.0

_MM: Final = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72, "pc": 25.4 / 6, "px": 25.4 / 96}
_LENGTH: Final = re.compile(r"(-?[0-9.]+)(mm|cm|in|pt|pc|px)")
_ADDRESS: Final = re.compile(r"\$?([A-Z]{1,3})\$?[0-9]+$")
_TAG: Final = re.compile(rb"<[^<>\"']*(?:(?:\"[^\"]*\"|'[^']*')[^<>\"']*)*>")
_PRINT: Final = re.compile(rb'\s+table:(?:print-ranges|print)="[^"]*"')
_BREAK: Final = re.compile(rb'\s+fo:break-(?:before|after)="[^"]*"')
_LAYOUT: Final = re.compile(
    rb'<style:page-layout (?:[^<>]*\s)?style:name="([^"]*)"[^<>]*>.*?</style:page-layout>',
    re.DOTALL,
)
_PROPERTIES: Final = re.compile(rb"(<style:page-layout-properties[^<>]*?)(/?>)")
_MASTER: Final = re.compile(rb"<style:master-page\s[^<>]*>")
_END_OF_LAYOUTS: Final = b"</office:automatic-styles>"
_REPLACED: Final = re.compile(
    rb"\s+(?:style:(?:print-orientation|scale-to(?:-pages|-X|-Y)?|table-centering|print"
    rb'|print-page-order)|fo:(?:page-width|page-height|margin(?:-left|-right)?))="[^"]*"'
)
_DRAWN: Final = b"charts drawings objects zero-values"


def fit_sheets(source: Path, target: Path) -> None:
    """Write the .ods file ``source`` to ``target`` with paper that fits each sheet.

    Raises:
        ValueError, KeyError, expat.ExpatError, zipfile.BadZipFile: not what LibreOffice writes.
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        content = _Content(old.read("content.xml"))
        for info in old.infolist():
            data = old.read(info)
            if info.filename == "content.xml":
                data = content.edited()
            elif info.filename == "styles.xml":
                data = _with_paper(data, content.widths_mm)
            new.writestr(info, data)  # "mimetype" stays first and stored


def paper_mm(width_mm: float) -> tuple[float, float]:
    """Paper for a sheet of this width: A4, A4 on its side, or as wide as needed at 1 : sqrt(2)."""
    wanted = width_mm + 2 * MARGIN_MM
    if wanted <= A4_MM[0]:
        return A4_MM
    width = min(max(wanted, A4_MM[1]), MAX_PAPER_MM)
    return width, max(A4_MM[0], round(width / 2**0.5, 1))


def page_properties(width_mm: float) -> str:
    """Attributes of a page layout that fits a sheet of this width on one page across."""
    width, height = paper_mm(width_mm)
    turned = "landscape" if width > height else "portrait"
    return (
        f'fo:page-width="{width}mm" fo:page-height="{height}mm" '
        f'style:print-orientation="{turned}" fo:margin-left="{MARGIN_MM}mm" '
        f'fo:margin-right="{MARGIN_MM}mm" style:scale-to-X="1" style:scale-to-Y="0" '
        f'style:print-page-order="ttb"'
    )


@dataclass(slots=True)
class _Sheet:
    """Columns as (width in mm, how many), and how many of them hold something."""

    master_page: str
    columns: list[tuple[float, int]] = field(default_factory=list)
    used: int = 1
    drawn_mm: float = 0.0

    def width_mm(self) -> float:
        """Width of the used columns, and of what is drawn beyond them."""
        return max(self.left_mm(self.used), self.drawn_mm)

    def left_mm(self, column: int) -> float:
        """Where a column begins, counted from 0."""
        left, width = column, 0.0
        for each, count in self.columns:
            taken = min(left, count)
            width, left = width + taken * each, left - taken
        return width


class _Content:
    """One walk over content.xml: widths of sheets, and places of tags to edit."""

    def __init__(self, data: bytes) -> None:
        self.widths_mm: dict[str, float] = {}
        self._data = data
        self._tags: list[int] = []
        self._column_mm: dict[str, float] = {}
        self._master: dict[str, str] = {}
        self._style = ""
        self._sheets: list[_Sheet] = []
        self._column = 0
        self._starts = {
            "style:style": self._on_style,
            "style:table-column-properties": self._on_column_style,
            "table:table": self._on_table,
            "table:table-column": self._on_column,
            "table:table-row": self._on_row,
            "table:table-cell": self._on_cell,
            "table:covered-table-cell": self._on_cell,
            "draw:frame": self._on_drawing,
            "draw:g": self._on_drawing,
            "draw:custom-shape": self._on_drawing,
        }
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._on_start
        self._parser.CharacterDataHandler = None
        self._parser.Parse(data, True)
        for sheet in self._sheets:
            known = self.widths_mm.get(sheet.master_page, 0.0)
            self.widths_mm[sheet.master_page] = max(known, sheet.width_mm())

    def edited(self) -> bytes:
        """The content without print areas and column breaks."""
        out, done = [], 0
        for start in self._tags:
            tag = _TAG.match(self._data, start)
            if tag is not None:
                out += [self._data[done:start], _BREAK.sub(b"", _PRINT.sub(b"", tag[0]))]
                done = tag.end()
        return b"".join([*out, self._data[done:]])

    def _on_start(self, name: str, values: dict[str, str]) -> None:
        handler = self._starts.get(name)
        if handler is not None:
            handler(values)

    def _on_style(self, values: dict[str, str]) -> None:
        self._style = values.get("style:name", "")
        if "style:master-page-name" in values:
            self._master[self._style] = values["style:master-page-name"]

    def _on_column_style(self, values: dict[str, str]) -> None:
        self._tags.append(self._parser.CurrentByteIndex)
        self._column_mm[self._style] = length_mm(values.get("style:column-width", ""))

    def _on_table(self, values: dict[str, str]) -> None:
        self._tags.append(self._parser.CurrentByteIndex)
        master = self._master.get(values.get("table:style-name", ""), "Default")
        self._sheets.append(_Sheet(master))
        self._column = 0

    def _on_column(self, values: dict[str, str]) -> None:
        is_shown = values.get("table:visibility", "visible") == "visible"
        width = self._column_mm.get(values.get("table:style-name", ""), 22.6) if is_shown else 0.0
        count = int(values.get("table:number-columns-repeated", "1"))
        if self._sheets:
            self._sheets[-1].columns.append((width, count))

    def _on_row(self, values: dict[str, str]) -> None:
        self._column = 0

    def _on_cell(self, values: dict[str, str]) -> None:
        count = int(values.get("table:number-columns-repeated", "1"))
        spanned = int(values.get("table:number-columns-spanned", "1"))
        self._column += count
        if self._sheets and ("office:value-type" in values or spanned > 1):
            sheet = self._sheets[-1]
            sheet.used = max(sheet.used, self._column - 1 + spanned)

    def _on_drawing(self, values: dict[str, str]) -> None:
        if not self._sheets:
            return
        sheet = self._sheets[-1]
        end = _ADDRESS.search(values.get("table:end-cell-address", ""))
        if end is not None:
            sheet.used = max(sheet.used, _column_number(end[1]))
        else:
            # in a cell it is placed from that cell's corner, before all cells from the sheet's
            left = sheet.left_mm(max(0, self._column - 1)) + length_mm(values.get("svg:x", ""))
            sheet.drawn_mm = max(sheet.drawn_mm, left + length_mm(values.get("svg:width", "")))


def _with_paper(styles: bytes, widths_mm: dict[str, float]) -> bytes:
    """styles.xml with a page layout of its own for every master page that a sheet uses."""
    layouts = {match[1]: match[0] for match in _LAYOUT.finditer(styles)}
    fresh: list[bytes] = []

    def renamed(match: re.Match[bytes]) -> bytes:
        name, layout = _value(match[0], b"style:name"), _value(match[0], b"style:page-layout-name")
        width = widths_mm.get(name.decode())
        if width is None or layout not in layouts:
            return match[0]
        own = b"tilewise%d" % len(fresh)
        copy = layouts[layout].replace(b'style:name="%b"' % layout, b'style:name="%b"' % own, 1)
        fresh.append(_PROPERTIES.sub(lambda tag: _fitted(tag[1], width) + tag[2], copy, count=1))
        return match[0].replace(
            b'style:page-layout-name="%b"' % layout, b'style:page-layout-name="%b"' % own
        )

    named = _MASTER.sub(renamed, styles)
    return named.replace(_END_OF_LAYOUTS, b"".join(fresh) + _END_OF_LAYOUTS, 1)


def _fitted(tag: bytes, width_mm: float) -> bytes:
    """A page-layout-properties tag, without its end, for a sheet of this width."""
    grid = b" grid" if b"grid" in _value(tag, b"style:print") else b""
    kept = _REPLACED.sub(b"", tag)
    return kept + b' %b style:print="%b"' % (page_properties(width_mm).encode(), _DRAWN + grid)


def _value(tag: bytes, name: bytes) -> bytes:
    match = re.search(rb'\s%b="([^"]*)"' % name, tag)
    return match[1] if match else b""


def length_mm(text: str) -> float:
    """A length as ODF writes it, such as 0.889in; 0 for anything else."""
    match = _LENGTH.fullmatch(text)
    return float(match[1]) * _MM[match[2]] if match else 0.0


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number
