"""The one way out of the browser: a proxy on this machine that checks every connection.

Chromium is told to send everything through it, so redirects, frames, scripts, workers and web
sockets all meet the same check, and the address that was checked is the one connected to. One
host, ``page.invalid``, is answered from memory and a folder: a local page is served there, so that
no page ever needs the right to read files.
"""

from __future__ import annotations

import logging
import mimetypes
import select
import socket
import socketserver
import threading
import time
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from tilewise.errors import SourceError
from tilewise.sources.addresses import connect, port_of, split_url
from tilewise.sources.web_options import WebOptions

_log = logging.getLogger(__name__)

LOCAL_HOST: Final = "page.invalid"
"""Where a local page is served; RFC 2606 keeps the ending from ever being a real host."""

_CHUNK: Final = 1 << 16
_MAX_HEAD_BYTES: Final = 1 << 18
_CONNECT_TIMEOUT_S: Final = 15.0
_IDLE_TIMEOUT_S: Final = 30.0
_MAX_REFUSED: Final = 20

_POLICY: Final = "sandbox allow-scripts"
"""A local page gets an origin of its own: it may show its folder's files and not read them."""

_BROWSER_HOSTS: Final = ("content-autofill.googleapis.com", "optimizationguide-pa.googleapis.com")
"""What Chromium asks for its own ends while it shows a page; it is not part of the page."""

_FONT_MARKS: Final = (b"wOFF", b"wOF2", b"OTTO", b"\0\1\0\0", b"true")


class LocalPage:
    """A page that lies on this machine: its bytes, and the folder it may load files from."""

    def __init__(self, data: bytes, media: str, folder: Path | None) -> None:
        """Hold a page; ``folder`` is None for bytes that came from no file."""
        self.data = data
        self.media = media
        self.folder = folder.resolve() if folder else None
        self.url = f"http://{LOCAL_HOST}/"

    def get(self, path: str) -> tuple[str, bytes] | None:
        """Media type and bytes of a path: the page itself, or a file inside the folder."""
        if path == "/":
            return self.media, self.data
        if self.folder is None:
            return None
        try:
            file = (self.folder / unquote(path).lstrip("/")).resolve()
            if not file.is_relative_to(self.folder) or not file.is_file():
                return None  # links that lead out of the folder end here too
            media = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            return media, file.read_bytes()
        except (OSError, ValueError):
            return None


class Gate:
    """A proxy that lives as long as a ``with`` block.

    ``refused`` lists what it turned away, ``status`` gives the reason.
    """

    def __init__(self, options: WebOptions, page: LocalPage | None = None) -> None:
        """Say what may pass; nothing listens before ``with``."""
        self.options = options
        self.page = page
        self.refused: list[str] = []
        self.left_bytes = options.max_bytes
        self._links: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """Where it listens, as a browser wants it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def open(self, host: str, port: int) -> socket.socket:
        """Connect for the browser; raises SourceError where that is not allowed or fails."""
        if not self.options.network:
            raise SourceError(f"{host} is not asked, as the network is off.")
        return connect(
            host,
            port,
            allow_private=self.options.allow_private,
            timeout_s=min(_CONNECT_TIMEOUT_S, self.options.time_limit_s),
        )

    def refuse(self, reason: str) -> None:
        """Note what was turned away."""
        _log.info("not loaded: %s", reason)
        if len(self.refused) < _MAX_REFUSED:
            self.refused.append(reason)

    def count(self, size: int) -> bool:
        """Count bytes that came in; False when the limit is reached."""
        with self._lock:
            self.left_bytes -= size
            return self.left_bytes > 0

    def track(self, link: socket.socket) -> None:
        """Remember a connection, to be closed with the gate."""
        with self._lock:
            self._links.add(link)

    def drop(self, link: socket.socket) -> None:
        """Close a connection."""
        with self._lock:
            self._links.discard(link)
            link.close()

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True, name="gate"
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        with self._lock:
            for link in self._links:
                _shut(link)
        self._server.server_close()  # waits for the threads of its connections
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is nothing to tell anybody."""
        _log.debug("a connection of the browser broke", exc_info=True)


class _Handler(socketserver.BaseRequestHandler):
    """One connection of the browser, which carries one request or one tunnel."""

    request: socket.socket
    server: _Server

    def handle(self) -> None:
        gate = self.server.gate
        gate.track(self.request)
        try:
            self.request.settimeout(_IDLE_TIMEOUT_S)
            head, rest = _head(self.request)
            if head:
                self._serve(gate, head, rest)
        except (OSError, SourceError) as err:
            _log.debug("a connection of the browser ended: %s", err)
        finally:
            gate.drop(self.request)

    def _serve(self, gate: Gate, head: bytes, rest: bytes) -> None:
        line, _, fields = head.partition(b"\r\n")
        try:
            method, target, version = line.decode("ascii").split(" ")
            is_tunnel = method == "CONNECT"
            url = split_url(f"https://{target}" if is_tunnel else target)
        except (ValueError, SourceError) as err:
            self._reply("400 Bad Request", f"{err}")
            return
        host, port = url.hostname or "", port_of(url)
        if host == LOCAL_HOST:
            self._local(gate, "" if is_tunnel else urlsplit(target).path)
            return
        if host in _BROWSER_HOSTS:
            self._reply("403 Forbidden", "not part of the page")
            return
        try:
            link = gate.open(host, port)
        except SourceError as err:
            gate.refuse(str(err))
            self._reply("403 Forbidden", str(err))
            return
        gate.track(link)
        try:
            if is_tunnel:
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                path = url._replace(scheme="", netloc="", fragment="").geturl()
                link.sendall(f"{method} {path} {version}\r\n".encode("ascii"))
                link.sendall(_fields(fields) + b"\r\n\r\n" + rest)
            _pump(gate, self.request, link, is_tunnel=is_tunnel)
        finally:
            gate.drop(link)

    def _local(self, gate: Gate, path: str) -> None:
        found = gate.page.get(path or "/") if gate.page else None
        if found is None:
            if path != "/favicon.ico":  # browsers ask for one unbidden
                gate.refuse(f"{path} is not in the folder of the page.")
            self._reply("404 Not Found", "no such file in the folder of the page")
            return
        media, data = found
        extra = f"Content-Security-Policy: {_POLICY}\r\n"
        if data.startswith(_FONT_MARKS):  # fonts load across origins only where this is said
            extra += "Access-Control-Allow-Origin: *\r\n"
        self._reply("200 OK", data, media, extra)

    def _reply(
        self, status: str, body: str | bytes, media: str = "text/plain", extra: str = ""
    ) -> None:
        data = body.encode() if isinstance(body, str) else body
        head = f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {len(data)}\r\n"
        self.request.sendall(f"{head}{extra}Connection: close\r\n\r\n".encode() + data)


def _head(link: socket.socket) -> tuple[bytes, bytes]:
    """Read up to the end of a head; what came after it too. Empty where there is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = link.recv(_CHUNK)
        data += part
        if not part or len(data) > _MAX_HEAD_BYTES:
            return b"", b""
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _fields(fields: bytes) -> bytes:
    """Fields of a head, so that the connection ends after one answer."""
    kept = [
        line
        for line in fields.split(b"\r\n")
        if line.partition(b":")[0].strip().lower()
        not in (b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive")
    ]
    return b"\r\n".join([*kept, b"Connection: close"])


def _pump(gate: Gate, browser: socket.socket, server: socket.socket, *, is_tunnel: bool) -> None:
    """Carry bytes both ways until one side ends, falls silent, or the page's bytes are spent."""
    first = not is_tunnel
    until = time.monotonic() + gate.options.time_limit_s
    while (left := min(_IDLE_TIMEOUT_S, until - time.monotonic())) > 0:
        ready, _, _ = select.select([browser, server], [], [], left)
        if not ready:
            return
        for link in ready:
            if link is server and first:
                first = False
                head, rest = _head(server)
                line, _, fields = head.partition(b"\r\n")
                data = line + b"\r\n" + _fields(fields) + b"\r\n\r\n" + rest
            else:
                data = link.recv(_CHUNK)
            if not data:
                return
            if link is server and not gate.count(len(data)):
                limit = f"{gate.options.max_bytes >> 10:,} KiB"
                gate.refuse(f"the page loads over {limit}; raise max_bytes.")
                return
            (browser if link is server else server).sendall(data)


def _shut(link: socket.socket) -> None:
    try:
        link.shutdown(socket.SHUT_RDWR)
    except OSError:  # closed by the other side
        return
