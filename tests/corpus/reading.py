"""Archives made in memory, and what reading a source gives and counts."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

from tilewise.corpus.crawl.raw import RawImage, RawPage, ReadConfig
from tilewise.corpus.crawl.read import read_pages
from tilewise.records import Dropped

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def response(
    url: str,
    body: bytes = b"<p>hello</p>",
    *,
    kind: str = "text/html",
    status: str = "200 OK",
    headers: str = "",
    length: int | None = None,
    http_length: int | None = None,
) -> bytes:
    """One WARC record of an HTTP answer, its lengths right unless given."""
    http_length = len(body) if http_length is None else http_length
    http = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {http_length}\r\n"
        f"{headers}\r\n"
    ).encode() + body
    length = len(http) if length is None else length
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\n"
        f"WARC-Target-URI: {url}\r\nWARC-Date: 2023-10-01T05:36:00Z\r\n"
        "Content-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()
    return head + http + b"\r\n\r\n"


class Read:
    """What reading a source gave, by kind, and what it counted."""

    def __init__(
        self,
        path: Path | str,
        start: int = 0,
        end: int | None = None,
        cfg: ReadConfig | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        raws = read_pages(str(path), counts=self._count, start=start, end=end, cfg=cfg)
        self.all = list(raws)
        self.pages = [raw for raw in self.all if isinstance(raw, RawPage)]
        self.images = [raw for raw in self.all if isinstance(raw, RawImage)]
        self.dropped = [raw for raw in self.all if isinstance(raw, Dropped)]

    def _count(self, reason: str) -> None:
        self.counts[reason] += 1


def packed(*records: bytes) -> bytes:
    return b"".join(gzip.compress(record, mtime=0) for record in records)
