"""DjVu files: pages found in the file itself, each decoded by DjVuLibre's program under limits.

Source of the layout: DjVu 3 specification (Lizardtech, 2005), sections 3 and 8.
"""

from __future__ import annotations

import shutil
import struct
from typing import BinaryIO, Final, NamedTuple

from PIL import Image

from tilewise.errors import SourceError
from tilewise.records import Page
from tilewise.sources.colour import to_pixels
from tilewise.sources.image import MAX_IMAGE_PAGES, decoding
from tilewise.sources.program import Limits, find_program, run_program, why_stopped, work_folder
from tilewise.sources.source import Closes, PageSize, RasterSize, check_number

MAX_PIXELS: Final = 250_000_000
"""Most pixels of a page: it is in memory with 7 bytes for each."""

LIMITS: Final = Limits(seconds=60, memory_bytes=2 << 30, file_bytes=3 * MAX_PIXELS + 1000)
"""What decoding one page may use."""

PROGRAM_NAMES: Final = ("ddjvu",)
PROGRAM_VARIABLE: Final = "TILEWISE_DDJVU"
_INSTALL: Final = "install DjVuLibre (Debian: apt-get install djvulibre-bin)"
_ON_ITS_SIDE: Final = (5, 6)  # values of the rotation in INFO


class _Size(NamedTuple):
    width: int
    height: int


class DjvuSource(Closes):
    """An open DjVu file of one or several pages."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Find the pages; ``file`` belongs to this source.

        Raises:
            SourceError: damaged, without pages of its own, or with a page that is too large.
            MissingExtraError: the program that decodes is not there.
        """
        self.name = name
        self._file = file
        self._program = find_program(PROGRAM_NAMES, PROGRAM_VARIABLE, _INSTALL)
        try:
            self._sizes = _page_sizes(file)
        except (struct.error, ValueError) as err:
            reason = "it ends too early" if isinstance(err, struct.error) else err
            raise SourceError(
                f"{name}: the DjVu data are damaged or cut short ({reason}); get the file again."
            ) from err
        if not self._sizes:
            raise SourceError(
                f"{name} holds no DjVu page; if it is the index of a folder of pages, bundle them "
                "into one file with djvmcvt -b."
            )
        for number, size in enumerate(self._sizes, start=1):
            if size.width * size.height > MAX_PIXELS:
                raise SourceError(
                    f"{name}: page {number} declares {size.width}x{size.height} px; at most "
                    f"{MAX_PIXELS:,} pixels are decoded. Scale it down or cut it."
                )

    @property
    def count(self) -> int:
        """Number of pages."""
        return len(self._sizes)

    def size(self, number: int) -> PageSize:
        """Size in pixels as the page declares it, turned as it is shown."""
        check_number(self.name, number, self.count)
        return PageSize(*self._sizes[number - 1], "px")

    def page(self, number: int, raster_size: RasterSize | None = None) -> Page:
        """Decode one page.

        Raises:
            SourceError: no such page, or it is damaged, or takes longer than ``LIMITS``.
        """
        check_number(self.name, number, self.count)
        with work_folder(self.name) as folder:
            self._file.seek(0)
            with (folder / "file.djvu").open("wb") as copy:
                shutil.copyfileobj(self._file, copy, 1 << 20)
            argv = [self._program, "-format=ppm", f"-page={number}", "file.djvu", "page.ppm"]
            outcome = run_program(argv, folder, LIMITS)
            if outcome.stopped:
                raise SourceError(
                    f"{self.name}: page {number} is not decoded, as DjVuLibre's ddjvu "
                    f"{why_stopped(outcome, LIMITS)}; get the file again or convert it to PDF."
                )
            path = folder / "page.ppm"
            if outcome.code != 0 or not path.is_file():
                raise SourceError(
                    f"{self.name}: page {number} of the DjVu file is damaged; get the file again."
                )
            with decoding(self.name, "DjVu"), Image.open(path, formats=["PPM"]) as image:
                pixels = to_pixels(image)
        return Page(pixels=pixels, name=self.name, number=number, total=self.count)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _page_sizes(file: BinaryIO) -> list[_Size]:
    """Sizes of the pages of a single-page or bundled file, in the order they are stored."""
    file.seek(4)  # "AT&T"
    tag, length, kind = struct.unpack(">4sI4s", file.read(12))
    if tag != b"FORM":
        raise ValueError("its first part is no form")
    if kind == b"DJVU":
        return [_page_size(file)]
    if kind != b"DJVM":
        raise ValueError(f"its first part is {kind!r}")
    sizes: list[_Size] = []
    at, end = 16, 12 + length
    while at + 12 <= end and len(sizes) < MAX_IMAGE_PAGES:
        file.seek(at)
        tag, length, kind = struct.unpack(">4sI4s", file.read(12))
        if tag == b"FORM" and kind == b"DJVU":
            sizes.append(_page_size(file))
        at += 8 + length + length % 2
    return sizes


def _page_size(file: BinaryIO) -> _Size:
    """From the INFO part, which comes first in a page."""
    tag, length, width, height = struct.unpack(">4sIHH", file.read(12))
    if tag != b"INFO" or length < 5 or not (width and height):
        raise ValueError("a page has no size")
    flags = file.read(length - 4)[-1:] if length >= 10 else b""
    is_on_side = bool(flags) and flags[0] & 7 in _ON_ITS_SIDE
    return _Size(height, width) if is_on_side else _Size(width, height)
