"""What a crawl gives before anything is judged: pages and images, and the limits of both."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from tilewise.errors import ConfigError
from tilewise.records import Dropped

Counts = Callable[[str], None]
"""Called with a reason for each broken record, and for each image that is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPage:
    """One HTML page as it was captured.

    ``content_type`` is the HTTP header, with its charset if it names one; ``captured`` is ISO 8601
    in UTC or ""; ``archive`` and ``offset`` say where the record begins; ``robots_tag`` is the
    X-Robots-Tag header; ``is_cut`` where the archive holds only the page's beginning.
    """

    url: str
    html: bytes
    content_type: str = ""
    captured: str = ""
    archive: str = ""
    offset: int = 0
    robots_tag: str = ""
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RawImage:
    """The bytes of one image, or of a host's robots.txt; fields mean what they mean for a page."""

    url: str
    data: bytes
    content_type: str = ""
    captured: str = ""
    archive: str = ""
    offset: int = 0
    robots_tag: str = ""


Raw = RawPage | RawImage | Dropped
"""What reading gives; Dropped is a page that was seen and is not wanted (stage ``read``)."""

STAGE: Final = "read"


class Extent(NamedTuple):
    """How far a source goes: bytes as they are stored, or files of a folder in their order."""

    unit: Literal["bytes", "pages"]
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadConfig:
    """What is read at all.

    ``max_page_bytes`` and ``max_image_bytes`` bound one record after decompression. A page whose
    host has one of ``blocked_host_words`` between dots and dashes is not wanted; () asks nothing.
    """

    max_page_bytes: int = 10 * 2**20
    max_image_bytes: int = 20 * 10**6
    blocked_host_words: tuple[str, ...] = ("porn", "porno", "xxx", "hentai")

    def __post_init__(self) -> None:
        for name in ("max_page_bytes", "max_image_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; 1 or more is allowed. Give a size in bytes."
                )


def document_id(url: str, captured: str) -> str:
    """The name of a document: 32 hex digits, from where and when its page was captured."""
    return hashlib.sha256(f"{url}{captured}".encode("utf-8", "replace")).hexdigest()[:32]


def unwanted(
    url: str, captured: str, reason: str, value: float | str, threshold: float | str | None = None
) -> Dropped:
    """The row of a page that reading leaves out."""
    return Dropped(
        id=document_id(url, captured),
        url=url,
        stage=STAGE,
        reason=reason,
        value=value,
        threshold=threshold,
    )


class Capture(NamedTuple):
    """One answer of a server as it was captured, of whatever kind; fields as of ``RawPage``."""

    url: str
    data: bytes
    content_type: str
    captured: str
    archive: str
    offset: int
    robots_tag: str = ""
    is_cut: bool = False


def as_raw(capture: Capture, status: int, counts: Counts, cfg: ReadConfig) -> Raw | None:
    """Tell what a capture is.

    Returns:
        A page; an image or a robots.txt; a ``Dropped`` for what is seen and not wanted; None for
        an image that is too large or was not there, after it was counted.
    """
    url, captured = capture.url, capture.captured
    media = capture.content_type.partition(";")[0].strip().lower()
    if "/robots.txt" in url and _path(url) == "/robots.txt" and status == 200:
        return _image(capture._replace(data=capture.data[:_ROBOTS_BYTES]), status, counts, cfg)
    if media.startswith("image/"):
        return _image(capture, status, counts, cfg)
    if status != 200:
        return unwanted(url, captured, "http_status", float(status), 200.0)
    if not _is_html(media, capture.data):
        return unwanted(url, captured, "not_html", media or "no content type", "text/html")
    if word := _blocked_word(url, cfg.blocked_host_words):
        return unwanted(url, captured, "url_blocklist", word)
    if len(capture.data) > cfg.max_page_bytes:
        size, most = float(len(capture.data)), float(cfg.max_page_bytes)
        return unwanted(url, captured, "page_too_large", size, most)
    return RawPage(
        url=url,
        html=capture.data,
        content_type=capture.content_type,
        captured=captured,
        archive=capture.archive,
        offset=capture.offset,
        robots_tag=capture.robots_tag,
        is_cut=capture.is_cut,
    )


_ROBOTS_BYTES: Final = 500 * 1024
"""RFC 9309 asks a reader of robots.txt for at least 500 KiB."""

_SIGNS: Final = re.compile(rb"<(?:!doctype\s+html|html|head|body|meta|title)\b", re.IGNORECASE)
_UNSAID: Final = ("", "text/plain", "application/octet-stream", "application/xml", "text/xml")
_NO_HTML: Final = (b"%PDF-", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"PK\x03\x04")


def _is_html(media: str, data: bytes) -> bool:
    head = data[:1024]
    if media in ("text/html", "application/xhtml+xml"):
        return not head.startswith(_NO_HTML)
    return media in _UNSAID and _SIGNS.search(head) is not None


def _image(capture: Capture, status: int, counts: Counts, cfg: ReadConfig) -> RawImage | None:
    if status != 200:
        counts("image_http_status")
        return None
    if len(capture.data) > cfg.max_image_bytes:
        counts("image_too_large")
        return None
    return RawImage(
        url=capture.url,
        data=capture.data,
        content_type=capture.content_type,
        captured=capture.captured,
        archive=capture.archive,
        offset=capture.offset,
        robots_tag=capture.robots_tag,
    )


def _blocked_word(url: str, words: tuple[str, ...]) -> str:
    """The first of the words that stands in the host; "" if none does."""
    if not words:
        return ""
    parts = re.split(r"[.\-_]", _host(url))
    return next((word for word in words if word in parts), "")


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""
