"""Bodies of HTTP answers without the codings they were sent in, bounded in size.

Crawls keep headers that their bodies no longer follow (a gzip header on plain text is common), so
a body that is not in the coding it claims is taken as it is.
"""

from __future__ import annotations

import importlib.util
import re
import zlib
from typing import Final

_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]{0,100}\r\n")
_CODINGS: Final = 3  # of one body; more is an attack


def decoded_body(body: bytes, transfer: str, content: str, limit: int) -> tuple[bytes, bool]:
    """Undo chunks and compression.

    Args:
        body: as it was sent.
        transfer, content: the headers Transfer-Encoding and Content-Encoding.
        limit: bytes of the result that are wanted; what is longer is cut there.

    Returns:
        The body, and whether its end was missing.
    """
    is_cut = False
    if "chunked" in transfer.lower():
        body, is_cut = _unchunked(body)
    names = [name.strip().lower() for name in content.split(",") if name.strip()]
    for name in reversed(names[:_CODINGS]):
        body, was_cut = _unpacked(body, name, limit)
        is_cut = is_cut or was_cut
    return body[:limit], is_cut


def _unchunked(body: bytes) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    at = 0
    if not _CHUNK.match(body):
        return body, False
    while match := _CHUNK.match(body, at):
        size = int(match[1], 16)
        if size == 0:
            return b"".join(parts), False
        parts.append(body[match.end() : match.end() + size])
        at = match.end() + size + 2
    return b"".join(parts), True


def _unpacked(body: bytes, name: str, limit: int) -> tuple[bytes, bool]:
    if name in ("gzip", "x-gzip", "deflate"):
        for window in (47, -15) if name == "deflate" else (47,):
            unpacker = zlib.decompressobj(window)
            try:
                data = unpacker.decompress(body, limit)
            except zlib.error:
                continue
            return data, not unpacker.eof and len(data) < limit
        return _begun(body), False
    if name == "br":
        return _unbrotlied(body, limit)
    return body, False


def _begun(body: bytes) -> bytes:
    """What can be had of a packed body that is damaged; the body itself if it is not packed."""
    if not body.startswith(b"\x1f\x8b"):
        return body
    unpacker, data = zlib.decompressobj(47), b""
    try:
        for at in range(0, len(body), 256):
            data += unpacker.decompress(body[at : at + 256], 1 << 20)
    except zlib.error:
        pass
    return data


def _unbrotlied(body: bytes, limit: int) -> tuple[bytes, bool]:
    if importlib.util.find_spec("brotli") is None:
        return body, False
    import brotli  # noqa: PLC0415 - comes with fastwarc

    unpacker, data = brotli.Decompressor(), b""
    try:
        data = unpacker.process(body, output_buffer_limit=limit)
    except brotli.error:
        return body, False
    return data, not unpacker.is_finished() and len(data) < limit
