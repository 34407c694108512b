"""JSON Lines of pages: ``{"url": ..., "html": ...}``, plain or gzip."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, cast

from tilewise.corpus.crawl.raw import Capture, Counts, Raw, ReadConfig, as_raw

_GZIP: Final = b"\x1f\x8b"
_KEPT_AS_READ: Final = "text/html; charset=utf-8"


def read_lines(
    file: BinaryIO, name: str, *, counts: Counts, start: int, end: int, cfg: ReadConfig
) -> Iterator[Raw]:
    """Pages of the lines that begin in [start, end); arguments as for ``read_pages``.

    Beside ``url`` and ``html`` a line may have ``captured`` (or ``date``, ``timestamp``),
    ``content_type`` and ``robots_tag``. ``offset`` is the byte at which the line begins, after
    unpacking. A line that is no such object is counted as ``broken_line``, one that is longer than
    eight times ``max_page_bytes`` as ``line_too_long``.
    """
    most = 8 * cfg.max_page_bytes  # \\u escapes take six bytes for one to three
    for offset, line in _lines(file, start, end, most, counts):
        if not line.strip():
            continue
        capture = _capture(line, name, offset)
        if capture is None:
            counts("broken_line")
            continue
        raw = as_raw(capture, 200, counts, cfg)
        if raw is not None:
            yield raw


def _lines(
    file: BinaryIO, start: int, end: int, most: int, counts: Counts
) -> Iterator[tuple[int, bytes]]:
    """Lines with the byte each begins at; what cannot be unpacked is counted and ends them."""
    file.seek(0)
    if file.read(2) == _GZIP:
        if start > 0:
            return  # one stream, read whole by who has its first byte
        file.seek(0)
        source, at, end = cast(BinaryIO, gzip.GzipFile(fileobj=file)), 0, 1 << 62
    else:
        source, at = file, max(start - 1, 0)
        file.seek(at)
        if start > 0:  # the line that runs into the range belongs to the one before
            at += _skipped(source, most)
    try:
        while at < end and (line := source.readline(most)):
            length = len(line)
            if length == most and not line.endswith(b"\n"):
                counts("line_too_long")
                length += _skipped(source, most)
            else:
                yield at, line
            at += length
    except (OSError, EOFError, zlib.error):
        counts("truncated_gzip")


def _skipped(source: BinaryIO, most: int) -> int:
    """Read to the end of a line; how many bytes that were."""
    length = 0
    while part := source.readline(most):
        length += len(part)
        if part.endswith(b"\n"):
            break
    return length


def _capture(line: bytes, name: str, offset: int) -> Capture | None:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    url, html = row.get("url"), row.get("html")
    if not isinstance(url, str) or not isinstance(html, str) or not url:
        return None
    captured = row.get("captured") or row.get("date") or row.get("timestamp") or ""
    tag = row.get("robots_tag")
    return Capture(
        url=url,
        data=html.encode("utf-8", "replace"),
        content_type=_KEPT_AS_READ,
        captured=captured if isinstance(captured, str) else "",
        archive=name,
        offset=offset,
        robots_tag=tag if isinstance(tag, str) else "",
    )
