"""PDF files, rendered page by page at the resolution that the reader can use.

PDFium works in a process of its own (``decoder``), on one request at a time.
"""

from __future__ import annotations

import math
from typing import Any, BinaryIO, Final

import numpy as np

from tilewise.errors import SourceError
from tilewise.records import Page, Pixels
from tilewise.sources.decoder import (
    Decoder,
    Document,
    FaultError,
    Limits,
    LostError,
    room,
    with_descriptor,
)
from tilewise.sources.source import Closes, PageSize, RasterSize, check_number

MAX_RENDER_PIXELS: Final = 64_000_000
"""Most pixels that a page is rendered to, whatever is asked for; 55 tiles of 448 px are 11e6."""

PDFIUM: Final = Decoder("pdf", "PDFium", Limits(cpu_s=18.0))

DEFAULT_DPI: Final = 200
_DEFAULT_PIXELS: Final = 16_000_000
_MAX_POINTS: Final = 1e7  # far above 14,400, the limit in the PDF reference; larger is damage

_WRONG_PASSWORD: Final = 4  # PDFium's FPDF_ERR_PASSWORD
_LOCKED: Final = 5  # FPDF_ERR_SECURITY
_NO_FILE: Final = 2  # FPDF_ERR_FILE, set before opening: nothing new was said


class PdfSource(Closes):
    """An open PDF. Pages are loaded when asked for, so a long document costs what is read of it."""

    def __init__(self, file: BinaryIO, name: str, password: str | None = None) -> None:
        """Open a PDF; ``file`` belongs to this source.

        Raises:
            SourceError: damaged, without pages, or locked with another password.
        """
        self.name = name
        if password is not None and "\0" in password:
            raise SourceError(f"{name}: a password cannot hold a zero character; check --password.")
        self._file = with_descriptor(file)
        self._password = password
        self._document = Document(self._file, password=password)
        try:
            self.count = int(self._ask("open"))
        except BaseException:
            self._file.close()
            raise

    def size(self, number: int) -> PageSize:
        """Size in points as the page is shown, its rotation applied.

        Raises:
            SourceError: no such page, or a damaged one.
        """
        check_number(self.name, number, self.count)
        width, height = self._ask("size", number)
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
        pixels = self._render(number, *_bounded(*size, MAX_RENDER_PIXELS))
        return Page(pixels=pixels, name=self.name, number=number, total=self.count)

    def is_scan(self, number: int) -> bool:
        """Whether a page shows one picture that fills it, and no text but an invisible layer.

        Raises:
            SourceError: no such page, or a damaged one.
        """
        check_number(self.name, number, self.count)
        return bool(self._ask("scan", number))

    def _render(self, number: int, width: int, height: int) -> Pixels:
        """Let PDFium draw into a file that both processes have in memory."""
        with room() as drawn:
            drawn.truncate(3 * width * height)
            self._ask("render", number, drawn.fileno(), width=width, height=height)
            pixels = np.fromfile(drawn, np.uint8, 3 * width * height)
        return pixels.reshape(height, width, 3)

    def _ask(
        self, way: str, number: int | None = None, descriptor: int | None = None, **more: Any
    ) -> Any:
        """Ask PDFium about the document or a page, its errors as ours."""
        where = self.name if number is None else f"{self.name}: page {number}"
        if number is not None:
            more["index"] = number - 1
        try:
            return PDFIUM.ask(self._document, way, descriptor, **more)
        except LostError as err:
            what = "the PDF" if number is None else "this page"
            raise SourceError(
                f"{where} is not drawn: {what} {err}; print it to a new PDF."
            ) from err
        except FaultError as err:
            raise self._refused(where, err) from err

    def _refused(self, where: str, err: FaultError) -> SourceError:
        if err.code == _WRONG_PASSWORD:
            return SourceError(
                f"{self.name} is encrypted and {_fault(self._password)}; give its "
                "password with --password."
            )
        if err.code == _LOCKED:
            return SourceError(
                f"{self.name} is locked in a way that PDFium does not open; save an unlocked copy."
            )
        if err.code == _NO_FILE:
            return SourceError(f"{self.name}: the PDF has no pages.")
        reason = str(err).rstrip(".")
        return SourceError(
            f"{where}: the PDF is damaged or cut short ({reason}); get the file again."
        )

    def close(self) -> None:
        """Close the document and its file."""
        PDFIUM.forget(self._document)
        self._file.close()


def _fault(password: str | None) -> str:
    return "the password given is wrong" if password else "no password was given"


def _default_size(width_pt: float, height_pt: float) -> tuple[int, int]:
    scale = DEFAULT_DPI / 72
    return _bounded(width_pt * scale, height_pt * scale, _DEFAULT_PIXELS)


def _bounded(width: float, height: float, limit: int) -> tuple[int, int]:
    """Shrink a size to ``limit`` pixels, keeping its shape; each side is at least 1."""
    shrink = min(1.0, math.sqrt(limit / max(1.0, width * height)))
    cols = max(1, min(int(width * shrink + 0.5), limit))
    return cols, max(1, min(int(height * shrink + 0.5), limit // cols))
