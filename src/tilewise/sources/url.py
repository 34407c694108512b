"""Web addresses: fetched within limits, then read as whatever their content is."""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
import threading
import time
import zlib
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes, urljoin

from tilewise.errors import SourceError
from tilewise.sources.addresses import (
    RefusedError,
    connect,
    port_of,
    shortened,
    split_url,
    without_fragment,
)
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.sources.web_options import WebOptions

_log = logging.getLogger(__name__)

MAX_REDIRECTS: Final = 10
AGENT: Final = "Mozilla/5.0 (compatible; tilewise)"

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK: Final = 1 << 16
_MARKUP_TYPES: Final = ("text/html", "application/xhtml+xml")
_LOOSE_KINDS: Final = ("plain text", "an XML file")  # what a server may call a page rightly

_STATUSES: Final = {
    401: "it wants a login; open it in a browser, save the page and give the file",
    403: "access is forbidden, or it wants a login; save the page from a browser and give the file",
    404: "there is no such page; check the address",
    407: "a proxy wants a login; save the page from a browser and give the file",
    410: "the page is gone; look for it elsewhere",
    429: "too many requests were made; wait and try again",
    451: "it is withheld for legal reasons",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What an address gave: ``data`` is whole, or for a page of HTML only its beginning.

    ``url`` is where it was found after redirects; ``kind`` is as ``content.kind_of`` names it.
    """

    url: str
    data: bytes
    kind: str


def fetch(url: str, options: WebOptions) -> Fetched:
    """Get what a web address or a ``data:`` address holds.

    Redirects are followed, each address checked anew. Cookies live as long as the redirects.

    Args:
        url: http, https or data.
        options: limits on bytes and time, and whether private addresses may be asked.

    Raises:
        SourceError: no such host or page, a login is wanted, a status other than success, too
            large, too slow, too many redirects; ``RefusedError`` for addresses not allowed.
    """
    if url[:5].lower() == "data:":
        media, data = _inline(url)
        return Fetched(url=shortened(url, 60), data=data, kind=_kind(data[:HEAD_BYTES], media))
    deadline = time.monotonic() + options.time_limit_s
    jar: dict[str, dict[str, str]] = {}
    for _ in range(MAX_REDIRECTS + 1):
        with _answer(url, options, deadline, jar) as response:
            target = _redirect(url, response)
            if target is None:
                return _body(url, response, options)
        _log.info("%s leads on to %s", shortened(url), shortened(target))
        url = target
    raise SourceError(
        f"{shortened(url)}: over {MAX_REDIRECTS} redirects; open it in a browser to see why."
    )


def check_status(url: str, status: int) -> None:
    """Raise SourceError with the status in words, unless it is a success."""
    if 200 <= status < 300:
        return
    name = http.client.responses.get(status, "unknown")
    advice = _STATUSES.get(status)
    if advice is None:
        advice = "the server failed; try again later" if status >= 500 else "check the address"
    raise SourceError(f"{shortened(url)} answers {status} ({name}): {advice}.")


def _inline(url: str) -> tuple[str, bytes]:
    """Media type and bytes of a data: address (RFC 2397)."""
    head, comma, body = url[5:].partition(",")
    if not comma:
        raise SourceError(f"{shortened(url, 60)} has no comma before its data; check the address.")
    media = head.partition(";")[0].strip().lower()
    data = unquote_to_bytes(body.partition("#")[0])
    if head.rpartition(";")[2].strip().lower() != "base64":
        return media, data
    try:
        text = b"".join(data.split()).replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
        return media, b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError as err:
        raise SourceError(f"{shortened(url, 60)} is not valid base64; check the address.") from err


@contextmanager
def _answer(
    url: str, options: WebOptions, deadline: float, jar: dict[str, dict[str, str]]
) -> Iterator[http.client.HTTPResponse]:
    """Ask one address and give its answer, whose body may be read inside the block."""
    parts = split_url(url)
    host, left = parts.hostname or "", deadline - time.monotonic()
    if left <= 0:
        raise _too_slow(url, options)
    link = connect(host, port_of(parts), allow_private=options.allow_private, timeout_s=left)
    watch = _Watch(link)
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), watch.end)
    timer.daemon = True
    timer.start()
    response: http.client.HTTPResponse | None = None
    try:
        if parts.scheme == "https":
            link = watch.link = ssl.create_default_context().wrap_socket(link, server_hostname=host)
        connection = http.client.HTTPConnection(host, port_of(parts))
        connection.sock = link  # connected to a checked address; http.client looks nothing up
        default = port_of(parts) == (443 if parts.scheme == "https" else 80)
        sent = {
            "Host": parts.netloc.removesuffix(f":{parts.port}") if default else parts.netloc,
            "User-Agent": AGENT,
            "Accept": "text/html,application/xhtml+xml,application/pdf,image/*,*/*;q=0.8",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        if jar.get(host):
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar[host].items())
        asked = split_url(url)._replace(scheme="", netloc="")
        connection.request("GET", without_fragment(asked), headers=sent)
        response = connection.getresponse()
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, equals, value = cookie.partition(";")[0].strip().partition("=")
            if equals:
                jar.setdefault(host, {})[name] = value
        yield response
    except (OSError, http.client.HTTPException, zlib.error) as err:
        if watch.is_over or isinstance(err, TimeoutError):
            raise _too_slow(url, options) from err
        raise _broken(url, err) from err
    finally:
        timer.cancel()
        if response is not None:
            response.close()  # it holds the socket open too
        watch.close()
    if watch.is_over:
        raise _too_slow(url, options)


@dataclass(slots=True)
class _Watch:
    """Ends a connection from another thread, whatever it waits for."""

    link: socket.socket
    is_over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def end(self) -> None:
        """Called when time is up."""
        with self._lock:
            self.is_over = True
            if self.link.fileno() >= 0:
                # SSLSocket's own shutdown would pull its state from under the reading thread
                socket.socket.shutdown(self.link, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self.link.close()


def _too_slow(url: str, options: WebOptions) -> SourceError:
    return SourceError(
        f"{shortened(url)} was not there within {options.time_limit_s:g} s; try again later, or "
        "raise --time-limit (time_limit_s)."
    )


def _broken(url: str, err: Exception) -> SourceError:
    if isinstance(err, ssl.SSLCertVerificationError):
        return SourceError(
            f"{shortened(url)}: its certificate does not hold ({err.verify_message}); a page that "
            "cannot be trusted is not read."
        )
    reason = " ".join(str(err).split())[:200] or type(err).__name__
    return SourceError(f"{shortened(url)}: the connection broke ({reason}); try again later.")


def _redirect(url: str, response: http.client.HTTPResponse) -> str | None:
    """Where an answer leads on to, or None if it is the last."""
    location = response.headers.get("Location")
    if response.status not in _REDIRECTS or location is None:
        check_status(url, response.status)
        return None
    target = urljoin(url, location.encode("latin-1", "replace").decode("utf-8", "replace"))
    if not target.lower().startswith(("http://", "https://")):
        raise RefusedError(f"{shortened(url)} leads on to {shortened(target)}, which is not asked.")
    return target


def _body(url: str, response: http.client.HTTPResponse, options: WebOptions) -> Fetched:
    """Read the body as far as it is of use."""
    media = response.headers.get_content_type()
    data, kind = bytearray(), ""
    for chunk in _unpacked(url, response):
        data += chunk
        if len(data) > options.max_bytes:
            raise SourceError(
                f"{shortened(url)} holds over {options.max_bytes >> 10:,} KiB; raise max_bytes, or "
                "save a smaller file."
            )
        if not kind and len(data) >= HEAD_BYTES:
            kind = _kind(bytes(data[:HEAD_BYTES]), media)
            if kind == "HTML":  # Chromium will load it by itself
                break
    return Fetched(url=url, data=bytes(data), kind=kind or _kind(bytes(data), media))


def _kind(head: bytes, media: str) -> str:
    kind = kind_of(head)
    return "HTML" if media in _MARKUP_TYPES and kind in _LOOSE_KINDS else kind


def _unpacked(url: str, response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body in parts, out of the packing that some servers use unasked."""
    packing = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packing in ("", "identity"):
        while chunk := response.read1(_CHUNK):
            yield chunk
        if response.length:  # http.client knows that more was promised
            raise http.client.IncompleteRead(b"", response.length)
        return
    if packing not in ("gzip", "x-gzip", "deflate"):
        raise SourceError(f"{shortened(url)} is packed as {packing!r}, which is not unpacked here.")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header
    while not unpack.eof and (chunk := response.read1(_CHUNK)):
        yield unpack.decompress(chunk, _CHUNK)
        while unpack.unconsumed_tail:
            yield unpack.decompress(unpack.unconsumed_tail, _CHUNK)
