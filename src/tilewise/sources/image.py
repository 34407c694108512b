"""Image files: one page, or as many as a TIFF has."""

from __future__ import annotations

import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from PIL import Image

from tilewise.errors import SourceError, TilewiseError
from tilewise.records import Page
from tilewise.sources.colour import orientation_of, to_pixels
from tilewise.sources.heic import heic_factory
from tilewise.sources.source import Closes, PageSize, RasterSize, check_number

_log = logging.getLogger(__name__)

MAX_PIXELS: Final = 400_000_000
"""Most pixels that one page may declare: an A0 sheet at 500 dpi."""

MAX_DECODE_BYTES: Final = 1_800_000_000
"""Most memory that decoding one page may take, so that all of Python stays below 2 GiB."""

MAX_SIDE: Final = 1_000_000
"""Longest side in pixels; Pillow keeps several pointers for every row."""

MAX_IMAGE_PAGES: Final = 10_000
"""Most pages of one TIFF; finding them takes a walk through the file."""

_DECODER_ERRORS: Final = (
    # what Pillow raises on hostile data, found by fuzzing
    OSError, SyntaxError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError,
    RuntimeError, EOFError, MemoryError, AssertionError, struct.error, zlib.error,
)  # fmt: skip

_NEW_SUBFILE_TYPE: Final = 254  # TIFF 6.0: bit 0 is a reduced copy, bit 2 a mask
_GUARD: Final = threading.RLock()


class ImageSource(Closes):
    """An image file whose header has been read.

    Several sources may be used from several threads; decoding goes one at a time. Of an animated
    GIF, WebP, AVIF or PNG the page is the first frame; of a TIFF every full-size picture is a page.
    """

    def __init__(self, file: BinaryIO, name: str, kind: str) -> None:
        """Read the header of ``file``, which this source then owns.

        Raises:
            SourceError: damaged, or larger than ``MAX_PIXELS``, ``MAX_SIDE`` or what
                ``MAX_DECODE_BYTES`` hold.
        """
        self.name = name
        self._file = file
        self._kind = kind
        with decoding(name, kind):
            self._image = self._open()
            self._frames = dict(_tiff_frames(self._image)) if kind == "TIFF" else {0: self._size()}
            cost = _pixel_bytes(self._image, kind)
        for number, size in enumerate(self._frames.values(), start=1):
            _check_size(name, number, size, cost)
        if not self._frames:
            raise SourceError(f"{name}: the TIFF file holds no full-size picture.")

    @property
    def count(self) -> int:
        """Number of pages."""
        return len(self._frames)

    def size(self, number: int) -> PageSize:
        """Declared size in pixels, turned upright."""
        check_number(self.name, number, self.count)
        width, height = list(self._frames.values())[number - 1]
        return PageSize(width, height, "px")

    def page(self, number: int, raster_size: RasterSize | None = None) -> Page:
        """Decode one page.

        Raises:
            SourceError: no such page, or its data are cut short or damaged.
        """
        check_number(self.name, number, self.count)
        with decoding(self.name, self._kind):
            if self._kind == "TIFF":
                self._image.seek(list(self._frames)[number - 1])
                pixels = to_pixels(self._image)
            else:
                pixels = to_pixels(self._open())  # a fresh one, so that its memory goes afterwards
        return Page(pixels=pixels, name=self.name, number=number, total=self.count)

    def picture(self, number: int = 1) -> Image.Image:
        """Decode one page as it is stored: not turned upright, in its own colours and depth.

        Raises:
            SourceError: as ``page``.
        """
        check_number(self.name, number, self.count)
        with decoding(self.name, self._kind):
            image = self._image if self._kind == "TIFF" else self._open()
            if self._kind == "TIFF":
                image.seek(list(self._frames)[number - 1])
            image.load()
        return image

    @property
    def frames(self) -> int:
        """Pages of a TIFF, or frames of an animated picture; 1 for others."""
        with decoding(self.name, self._kind):
            return self.count if self._kind == "TIFF" else getattr(self._image, "n_frames", 1)

    @property
    def pixel_bytes(self) -> int:
        """Memory for each pixel at the worst moment of decoding and turning into a page."""
        return _pixel_bytes(self._image, self._kind)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> Image.Image:
        """Read the header with the one decoder that the content calls for."""
        self._file.seek(0)
        if self._kind == "HEIC":
            return heic_factory(self.name)(self._file, "")
        Image.preinit()
        pillow_name = self._kind.upper()
        if pillow_name not in Image.OPEN:
            Image.init()
        if pillow_name not in Image.OPEN:
            raise SourceError(
                f"{self.name}: this build of Pillow reads no {self._kind}; install its wheel."
            )
        factory, _ = Image.OPEN[pillow_name]
        return factory(self._file, "")

    def _size(self) -> tuple[int, int]:
        width, height = self._image.size
        return (height, width) if orientation_of(self._image) >= 5 else (width, height)


def _tiff_frames(image: Image.Image) -> Iterator[tuple[int, tuple[int, int]]]:
    """Index and upright size of every full-size picture of a TIFF."""
    for index in range(MAX_IMAGE_PAGES + 1):
        try:
            image.seek(index)
        except EOFError:
            return
        if not getattr(image, "tag_v2", {}).get(_NEW_SUBFILE_TYPE, 0) & 0b101:
            yield index, image.size
    raise SourceError(f"the TIFF file has over {MAX_IMAGE_PAGES} pages; split it.")


def _pixel_bytes(image: Image.Image, kind: str) -> int:
    """Bytes of memory for each pixel at the worst moment of decoding, as measured.

    Pillow keeps 1, 2 or 4, our pixels take 3; some decoders hold the whole picture once more.
    """
    mode = image.mode
    kept = 1 if mode in ("1", "L", "P") else 3 if mode.startswith("I;16") else 4
    cost = max(kept + 3, _DECODER_BYTES.get(kind, 0))
    if kind == "JPEG" and "progressive" in image.info:
        cost = max(cost, kept + 2 * len(image.getbands()))  # all coefficients, two bytes each
    return cost + (3 if orientation_of(image) > 1 else 0)


_DECODER_BYTES: Final = {"WebP": 16, "AVIF": 11, "HEIC": 12}


def _check_size(name: str, number: int, size: tuple[int, int], cost: int) -> None:
    """``cost`` is in bytes of memory for a pixel."""
    width, height = size
    if width < 1 or height < 1:
        raise SourceError(f"{name}: page {number} is {width}x{height} px; 1x1 is the least.")
    most = min(MAX_PIXELS, MAX_DECODE_BYTES // cost)
    if width * height > most or max(size) > MAX_SIDE:
        raise SourceError(
            f"{name}: page {number} declares {width}x{height} px; at most {most:,} pixels of this "
            f"kind and {MAX_SIDE:,} a side are decoded. Scale it down or cut it."
        )


@contextmanager
def decoding(name: str, kind: str) -> Iterator[None]:
    """Let Pillow work on data from outside: one at a time, with our limits and our errors.

    Pillow's own limit on pixels and its warnings are global to the process, hence the lock;
    both are put back afterwards.
    """
    with _GUARD, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pillow_limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        except TilewiseError:
            raise
        except _DECODER_ERRORS as err:
            raise SourceError(
                f"{name}: the {kind} data are damaged or cut short ({_reason(err)}); get the file "
                "again."
            ) from err
        finally:
            Image.MAX_IMAGE_PIXELS = pillow_limit
    for warning in caught:
        _log.info("%s: %s", name, warning.message)


def _reason(err: BaseException) -> str:
    """The decoder's words where they are meant for people."""
    if isinstance(err, MemoryError):
        return "it asks for more memory than there is"
    is_wrapped = isinstance(err, SyntaxError) and err.__cause__ is not None  # from struct, say
    if isinstance(err, OSError | SyntaxError | ValueError) and not is_wrapped:
        return " ".join(str(err).split()).rstrip(".")[:200] or "its decoder gave up"
    return "its header does not hold together"
