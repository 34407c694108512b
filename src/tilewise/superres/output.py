"""The file of an enlarged picture: written as rows come, there whole or not at all.

PNG and TIFF are written strip by strip. JPEG and WebP are encoded by Pillow, which holds the whole
picture.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilewise.errors import ConfigError, DataError
from tilewise.superres import png_strips
from tilewise.superres.metadata import Facts
from tilewise.superres.png_strips import PngStrips
from tilewise.superres.tiff_strips import TiffStrips

if os.name == "posix":
    import fcntl

Format = Literal["PNG", "JPEG", "WebP", "TIFF"]

ENDINGS: Final[dict[str, Format]] = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WebP", ".tif": "TIFF",
    ".tiff": "TIFF",
}  # fmt: skip

MOST_SIDE: Final[dict[Format, int]] = {
    "PNG": 2**31 - 1, "JPEG": 65_500, "WebP": 16_383, "TIFF": 2**32 - 1
}  # fmt: skip
"""Longest side in pixels that a format, or its encoder, takes."""

_PIXEL_BYTES: Final[dict[Format, int]] = {"PNG": 0, "JPEG": 8, "WebP": 28, "TIFF": 0}
"""Memory for each pixel until the file is written, as measured on noise, which packs worst."""

_WEBP_ALPHA_BYTES: Final = 48

_LONG_NAME: Final = 240
"""Bytes of a file's name; file systems take 255, and the name while writing is longer."""

Values = NDArray[np.uint8] | NDArray[np.uint16]
"""Samples as they are stored."""


class Strips(Protocol):
    """A picture being written from top to bottom."""

    def write(self, strip: Values) -> None:
        """Add rows (n, width, samples)."""

    def close(self) -> None:
        """End the picture."""


def held_bytes(kind: Format, width: int, height: int, samples: int) -> int:
    """Memory that a picture takes until its file is written."""
    if kind == "JPEG" and samples < 3:
        return width * height * 4
    if kind == "WebP" and samples in (2, 4):
        return width * height * _WEBP_ALPHA_BYTES
    return width * height * _PIXEL_BYTES[kind]


def check_size(path: Path, kind: Format, width: int, height: int) -> None:
    """Raises ConfigError where a format cannot hold so large a picture."""
    if max(width, height) > MOST_SIDE[kind]:
        raise ConfigError(
            f"{path}: {width}x{height} px is more than a {kind} file holds, {MOST_SIDE[kind]:,} px "
            "a side; use a smaller --scale, or .tif."
        )


def depth(kind: Format, bits: int) -> int:
    """Bits of a sample that a format keeps of ``bits``."""
    return bits if kind in ("PNG", "TIFF") else 8


def start(
    file: BinaryIO,
    kind: Format,
    shape: tuple[int, int, int],
    bits: int,
    facts: Facts,
    quality: int,
) -> Strips:
    """Begin a picture.

    Args:
        file: where to, can be sought in.
        kind: its format.
        shape: (height, width, samples).
        bits: 8 or 16.
        facts: what to say of it.
        quality: of JPEG and WebP, 1 to 100.
    """
    height, width, samples = shape
    if kind == "PNG":
        return PngStrips(file, width, height, samples, bits, _chunks(facts))
    if kind == "TIFF":
        return TiffStrips(file, width, height, samples, bits, _tags(facts))
    return _Whole(file, kind, shape, facts, quality)


def _chunks(facts: Facts) -> list[tuple[bytes, bytes]]:
    chunks = []
    if facts.profile:
        chunks.append(png_strips.profile(facts.profile))
    if facts.dpi:
        chunks.append(png_strips.density(facts.dpi))
    if facts.software:
        chunks.append(png_strips.text("Software", facts.software))
    if facts.exif:
        chunks.append((b"eXIf", facts.exif))
    if facts.xmp:
        chunks.append(png_strips.text("XML:com.adobe.xmp", facts.xmp.decode("utf-8", "replace")))
    return chunks


def _tags(facts: Facts) -> dict[int, Any]:
    tags: dict[int, Any] = dict(facts.tags or {}) if facts.exif else {}
    if facts.profile:
        tags[34675] = facts.profile
    if facts.xmp:
        tags[700] = facts.xmp
    return tags


class _Whole:
    """A picture that Pillow encodes when it is there whole."""

    def __init__(
        self,
        file: BinaryIO,
        kind: Format,
        shape: tuple[int, int, int],
        facts: Facts,
        quality: int,
    ) -> None:
        self._file, self._kind, self._facts, self._quality = file, kind, facts, quality
        height, width, samples = shape
        self._has_alpha = samples in (2, 4)
        is_jpeg = kind == "JPEG"
        colours = "L" if samples < 3 and is_jpeg else "RGB"
        self._image = Image.new(
            colours if is_jpeg or not self._has_alpha else "RGBA", (width, height)
        )
        self._top = 0

    def write(self, strip: Values) -> None:
        """Add rows (n, width, samples); JPEG has them on white."""
        if self._has_alpha and self._kind == "JPEG":
            seen = strip[..., -1:].astype(np.float32) / 255
            strip = np.rint(strip[..., :-1] * seen + 255 * (1 - seen)).astype(np.uint8)
        part = Image.fromarray(strip.squeeze(2) if strip.shape[2] == 1 else strip)
        self._image.paste(part.convert(self._image.mode), (0, self._top))
        self._top += len(strip)

    def close(self) -> None:
        """Encode the picture."""
        facts = self._facts
        said: dict[str, Any] = {"quality": self._quality}
        if facts.profile:
            said["icc_profile"] = facts.profile
        if facts.exif:
            said["exif"] = b"Exif\0\0" + facts.exif
        if facts.xmp:
            said["xmp"] = facts.xmp
        if self._kind == "JPEG":
            said["subsampling"] = 0
            if facts.dpi:
                said["dpi"] = tuple(min(65535, max(1, round(value))) for value in facts.dpi)
        data = BytesIO()  # Pillow itself does not notice a file that took only a part
        try:
            self._image.save(data, self._kind.upper(), **said)
        except ValueError as err:  # what a format's marker cannot hold
            raise DataError(f"{self._kind} cannot hold this picture ({err}); write .png.") from err
        self._file.write(data.getbuffer())


@contextmanager
def new_output(path: Path, before: Callable[[int], None] | None = None) -> Iterator[BinaryIO]:
    """A file under another name until the block ends, then under its own.

    After an error or an interrupt nothing is left of it. A kill leaves the other name, which the
    next run takes over.

    Args:
        path: where it goes; a link keeps pointing to its file.
        before: called with its bytes when it is whole, before it gets its name.

    Raises:
        DataError: it cannot be written, or another process is writing it.
    """
    target = path.resolve()
    part = target.with_name(_part_name(target.name))
    try:
        with part.open("ab") as held:
            _lock(held, path)
            try:
                with part.open("r+b") as file:
                    file.truncate()
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                if before is not None:
                    before(part.stat().st_size)
                part.replace(target)
            finally:
                with suppress(OSError):
                    part.unlink(missing_ok=True)
    except OSError as err:
        raise DataError(
            f"{path}: cannot be written ({err.strerror or err}); make room, or choose another "
            "place."
        ) from err


def _part_name(name: str) -> str:
    """Name of a file that is being written; that of a long one is its hash, to be no longer."""
    if len(os.fsencode(name)) > _LONG_NAME:
        name = sha256(os.fsencode(name)).hexdigest()[:32]
    return f".{name}.part"


def _lock(held: BinaryIO, path: Path) -> None:
    if os.name != "posix":
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        raise DataError(
            f"{path}: another process is writing it; wait for it, or choose another place."
        ) from err
