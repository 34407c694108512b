"""A stand-in for a language model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str], str | int]
"""From the user's text to the model's answer, or to the status of an error."""


def shouted(text: str) -> str:
    """The "translation": words in capitals, tags as they are."""
    return re.sub(r"<[^>]+>|[^<]+", lambda m: m[0] if m[0][0] == "<" else m[0].upper(), text)


class StandIn:
    """What was asked, and where."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[str] = []
        self.keys: list[str | None] = []


@contextmanager
def serving(answer: Answer = shouted) -> Iterator[StandIn]:
    """A server on this machine."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = body["messages"][1]["content"]
            with lock:
                found.asked.append(text)
                found.keys.append(self.headers.get("Authorization"))
                said = answer(text)
            assert self.path == "/v1/chat/completions"
            status = said if isinstance(said, int) else 200
            reply: dict[str, Any] = {"choices": [{"message": {"content": said}}]}
            data = json.dumps(reply if status == 200 else {"error": "no"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", "0")
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked may be gone
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = StandIn(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
