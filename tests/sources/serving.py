"""A real web server on this machine, whose pages are a dict that a test may change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
Answer = str | bytes | Reply | Callable[[BaseHTTPRequestHandler], object]


class Site:
    """Answers by path; ``asked`` lists the paths that were asked for, in order."""

    def __init__(self, host: str, port: int) -> None:
        self.base = f"http://{host}:{port}"
        self.pages: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.over = threading.Event()  # ends answers that would never end

    def __getitem__(self, path: str) -> str:
        return self.base + path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self.site.asked.append(self.path)
        answer = self.site.pages.get(self.path.partition("?")[0], (404, {}, b"no such page"))
        if callable(answer):
            self.close_connection = True
            answer(self)
            return
        status, fields, body = _reply(answer)
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | fields).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Tests are quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: Any) -> None:
        """A client that hangs up early is what many tests are about."""


def _reply(answer: str | bytes | Reply) -> Reply:
    if isinstance(answer, str):
        return 200, {"Content-Type": "text/html; charset=utf-8"}, answer.encode()
    return (200, {}, answer) if isinstance(answer, bytes) else answer


def redirect(target: str) -> Reply:
    """An answer that leads elsewhere."""
    return 302, {"Location": target}, b""


@contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Site]:
    """A server that lives as long as the block."""

    class Handler(_Handler):
        """Knows the site of this server alone."""

    with _Server((host, 0), Handler) as server:
        site = Handler.site = Site(host, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.over.set()
            server.shutdown()
            thread.join()
