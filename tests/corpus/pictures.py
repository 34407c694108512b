"""Bytes of images, good and hostile, made from a seed."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def picture(seed: int = 0, width: int = 200, height: int = 160, mode: str = "RGB") -> Image.Image:
    """Soft colours that compress well and differ by seed."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return image.convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    """An image as a file of some kind."""
    out = BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def png(seed: int = 0, width: int = 200, height: int = 160) -> bytes:
    """A small PNG."""
    return encoded(picture(seed, width, height))


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of one grey, a thousand times smaller than its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    pack, row = zlib.compressobj(1), b"\0" * (1 + width)
    body = b"".join(pack.compress(row) for _ in range(height)) + pack.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
