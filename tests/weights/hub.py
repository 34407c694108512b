"""A hub of one model on this machine: the few addresses that a download asks, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves ``files`` as those of ``name``; notes what was asked for.

    ``cut`` is the number of bytes after which the next file of weights breaks off, once.
    """

    daemon_threads = True

    def __init__(self, name: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name, self.files = name, files
        self.cut: int | None = None
        self.got: list[tuple[str, str, str | None]] = []

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running(name: str, files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    with Hub(name, files) as hub:
        thread = Thread(target=hub.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, *, has_body: bool) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        hub.got.append((self.command, path, self.headers.get("Range")))
        if path.startswith(f"/api/models/{hub.name}"):
            self._send(200, json.dumps(self._info()).encode(), {}, has_body)
        elif path.startswith(f"/{hub.name}/resolve/"):
            self._file(path.rpartition("/")[2], has_body)
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, has_body)

    def _info(self) -> dict[str, Any]:
        siblings = [{"rfilename": n, "size": len(d)} for n, d in self.server.files.items()]
        return {"id": self.server.name, "sha": COMMIT, "siblings": siblings}

    def _file(self, name: str, has_body: bool) -> None:
        data = self.server.files.get(name)
        if data is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, has_body)
            return
        headers = {
            "ETag": f'"{sha256(data).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        wanted = self.headers.get("Range")
        if has_body and wanted:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._send(206, data[start:], headers, has_body)
        else:
            self._send(200, data, headers, has_body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], has_body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        cut = self.server.cut
        if not has_body:
            return
        if cut is not None and len(data) > cut:
            self.server.cut = None
            self.wfile.write(data[:cut])
            self.close_connection = True  # as a line that breaks
            return
        self.wfile.write(data)
