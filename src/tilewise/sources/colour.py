"""From any picture that Pillow holds to upright 8-bit sRGB pixels on white.

Work goes band by band, so that a large picture is in memory once as decoded and once as pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from io import BytesIO
from typing import Final

import numpy as np
from PIL import ExifTags, Image, ImageCms

from tilewise.records import Pixels

_log = logging.getLogger(__name__)

_BAND_PIXELS: Final = 1 << 21
_BASE_MODES: Final = {
    # Pillow's mode -> mode without its peculiarities
    "1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB",
    "YCbCr": "RGB", "HSV": "RGB",
}  # fmt: skip
_DEEP_MODES: Final = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_PROFILE_SPACES: Final = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}

Convert = Callable[[Image.Image], Image.Image]


def to_pixels(image: Image.Image) -> Pixels:
    """Decode a picture and bring it upright to sRGB, transparent parts on white.

    16-bit and floating grey are scaled, not cut: by their bits where known, else to the first of
    1, 255 and 65535 that holds them, else from lowest to highest value.

    Returns:
        Pixels (height, width, 3), writable and contiguous.

    Raises:
        Whatever Pillow raises on damaged data; callers know the name for the message.
    """
    orientation = orientation_of(image)  # a TIFF forgets it on load, when Pillow turns the picture
    image.load()
    if image.format == "TIFF":
        orientation = 1
    flatten, deepen = _flattener(image), _deepener(image)
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(flatten(deepen(band)))
    return _upright(pixels, orientation)


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8, from what stands before the pixels; 1 if there is none."""
    try:
        # Pillow's own method for PNG would decode the picture first
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, LookupError, TypeError, OSError, ArithmeticError) as err:
        _log.warning("EXIF data are damaged (%s); the picture is taken as it is stored", err)
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation: bit 4 swaps axes, the rest mirrors (EXIF 2.32, tag 0x0112)."""
    rows, cols = {
        1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1),
        5: (1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1),
    }[orientation]  # fmt: skip
    turned = pixels[::rows, ::cols]
    return np.ascontiguousarray(turned.swapaxes(0, 1) if orientation >= 5 else turned)


def _flattener(image: Image.Image) -> Convert:
    """What turns a band of ``image`` into RGB on white."""
    mode = "L" if image.mode in _DEEP_MODES else _BASE_MODES.get(image.mode, image.mode)
    has_alpha = image.has_transparency_data
    colour_mode = mode.removesuffix("A")
    to_srgb = srgb_converter(image, colour_mode)

    def flatten(band: Image.Image) -> Image.Image:
        if not has_alpha:
            return to_srgb(band if band.mode == colour_mode else band.convert(colour_mode))
        whole = band.convert("LA" if colour_mode == "L" else "RGBA")
        alpha = whole.getchannel("A")
        colours = to_srgb(whole.convert(colour_mode))
        return Image.composite(colours, Image.new("RGB", band.size, "white"), alpha)

    return flatten


def srgb_converter(image: Image.Image, mode: str) -> Convert:
    """What turns L, RGB, CMYK or LAB into sRGB, by the picture's own profile if it has one."""
    profile = image.info.get("icc_profile")
    if mode == "LAB":
        return _cms_converter(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")
    if not isinstance(profile, bytes) or not profile:
        return _plain
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = _PROFILE_SPACES.get(source.profile.xcolor_space)
        if space == mode or (space == "RGB" and mode == "L"):
            return _cms_converter(source, space)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as err:
        _log.warning("ICC profile is damaged (%s); colours are taken as sRGB", err)
        return _plain
    _log.warning("ICC profile is for %s, the picture is %s; taken as sRGB", space, mode)
    return _plain


def _plain(band: Image.Image) -> Image.Image:
    return band.convert("RGB")


def _cms_converter(source: ImageCms.ImageCmsProfile, mode: str) -> Convert:
    transform = ImageCms.buildTransform(
        source,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if mode in ("L", "RGB"):  # most profiles are sRGB itself: not worth a second a page
        probe = _probe(mode)
        before, after = probe.convert("RGB"), ImageCms.applyTransform(probe, transform)
        assert after is not None
        if np.abs(np.asarray(before, np.int16) - np.asarray(after, np.int16)).max() <= 1:
            return _plain

    def convert(band: Image.Image) -> Image.Image:
        ready = band if band.mode == mode else band.convert(mode)
        result = ImageCms.applyTransform(ready, transform)
        assert result is not None  # only in-place work returns None
        return result

    return convert


def _probe(mode: str) -> Image.Image:
    """A picture of all greys, or of 16 x 16 x 16 colours."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(64, 64, 3))


def _deepener(image: Image.Image) -> Convert:
    """What turns a band of a deep grey picture into L or LA, and leaves others alone."""
    if image.mode not in _DEEP_MODES:
        return _with_8_bit_transparency(image)
    low, high = value_range(image)
    clear = image.info.get("transparency")

    def deepen(band: Image.Image) -> Image.Image:
        values = np.asarray(band)
        if image.mode == "F":
            values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
        scaled = (values.astype(np.float64) - low) * (255 / (high - low))
        grey = Image.fromarray(np.rint(scaled.clip(0, 255)).astype(np.uint8))
        if isinstance(clear, int):
            grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
        return grey

    return deepen


def value_range(image: Image.Image) -> tuple[float, float]:
    """Values of a deep picture that stand for black and white."""
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16"):
        bits = tags.get(258, (16,))[0]
        top = float((1 << bits) - 1) if 8 < bits <= 16 else 65535.0
        # Pillow leaves white-is-zero as it is in this mode
        return (top, 0.0) if tags.get(262) == 0 else (0.0, top)
    low, high = _finite_extrema(image)
    if low >= 0:
        for top in (1.0, 255.0, 65535.0):
            if high <= top and (top > 1 or image.mode == "F"):
                return 0.0, top
    return (low, high) if high > low else (low, low + 1)


def _finite_extrema(image: Image.Image) -> tuple[float, float]:
    """Lowest and highest value that are numbers, band by band; 0 and 1 if there is none."""
    width, height = image.size
    rows = max(1, _BAND_PIXELS // width)
    found: list[float] = []
    for top in range(0, height, rows):
        values = np.asarray(image.crop((0, top, width, min(top + rows, height))))
        finite = values[np.isfinite(values)]
        if finite.size:
            found += [float(finite.min()), float(finite.max())]
    return (min(found), max(found)) if found else (0.0, 1.0)


def _with_8_bit_transparency(image: Image.Image) -> Convert:
    """A see-through colour of a 16-bit RGB PNG is cut to 8 bits, as Pillow cuts its pixels."""
    clear = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(clear, tuple) and max(clear) > 255:
        high_bytes = tuple(value >> 8 for value in clear)

        def cut(band: Image.Image) -> Image.Image:
            band.info["transparency"] = high_bytes
            return band

        return cut
    return lambda band: band
