"""PDF files, rendered page by page at the resolution that the reader can use.

PDFium is not safe to call from several threads, even for different files, so everything here runs
under one lock for the process.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from tilewise.errors import SourceError
from tilewise.records import Page, Pixels
from tilewise.sources.source import PageSize, RasterSize, check_number

MAX_RENDER_PIXELS: Final = 64_000_000
"""Most pixels that a page is rendered to, whatever is asked for; 55 tiles of 448 px are 11e6."""

DEFAULT_DPI: Final = 200
_DEFAULT_PIXELS: Final = 16_000_000
_MAX_POINTS: Final = 1e7  # far above 14,400, the limit in the PDF reference; larger is damage

_SCAN_OBJECTS: Final = 5000  # an invisible text layer has one for each word
_SCAN_FILLS: Final = 0.7

_PDFIUM: Final = threading.RLock()


class PdfSource:
    """An open PDF. Pages are loaded when asked for, so a long document costs what is read of it."""

    def __init__(self, file: BinaryIO, name: str, password: str | None = None) -> None:
        """Open a PDF; ``file`` belongs to this source.

        Raises:
            SourceError: damaged, without pages, or locked with another password.
        """
        self.name = name
        self._file = file
        with _pdfium(name):
            self._document = _open(file, name, password)
            self._document.init_forms()  # so that what was filled in is drawn
            self.count = len(self._document)

    def size(self, number: int) -> PageSize:
        """Size in points as the page is shown, its rotation applied.

        Raises:
            SourceError: no such page, or a damaged one.
        """
        check_number(self.name, number, self.count)
        with _pdfium(self.name, number):
            width, height = self._document.get_page_size(number - 1)
        if not (0 < width <= _MAX_POINTS and 0 < height <= _MAX_POINTS):
            raise SourceError(
                f"{self.name}: page {number} is {width:g}x{height:g} points, which no page is; "
                "the PDF is damaged."
            )
        return PageSize(width, height, "pt")

    def page(self, number: int, raster_size: RasterSize | None = None) -> Page:
        """Render one page on white, filled-in form fields and notes included.

        Args:
            number: from 1.
            raster_size: gives the pixels to render at; without it ``DEFAULT_DPI``.

        Raises:
            SourceError: no such page, or a damaged one.
        """
        width_pt, height_pt, _ = self.size(number)
        size = (raster_size or _default_size)(width_pt, height_pt)
        with _pdfium(self.name, number):
            pixels = _render(self._document, number - 1, _bounded(*size, MAX_RENDER_PIXELS))
        return Page(pixels=pixels, name=self.name, number=number, total=self.count)

    def is_scan(self, number: int) -> bool:
        """Whether a page shows one picture that fills it, and no text but an invisible layer.

        Raises:
            SourceError: no such page, or a damaged one.
        """
        check_number(self.name, number, self.count)
        with _pdfium(self.name, number):
            return _is_picture(self._document, number - 1)

    def close(self) -> None:
        """Close the document and its file."""
        with _PDFIUM:
            self._document.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _open(file: BinaryIO, name: str, password: str | None) -> Any:
    """Load the document: a file through PDFium's own reader, bytes from memory."""
    if password is not None and "\0" in password:
        raise SourceError(f"{name}: a password cannot hold a zero character; check --password.")
    # PDFium forgets no error until the next: with this one, "no such file", anything else is new
    pdfium_c.FPDF_LoadDocument(b"", None)
    data = file.getvalue() if isinstance(file, BytesIO) else file
    try:
        return pdfium.PdfDocument(data, password=password)
    except pdfium.PdfiumError as err:
        if err.err_code == pdfium_c.FPDF_ERR_PASSWORD:
            raise SourceError(
                f"{name} is encrypted and {_fault(password)}; give its password with --password."
            ) from err
        if err.err_code == pdfium_c.FPDF_ERR_SECURITY:
            raise SourceError(
                f"{name} is locked in a way that PDFium does not open; save an unlocked copy."
            ) from err
        if err.err_code == pdfium_c.FPDF_ERR_FILE:
            raise SourceError(f"{name}: the PDF has no pages.") from err
        raise


def _fault(password: str | None) -> str:
    return "the password given is wrong" if password else "no password was given"


def _render(document: Any, index: int, size: tuple[int, int]) -> Pixels:
    """Render to exactly ``size``; PDFium's own scaling would round each side up."""
    page = document[index]
    try:
        bitmap = pdfium.PdfBitmap.new_native(*size, pdfium_c.FPDFBitmap_BGR, rev_byteorder=True)
        try:
            flags = pdfium_c.FPDF_ANNOT | pdfium_c.FPDF_REVERSE_BYTE_ORDER
            bitmap.fill_rect((255, 255, 255, 255), 0, 0, *size)
            place = (bitmap, page, 0, 0, *size, 0, flags)
            pdfium_c.FPDF_RenderPageBitmap(*place)
            if document.formenv:
                pdfium_c.FPDF_FFLDraw(document.formenv, *place)
            return bitmap.to_numpy().copy()
        finally:
            bitmap.close()
    finally:
        page.close()


def _is_picture(document: Any, index: int) -> bool:
    page = document[index]
    try:
        width, height = page.get_mediabox()[2:]
        count = pdfium_c.FPDFPage_CountObjects(page)
        if count > _SCAN_OBJECTS:
            return False
        filled = 0.0
        for each in (pdfium_c.FPDFPage_GetObject(page, i) for i in range(count)):
            kind = pdfium_c.FPDFPageObj_GetType(each)
            if kind == pdfium_c.FPDF_PAGEOBJ_IMAGE:
                filled = max(filled, _area(each))
            elif kind != pdfium_c.FPDF_PAGEOBJ_TEXT or _is_seen(each):
                return False
        return filled >= _SCAN_FILLS * width * height
    finally:
        page.close()


def _area(item: Any) -> float:
    edges = [ctypes.c_float() for _ in range(4)]
    pdfium_c.FPDFPageObj_GetBounds(item, *map(ctypes.byref, edges))
    left, bottom, right, top = (edge.value for edge in edges)
    return abs((right - left) * (top - bottom))


def _is_seen(item: Any) -> bool:
    mode = pdfium_c.FPDFTextObj_GetTextRenderMode(item)
    return bool(mode != pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE)


def _default_size(width_pt: float, height_pt: float) -> tuple[int, int]:
    scale = DEFAULT_DPI / 72
    return _bounded(width_pt * scale, height_pt * scale, _DEFAULT_PIXELS)


def _bounded(width: float, height: float, limit: int) -> tuple[int, int]:
    """Shrink a size to ``limit`` pixels, keeping its shape; each side is at least 1."""
    shrink = min(1.0, math.sqrt(limit / max(1.0, width * height)))
    cols = max(1, min(int(width * shrink + 0.5), limit))
    return cols, max(1, min(int(height * shrink + 0.5), limit // cols))


@contextmanager
def _pdfium(name: str, number: int | None = None) -> Iterator[None]:
    """One caller at a time, and PDFium's errors as ours."""
    where = name if number is None else f"{name}: page {number}"
    with _PDFIUM:
        try:
            yield
        except pdfium.PdfiumError as err:
            reason = str(err).rstrip(".")
            raise SourceError(
                f"{where}: the PDF is damaged or cut short ({reason}); get the file again."
            ) from err
