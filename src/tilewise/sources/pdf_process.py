"""PDFium in a process of its own, started with the first PDF and shared by all.

On a hostile page PDFium may crash, take all memory, or never come back; none of it can be undone
within a process. Here the program is ended instead, and started again for the next request.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from tilewise.sources.processes import cpu_seconds
from tilewise.sources.program import environment

MAX_CPU_S: Final = 18.0
"""Processor time for one request, such as one page."""

MAX_WALL_S: Final = 180.0
"""Time that goes by for one request, on a machine that is busy with other things."""

MAX_MEMORY_BYTES: Final = 1600 << 20

_PROGRAM: Final = Path(__file__).with_name("pdf_program.py")
_LOOK_S: Final = 0.1
_numbers = itertools.count()


class PdfFaultError(Exception):
    """What PDFium says of a document; ``code`` is its own for documents that do not open."""

    def __init__(self, said: str, code: int | None) -> None:
        super().__init__(said)
        self.code = code


class PdfLostError(Exception):
    """PDFium did not live through a request; the text goes on from "this page"."""


class Document:
    """A PDF file that PDFium may open, in one process after another."""

    def __init__(self, file: BinaryIO, password: str | None) -> None:
        """Take a file with a descriptor; it stays the caller's."""
        self.number = next(_numbers)
        self.file = file
        self.password = password


class _Pdfium:
    """One running program and its socket."""

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair()
        order = {
            "socket": theirs.fileno(),
            "memory_bytes": MAX_MEMORY_BYTES,
            "path": [str(Path(part).absolute()) for part in sys.path],
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_PROGRAM), json.dumps(order)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment(Path(tempfile.gettempdir())),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for tilewise, whose end ends it
            )
        self.owner = os.getpid()
        self._open: set[int] = set()

    @property
    def is_usable(self) -> bool:
        """Whether it runs, and belongs to this process and not to one that this is a fork of."""
        return self.owner == os.getpid() and self._process.poll() is None

    def ask(
        self, document: Document, way: str, descriptor: int | None, more: dict[str, Any]
    ) -> Any:
        """Open the document if need be, and ask."""
        if document.number not in self._open:
            count = self._asked(
                "open", document.file.fileno(),
                {"document": document.number, "password": document.password},
            )  # fmt: skip
            self._open.add(document.number)
            if way == "open":
                return count
        return self._asked(way, descriptor, {"document": document.number, **more})

    def forget(self, document: Document) -> None:
        """Close a document that is open here."""
        if document.number in self._open:
            self._open.discard(document.number)
            self._asked("close", None, {"document": document.number})

    def end(self) -> None:
        """Kill the program."""
        self._link.close()
        if os.getpid() == self.owner:
            self._process.kill()
            self._process.wait()
        else:
            self._process.returncode = 0  # another's child, of which this copy knows nothing

    def _asked(self, way: str, descriptor: int | None, more: dict[str, Any]) -> Any:
        line = json.dumps({"way": way, **more}).encode() + b"\n"
        try:
            sent = 0
            if descriptor is not None:
                sent = socket.send_fds(self._link, [line], [descriptor])
            self._link.sendall(line[sent:])
            answer = self._answer()
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
        if not answer:
            raise PdfLostError("makes PDFium crash or run out of memory")
        reply = json.loads(answer)
        if "error" in reply:
            raise PdfFaultError(reply["error"], reply["code"])
        return reply["value"]

    def _answer(self) -> bytes:
        """The line that comes back, empty if the program is gone."""
        began, used_s = time.monotonic(), cpu_seconds(self._process.pid)
        answer = b""
        while not answer.endswith(b"\n"):
            if select.select([self._link], [], [], _LOOK_S)[0]:
                part = self._link.recv(1 << 16)
                if not part:
                    return b""
                answer += part
            elif cpu_seconds(self._process.pid) - used_s > MAX_CPU_S:
                raise PdfLostError(f"takes over {MAX_CPU_S:g} s of processor time to draw")
            elif time.monotonic() - began > MAX_WALL_S:
                raise PdfLostError(f"takes over {MAX_WALL_S:g} s to draw")
        return answer


_GUARD: Final = threading.RLock()
_running: list[_Pdfium] = []


def ask(document: Document, way: str, descriptor: int | None = None, **more: Any) -> Any:
    """Ask PDFium, one request at a time, and get its answer.

    Args:
        document: what it is about; opened when it is not open.
        way: "open" (number of pages), "size", "scan" or "render", as in ``pdf_program``.
        descriptor: of the file to draw into.
        more: further arguments.

    Raises:
        PdfFaultError: PDFium refuses the document or the page.
        PdfLostError: it crashed or came to no end; the program has ended.
    """
    with _GUARD:
        if _running and not _running[0].is_usable:
            _running.pop().end()
        if not _running:
            _running.append(_Pdfium())
        try:
            return _running[0].ask(document, way, descriptor, more)
        except PdfFaultError:
            raise
        except BaseException:  # also an interrupt: the answer would be taken for the next one
            _end()
            raise


def forget(document: Document) -> None:
    """Let go of a document."""
    with _GUARD:
        if _running and _running[0].owner == os.getpid():
            with suppress(PdfFaultError, PdfLostError, OSError):
                _running[0].forget(document)


@atexit.register
def _end() -> None:
    with _GUARD:
        if _running:
            _running.pop().end()
