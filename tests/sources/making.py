"""Small files made by hand, for tests of sources."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from tilewise.records import Pixels
from tilewise.sources.pages import SourceLike, open_source


def pixels_of(source: SourceLike, number: int = 1) -> Pixels:
    """Pixels of one page."""
    with open_source(source) as opened:
        return opened.page(number).pixels


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a picture in a file format."""
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def scene(width: int = 48, height: int = 32) -> Image.Image:
    """A picture that no turning leaves as it is, in blocks that survive lossy formats."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[: height // 2, : width // 3] = (200, 30, 40)
    pixels[height // 2 :, : width // 3] = (20, 90, 200)
    pixels[: height // 4, width // 3 :] = (30, 30, 30)
    return Image.fromarray(pixels)


def png(
    width: int, height: int, bits: int, colour: int, rows: bytes, *extra: tuple[bytes, bytes]
) -> bytes:
    """A PNG chunk by chunk; ``rows`` are filtered rows, ``colour`` is the PNG colour type."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = (
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
        for tag, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def pdf(
    *contents: str,
    size: tuple[float, float] = (200, 100),
    page: str = "",
    objects: tuple[str, ...] = (),
    catalog: str = "",
) -> bytes:
    """A PDF with one page for each content stream.

    ``page`` goes into every page's dictionary and ``catalog`` into the catalog; ``objects`` are
    numbered from 4. Object 3 is Helvetica under the name F.
    """
    first = 4 + len(objects)
    kids = " ".join(f"{first + 2 * i} 0 R" for i in range(len(contents)))
    bodies = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} "
        f"/MediaBox [0 0 {size[0]} {size[1]}] /Resources << /Font << /F 3 0 R >> >> >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        *objects,
    ]
    for i, content in enumerate(contents):
        bodies.append(f"<< /Type /Page /Parent 2 0 R /Contents {first + 2 * i + 1} 0 R {page} >>")
        bodies.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    return out + (
        f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {len(bodies) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    ).encode("latin-1")


LEFT_HALF_RED = "1 0 0 rg 0 0 100 100 re f"
"""Content that paints the left half of a page of 200 x 100 points."""
