"""What a file says of its picture, carried over to the enlarged one."""

from __future__ import annotations

import logging
import re
import struct
from dataclasses import dataclass
from typing import Final

from PIL import ExifTags, Image

_log = logging.getLogger(__name__)

_TABLES: Final = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)

_OF_THE_FILE: Final = frozenset(
    # TIFF tags that say how the old file stores its pixels, or that are written from elsewhere
    (254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 301, 305,
     317, 318, 319, 320, 322, 323, 324, 325, 330, 332, 334, 336, 338, 339, 340, 341, 347, 512, 513,
     514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 700, 33723, 34377, 34675, 37724, 50341)
)  # fmt: skip
_SOFTWARE, _ORIENTATION, _RESOLUTIONS = 305, 274, (282, 283)
_WIDTH, _HEIGHT = 0xA002, 0xA003

_DAMAGED: Final = (
    SyntaxError, ValueError, LookupError, TypeError, OSError, ArithmeticError, AttributeError,
    struct.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What goes into the new file.

    ``exif`` is a TIFF without pixels, b"" for none, and ``tags`` are the same; ``software`` names
    what made the picture; ``dpi`` is across and down.
    """

    profile: bytes | None = None
    exif: bytes = b""
    tags: Image.Exif | None = None
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    software: str = ""


def whole(exif: Image.Exif) -> Image.Exif:
    """A copy with the tables inside it, which Pillow else reads when they are asked for.

    What is damaged is left out.
    """
    found = Image.Exif()
    try:
        for tag, value in exif.items():
            if tag not in _TABLES:
                found[tag] = value
        for table in _TABLES:
            if inner := dict(exif.get_ifd(table)):
                found[table] = {
                    tag: value for tag, value in inner.items() if tag != ExifTags.IFD.Interop
                }
    except _DAMAGED as err:
        _log.warning("EXIF data are damaged (%s); only part of them is kept", err)
    return found


def carried(
    exif: Image.Exif,
    xmp: bytes,
    profile: bytes | None,
    dpi: tuple[float, float] | None,
    *,
    size: tuple[int, int],
    factor: float,
    software: str,
) -> Facts:
    """Facts of the enlarged picture: upright, of its new size, as large on paper as before.

    Args:
        exif, xmp, profile, dpi: of the old picture.
        size: (width, height) of the new one.
        factor: how many times as large it is.
        software: what made it; named after what made the old one.
    """
    new = Image.Exif()
    for tag, value in exif.items():
        if tag not in _OF_THE_FILE and tag not in _TABLES:
            new[tag] = value
    before = exif.get(_SOFTWARE)
    if isinstance(before, str) and before.strip(" \0") and software not in before:
        software = f"{before.strip(chr(0)).strip()}; {software}"
    new[_SOFTWARE] = software
    if dpi is not None:
        dpi = dpi[0] * factor, dpi[1] * factor
        new[_RESOLUTIONS[0]], new[_RESOLUTIONS[1]], new[296] = (*dpi, 2)
    for table in _TABLES:
        inner = exif.get(table)
        if isinstance(inner, dict):
            inner = dict(inner)
            for tag, side in zip((_WIDTH, _HEIGHT), size, strict=True):
                if tag in inner:
                    inner[tag] = side
            new[table] = inner
    return Facts(
        profile=profile,
        exif=_packed(new),
        tags=new,
        xmp=_upright(xmp),
        dpi=dpi,
        software=software,
    )


def _packed(exif: Image.Exif) -> bytes:
    """The bytes after their head; b"" where Pillow cannot write what a camera wrote."""
    try:
        return exif.tobytes().removeprefix(b"Exif\0\0")
    except _DAMAGED as err:
        _log.warning("EXIF data cannot be written again (%s); they are left out", err)
        return b""


def _upright(xmp: bytes) -> bytes:
    """The orientation was applied to the pixels; said again, viewers would turn them twice."""
    return re.sub(rb'(tiff:Orientation(?:="|\'|>))[2-8]', rb"\g<1>1", xmp)
