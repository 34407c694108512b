"""What is known of an image from its bytes: size, hashes, whether it decodes at all.

Runs in the process of ``program``; ``facts`` is how others ask.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, Final

import imagehash
import numpy as np
from PIL import Image

from tilewise.corpus.images.facts import DECODED, OTHER_IMAGES
from tilewise.errors import SourceError
from tilewise.records import Pixels
from tilewise.sources.colour import orientation_of, to_pixels
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.sources.image import decoding

_DIRECT_MODES: Final = ("1", "L", "P", "RGB", "CMYK", "YCbCr")

Fact = dict[str, Any]
"""Fields of ``facts.Facts``."""


class Images:
    """Answers requests about a file that holds images one after another."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}
        _hashes(Image.new("L", (32, 32)))  # loads what hashing needs, before limits of time hold
        self.errors: tuple[type[Exception], ...] = ()
        self.ways: dict[str, Callable[..., Any]] = {
            "open": self._open,
            "ready": self._ready,
            "measure": self._measure,
            "measure_and_draw": self._measure_and_draw,
            "close": self._close,
        }

    def _open(self, descriptor: int, document: int) -> None:
        self._files[document] = os.dup(descriptor)

    def _ready(self, document: int) -> None:
        """Nothing: by this the process has started and the document is open."""

    def _close(self, document: int) -> None:
        os.close(self._files.pop(document))

    def _measure(
        self, document: int, places: Sequence[tuple[int, int]], limits: dict[str, int]
    ) -> list[Fact]:
        """Facts of the images at ``places``: offset and length of each."""
        file = self._files[document]
        return [measure(os.pread(file, length, start), **limits)[0] for start, length in places]

    def _measure_and_draw(
        self,
        descriptor: int,
        document: int,
        places: Sequence[tuple[int, int]],
        limits: dict[str, int],
    ) -> list[Fact]:
        """The same, with each image made small and written to a file, one after another."""
        file, found = self._files[document], []
        at = 0
        for start, length in places:
            fact, pixels = measure(os.pread(file, length, start), **limits)
            if pixels is not None:
                fact |= {"drawn_at": at, "drawn_shape": pixels.shape}
                at += os.pwrite(descriptor, pixels.tobytes(), at)
            found.append(fact)
        return found


def measure(
    data: bytes, *, max_pixels: int, max_side: int, drawn_side: int = 0
) -> tuple[Fact, Pixels | None]:
    """Decode an image and hash it.

    Args:
        data: of the whole file.
        max_pixels, max_side: of what is decoded; an image beyond is known by its size alone.
        drawn_side: longest side of the pixels that come back; 0 for none.

    Returns:
        Its facts, with ``reason`` set where it cannot be decoded, and its pixels made small.

    Source: p-hash and d-hash of 64 bits (arXiv 2406.08418, section on image filtering).
    """
    kind = kind_of(data[:HEAD_BYTES])
    fact: Fact = {"kind": kind}
    if kind not in DECODED:
        is_image = kind in OTHER_IMAGES
        reason = "image_format" if is_image else "image_decode"
        return fact | {"reason": reason, "detail": f"it is {kind}"}, None
    try:
        with decoding("image", kind):
            image = Image.open(BytesIO(data), formats=[kind.upper()])
            width, height = image.size
            if orientation_of(image) >= 5:
                width, height = height, width
            fact |= {"width": width, "height": height}
            if width * height > max_pixels or max(width, height) > max_side:
                return fact | {"reason": "image_too_many_pixels"}, None
            fact["is_animated"] = bool(getattr(image, "is_animated", False))
            image.load()
            fact |= _hashes(image)
            return fact, _drawn(image, drawn_side) if drawn_side else None
    except SourceError as err:
        detail = " ".join(str(err.__cause__ or err).split())[:200]
        return fact | {"reason": "image_decode", "detail": detail}, None


def _hashes(image: Image.Image) -> Fact:
    """Both hashes; of an image that is clear in parts as it looks on white.

    Without that, all signs drawn in the alpha channel alone would be the same black image.
    """
    if image.mode not in _DIRECT_MODES or image.has_transparency_data:
        image = Image.fromarray(to_pixels(image))
    grey = image.convert("L")
    return {"p_hash": str(imagehash.phash(grey)), "d_hash": str(imagehash.dhash(grey))}


def _drawn(image: Image.Image, side: int) -> Pixels:
    """RGB on white, at most ``side`` long."""
    if image.mode not in ("L", "RGB", "LA", "RGBA", "CMYK"):
        image = Image.fromarray(to_pixels(image))
    image.thumbnail((side, side))
    return np.ascontiguousarray(to_pixels(image))
