"""Decoders of others in a process of their own, started with the first file and shared by all.

On a hostile file PDFium or FFmpeg may crash, take all memory, or never come back; none of it can
be undone within a process. Here the program is ended instead, and started again for the next
request.
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
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from tilewise.sources.processes import cpu_seconds
from tilewise.sources.program import environment

PROGRAM: Final = Path(__file__).with_name("decoder_program.py")
"""Decodes PDF files and videos; another program may serve other kinds with its ``main``."""

_LOOK_S: Final = 0.1
_numbers = itertools.count()


class FaultError(Exception):
    """What a decoder says of a file; ``code`` tells the kind where there is one."""

    def __init__(self, said: str, code: int | str | None) -> None:
        super().__init__(said)
        self.code = code


class LostError(Exception):
    """A decoder did not live through a request; the text goes on from "this page"."""


class Document:
    """A file that a decoder may open, in one process after another."""

    def __init__(self, file: BinaryIO, **how: Any) -> None:
        """Take a file with a descriptor, which stays the caller's, and how to open it."""
        self.number = next(_numbers)
        self.file = file
        self.how = how


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request, such as one page, may take.

    ``cpu_s``: processor time. ``wall_s``: time that goes by, on a machine that is busy with other
    things. ``memory_bytes``: of the program.
    """

    cpu_s: float
    wall_s: float = 180.0
    memory_bytes: int = 1600 << 20


class _Program:
    """One running program and its socket."""

    def __init__(self, kind: str, name: str, limits: Limits, program: Path) -> None:
        self.limits = limits
        self._name = name
        self._link, theirs = socket.socketpair()
        order = {
            "kind": kind,
            "socket": theirs.fileno(),
            "memory_bytes": limits.memory_bytes,
            "path": [str(Path(part).absolute()) for part in sys.path],
        }
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(program), json.dumps(order)],
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
        return self.owner == os.getpid() and self.process.poll() is None

    def ask(
        self, document: Document, way: str, descriptor: int | None, more: dict[str, Any]
    ) -> Any:
        """Open the document if need be, and ask."""
        if document.number not in self._open:
            opening = {"document": document.number, **document.how}
            found = self._asked("open", document.file.fileno(), opening)
            self._open.add(document.number)
            if way == "open":
                return found
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
            self.process.kill()
            self.process.wait()
        else:
            self.process.returncode = 0  # another's child, of which this copy knows nothing

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
            raise LostError(f"makes {self._name} crash or run out of memory")
        reply = json.loads(answer)
        if "error" in reply:
            raise FaultError(reply["error"], reply["code"])
        return reply["value"]

    def _answer(self) -> bytes:
        """The line that comes back, empty if the program is gone."""
        began, used_s = time.monotonic(), cpu_seconds(self.process.pid)
        answer = b""
        while not answer.endswith(b"\n"):
            if select.select([self._link], [], [], _LOOK_S)[0]:
                part = self._link.recv(1 << 16)
                if not part:
                    return b""
                answer += part
            elif cpu_seconds(self.process.pid) - used_s > self.limits.cpu_s:
                raise LostError(f"takes over {self.limits.cpu_s:g} s of processor time")
            elif time.monotonic() - began > self.limits.wall_s:
                raise LostError(f"takes over {self.limits.wall_s:g} s")
        return answer


class Decoder:
    """One decoder, by the program that runs when it is asked something."""

    def __init__(self, kind: str, name: str, limits: Limits, program: Path = PROGRAM) -> None:
        """``kind`` is a part of ``program``, ``name`` what messages call it."""
        self.limits = limits
        self.running: _Program | None = None
        self._kind = kind
        self._name = name
        self._program = program
        self._guard = threading.RLock()
        atexit.register(self.end)

    def ask(self, document: Document, way: str, descriptor: int | None = None, **more: Any) -> Any:
        """Ask, one request at a time, and get the answer.

        Args:
            document: what it is about; opened when it is not open.
            way: what to do, as in ``decoder_program``; "open" gives what is known of the file.
            descriptor: of the file to draw into.
            more: further arguments.

        Raises:
            FaultError: the decoder refuses the document or the page.
            LostError: it crashed or came to no end; the program has ended.
        """
        with self._guard:
            if self.running is not None and not self.running.is_usable:
                self.end()
            if self.running is None:
                self.running = _Program(self._kind, self._name, self.limits, self._program)
            self.running.limits = self.limits
            try:
                return self.running.ask(document, way, descriptor, more)
            except FaultError:
                raise
            except BaseException:  # also an interrupt: the answer would be taken for the next one
                self.end()
                raise

    def forget(self, document: Document) -> None:
        """Let go of a document."""
        with self._guard:
            if self.running is not None and self.running.owner == os.getpid():
                with suppress(FaultError, LostError, OSError):
                    self.running.forget(document)

    def end(self) -> None:
        """End the program; the next request starts another."""
        with self._guard:
            running, self.running = self.running, None
            if running is not None:
                running.end()


def with_descriptor(file: BinaryIO) -> BinaryIO:
    """The file, or where it is bytes in memory one that another process may open too."""
    if not isinstance(file, BytesIO):
        return file
    copy = room()
    with file:
        copy.write(file.getbuffer())
    copy.flush()
    return copy


def room() -> BinaryIO:
    """A file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("tilewise"), "w+b")
    return cast(BinaryIO, tempfile.TemporaryFile())
