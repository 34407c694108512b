"""Picture files to be enlarged: rows of floats, upright, with all that the file says of them.

What makes a picture a page is left undone: its depth, transparency, profile and grey stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from tilewise.errors import ConfigError, SourceError
from tilewise.sources.colour import orientation_of, srgb_converter, value_range
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.sources.image import MAX_DECODE_BYTES, MAX_PIXELS, ImageSource, decoding
from tilewise.superres import deep_png, deep_tiff, metadata
from tilewise.superres.resample import Floats

KINDS: Final = ("PNG", "JPEG", "WebP", "TIFF", "BMP", "GIF", "AVIF", "HEIC")

_BASE: Final = {
    "1": "L", "La": "LA", "P": "RGB", "PA": "RGBA", "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB",
    "HSV": "RGB",
}  # fmt: skip
_DEEP_GREY: Final = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_OTHER_SPACE: Final = {"L": b"RGB ", "LA": b"RGB ", "RGB": b"GRAY", "RGBA": b"GRAY"}
_ALPHA: Final = {"L": "LA", "RGB": "RGBA"}

Region = Callable[[int, int, int, int], Floats]
"""Gives what lies between left, top, right and bottom of a picture as stored, (h, w, samples)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An open picture. ``width`` and ``height`` are upright, in pixels.

    ``samples`` of a pixel: 1 grey, 2 with transparency, 3 RGB, 4 with transparency; ``bits`` is 8
    or 16. ``orientation`` is the EXIF one that ``rows`` undoes. ``dpi`` is across and down;
    ``notes`` are sentences on what could not be kept as it was.
    """

    name: str
    kind: str
    width: int
    height: int
    samples: int
    bits: int
    region: Region
    orientation: int = 1
    profile: bytes | None = None
    exif: Image.Exif = field(default_factory=Image.Exif)
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    def rows(self, top: int, bottom: int) -> Floats:
        """Rows, float32 (bottom - top, width, samples), 0 to 1, colours not multiplied."""
        turn = self.orientation
        if turn in (1, 2):
            found = self.region(0, top, self.width, bottom)
        elif turn in (3, 4):
            found = self.region(0, self.height - bottom, self.width, self.height - top)
        elif turn in (5, 6):
            found = self.region(top, 0, bottom, self.width)
        else:
            found = self.region(self.height - bottom, 0, self.height - top, self.width)
        down, across = _MIRRORED[turn]
        found = found[::down, ::across]
        return np.ascontiguousarray(found.swapaxes(0, 1) if turn >= 5 else found)


_MIRRORED: Final = {
    1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1),
}  # fmt: skip
"""By EXIF orientation, steps of rows and columns as stored; from 5 on axes change places too."""


def read_picture(
    path: Path, *, is_first_enough: bool = False, memory_bytes: int | None = None
) -> Picture:
    """Read and decode a picture file.

    Args:
        path: the file.
        is_first_enough: take the first frame of an animated picture, the first page of a TIFF.
        memory_bytes: what decoding may take; None is ``sources.image.MAX_DECODE_BYTES``.

    Raises:
        SourceError: no such file, no picture, damaged, too large, or of several frames.
        ConfigError: decoding takes more than ``memory_bytes``.
        MissingExtraError: its kind needs a package that is not installed.
    """
    name = str(path)
    try:
        file = path.open("rb")
    except FileNotFoundError as err:
        raise SourceError(f"{name} does not exist; check the path.") from err
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else err
        raise SourceError(f"{name} cannot be opened ({reason}); check the path.") from err
    with file:
        kind = kind_of(file.read(HEAD_BYTES))
        if kind not in KINDS:
            raise SourceError(f"{name} is {kind}; pictures are enlarged ({', '.join(KINDS)}).")
        deep = _deep(file, name, kind, memory_bytes)
        if deep is not None and (kind == "PNG" or deep.samples == 2):
            # Pillow knows the one to be animated, and does not open the other.
            if kind == "PNG":
                _check_frames(ImageSource(file, name, kind), is_first_enough)
            return deep
        source = ImageSource(file, name, kind)
        _check_frames(source, is_first_enough)
        if deep is not None:
            return deep
        width, height = (int(side) for side in source.size(1)[:2])
        _check_memory(name, width, height, source.pixel_bytes - 3, memory_bytes)
        return _held(source.picture(), name, kind)


def _check_frames(source: ImageSource, is_first_enough: bool) -> None:
    if (count := source.frames) > 1 and not is_first_enough:
        what = "pages" if source.count > 1 else "frames"
        raise SourceError(
            f"{source.name} has {count} {what}, and one picture is enlarged; take the first of "
            "them (--first), or split it."
        )


def _check_memory(name: str, width: int, height: int, cost: int, limit: int | None) -> None:
    """``cost`` is in bytes of memory for a pixel."""
    needed = width * height * cost
    if limit is not None and needed > limit:
        raise ConfigError(
            f"{name}: decoding its {width}x{height} px takes {needed / 1e6:,.0f} MB of memory, and "
            f"{max(0, limit) / 1e6:,.0f} MB are left for it; allow more (--memory)."
        )


def _deep(file: BinaryIO, name: str, kind: str, memory_bytes: int | None) -> Picture | None:
    """A picture of 16 bits in each of several samples; None for all others."""
    with decoding(name, kind):
        if kind == "PNG":
            head = deep_png.head_of(file)
            if head is None or head.bits != 16 or head.colour not in deep_png.SAMPLES:
                return None
            size = head.width, head.height, deep_png.SAMPLES[head.colour]
        elif kind == "TIFF":
            tags = deep_tiff.tags_of(file)
            if not deep_tiff.is_deep(tags):
                return None
            size = tags[256], tags[257], tags[277]
        else:
            return None
        width, height, samples = size
        if min(size) < 1 or width * height > min(MAX_PIXELS, MAX_DECODE_BYTES // (2 * samples)):
            raise SourceError(
                f"{name} declares {width}x{height} px of 16 bits; from 1x1 to {MAX_PIXELS:,} "
                f"pixels and {MAX_DECODE_BYTES // 2:,} samples are decoded. Scale it down."
            )
        _check_memory(name, width, height, 2 * samples, memory_bytes)
        if kind == "PNG":
            return _deep_png(file, name, head)  # type: ignore[arg-type]
        return _deep_tiff(file, name, tags)


def _deep_png(file: BinaryIO, name: str, head: deep_png.Head) -> Picture:
    values = deep_png.read_deep(file, head)
    found = deep_png.facts_of(file)
    exif = Image.Exif()
    if found.exif:
        exif.load(b"Exif\0\0" + found.exif)
    exif = metadata.whole(exif)
    return _of_array(values, name, "PNG", exif, found.profile, found.xmp, found.dpi)


def _deep_tiff(file: BinaryIO, name: str, tags: Any) -> Picture:
    values = deep_tiff.read_deep(file, tags)
    exif = metadata.whole(deep_tiff.exif_of(file, tags))
    if values.shape[2] in (2, 4) and deep_tiff.is_premultiplied(tags):
        alpha = np.maximum(values[..., -1:].astype(np.uint32), 1)
        values[..., :-1] = np.minimum(values[..., :-1] * np.uint32(65535) // alpha, 65535)
    profile, xmp = tags.get(34675), tags.get(700)
    return _of_array(
        values,
        name,
        "TIFF",
        exif,
        profile if isinstance(profile, bytes) else None,
        xmp if isinstance(xmp, bytes) else b"",
        _tiff_dpi(tags),
    )


def _tiff_dpi(tags: Any) -> tuple[float, float] | None:
    inch = {2: 1.0, 3: 2.54}.get(tags.get(296, 2))
    found = tags.get(282), tags.get(283)
    if inch is None or not all(found):
        return None
    return float(found[0]) * inch, float(found[1]) * inch


def _of_array(
    values: NDArray[np.uint16],
    name: str,
    kind: str,
    exif: Image.Exif,
    profile: bytes | None,
    xmp: bytes,
    dpi: tuple[float, float] | None,
) -> Picture:
    turn = exif.get(ExifTags.Base.Orientation, 1)
    turn = turn if isinstance(turn, int) and 1 <= turn <= 8 else 1
    height, width = values.shape[:2]
    return Picture(
        name=name,
        kind=kind,
        width=height if turn >= 5 else width,
        height=width if turn >= 5 else height,
        samples=values.shape[2],
        bits=16,
        region=lambda left, top, right, bottom: (
            values[top:bottom, left:right].astype(np.float32) / np.float32(65535)
        ),
        orientation=turn,
        profile=profile,
        exif=exif,
        xmp=xmp,
        dpi=dpi,
    )


def _held(image: Image.Image, name: str, kind: str) -> Picture:
    """A picture that Pillow holds."""
    turn = 1 if kind == "TIFF" else orientation_of(image)  # Pillow turns a TIFF itself
    notes: list[str] = []
    mode = "L" if image.mode in _DEEP_GREY else _BASE.get(image.mode, image.mode)
    profile = image.info.get("icc_profile")
    convert = None
    if mode in ("CMYK", "LAB"):
        convert, profile = srgb_converter(image, mode), None
        mode = "RGB"
        notes.append(f"its {image.mode} colours are converted to sRGB")
    if isinstance(profile, bytes) and profile[16:20] == _OTHER_SPACE[mode]:
        profile = None
        notes.append("its profile is for another kind of colours and is left out")
    if image.mode == "P" and not profile and _is_grey(image):
        mode = "L"
    if image.has_transparency_data:
        mode = _ALPHA.get(mode, mode)
    region = _grey_region(image) if image.mode in _DEEP_GREY else _region(image, mode, convert)
    if image.mode in ("I", "F"):
        low, high = value_range(image)
        notes.append(f"its values from {low:g} to {high:g} become 16 bits")
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    dpi = image.info.get("dpi")
    width, height = image.size
    return Picture(
        name=name,
        kind=kind,
        width=height if turn >= 5 else width,
        height=width if turn >= 5 else height,
        samples={"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode],
        bits=16 if image.mode in _DEEP_GREY else 8,
        region=region,
        orientation=turn,
        profile=profile if isinstance(profile, bytes) and profile else None,
        exif=metadata.whole(image.getexif()),
        xmp=xmp.encode() if isinstance(xmp, str) else bytes(xmp),
        dpi=(float(dpi[0]), float(dpi[1])) if isinstance(dpi, tuple) and min(dpi) > 1 else None,
        notes=tuple(notes),
    )


def _is_grey(image: Image.Image) -> bool:
    palette = image.getpalette("RGB") or []
    colours = np.array(palette, np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _region(
    image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image] | None
) -> Region:
    def region(left: int, top: int, right: int, bottom: int) -> Floats:
        part = image.crop((left, top, right, bottom))
        if convert is not None:
            part = convert(part)
        if part.mode != mode:
            part = part.convert(mode)
        values = np.asarray(part).reshape(bottom - top, right - left, -1)
        return values.astype(np.float32) / np.float32(255)

    return region


def _grey_region(image: Image.Image) -> Region:
    low, high = value_range(image)
    clear = image.info.get("transparency")

    def region(left: int, top: int, right: int, bottom: int) -> Floats:
        values = np.asarray(image.crop((left, top, right, bottom)))
        if image.mode == "F":
            values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
        grey = ((values.astype(np.float64) - low) / (high - low)).clip(0, 1).astype(np.float32)
        if not image.has_transparency_data:
            return grey[..., None]
        seen = values != clear if isinstance(clear, int) else np.ones_like(values, bool)
        return np.stack([grey, seen.astype(np.float32)], -1)

    return region
