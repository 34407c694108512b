"""One process that reads damaged files: cases come in as lines of JSON, results go out.

A case is a group, a number and the seed of the run; the damaged file follows from the three.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import socket
import sys
import tempfile
import threading
import traceback
import zipfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Final
from xml.parsers.expat import ExpatError

from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import seeds
from tilewise.errors import TilewiseError
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.sources.office import FILTERS, _copied
from tilewise.sources.office_kinds import kind_inside
from tilewise.sources.pages import WEB_KINDS, open_source
from tilewise.sources.source import Source
from tilewise.sources.spreadsheet import fit_sheets
from tilewise.sources.url import fetch
from tilewise.sources.web_options import WebOptions

MOST_MEMORY_BYTES: Final = 8 << 30
"""What the system lets a worker have, so that the machine survives what the limit finds."""

_RASTER: Final = (1100, 1500)
_WEB: Final = WebOptions(time_limit_s=15, network=False, width=800, scale=1.0)


def damaged(group: str, number: int, seed: int) -> bytes:
    """The file of a case."""
    return mutated(seeds(group), Random(f"{seed}:{group}:{number}"))


def read(group: str, data: bytes) -> str:
    """Read a file as a user would; "pages", or the sentence that refuses it.

    Raises:
        AssertionError: the sentence is none.
        Anything else: that no user should see.
    """
    try:
        _READERS[group](data)
    except TilewiseError as err:
        said = str(err)
        assert said, "no words"
        assert "\n" not in said, said
        assert " at 0x" not in said, said
        assert len(said) < 2000, said
        return said
    return "pages"


def _pages(data: bytes) -> None:
    _first_pages(open_source(data))


def _told(data: bytes) -> None:
    """What it is, and its pages where no other program is needed for them."""
    head = data[:HEAD_BYTES]
    kind = kind_inside(BytesIO(data), kind_of(head), head, "the input")
    if kind not in FILTERS and kind not in WEB_KINDS:
        _pages(data)


def _first_pages(opened: Source) -> None:
    with opened as source:
        for number in range(1, min(source.count, 3) + 1):
            width, height, unit = source.size(number)
            page = source.page(number, lambda w, h: _RASTER)
            is_same = (page.width, page.height) == (width, height)
            assert unit == "pt" or is_same or page.turned_deg, (width, height, page.pixels.shape)


def _web_page(data: bytes) -> None:
    _first_pages(open_source(data, web=_WEB))


def _office_parts(data: bytes) -> None:
    """All that tilewise itself does with an office file before and between runs of LibreOffice."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in")
        path.write_bytes(data)
        for name in ("in", "in.csv", "in.txt"):
            head = data[:HEAD_BYTES]
            kind = kind_inside(BytesIO(data), kind_of(head), head, name)
            if kind in FILTERS:
                _copied(BytesIO(data), Path(folder), name, kind)
            if kind == "ODS":
                with suppress(*_NOT_ODS):
                    fit_sheets(path, Path(folder, "out"))


_NOT_ODS: Final = (ValueError, KeyError, ExpatError, zipfile.BadZipFile)
"""What ``office`` catches of ``fit_sheets``."""


def _address(data: bytes) -> None:
    """Ask a server that answers with these bytes, whatever they are; or open a data: address."""
    if data[:5] == b"data:":
        found = fetch(data.decode("latin-1"), _WEB)
    else:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = threading.Thread(target=_answer, args=(listening, data))
            server.start()
            port = listening.getsockname()[1]
            options = WebOptions(allow_private=True, time_limit_s=5)
            try:
                found = fetch(f"http://127.0.0.1:{port}/", options)
            finally:
                with suppress(OSError):
                    listening.shutdown(socket.SHUT_RDWR)
                server.join()
    if found.kind != "HTML":
        _told(found.data)


def _answer(listening: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        while True:
            link, _ = listening.accept()
            with link, suppress(OSError):
                link.recv(65536)
                link.sendall(data)
                link.shutdown(socket.SHUT_WR)
                link.settimeout(1)
                while link.recv(65536):
                    pass


_READERS: Final[dict[str, Callable[[bytes], None]]] = {
    "images": _pages,
    "pdf": _pages,
    "bytes": _told,
    "office parts": _office_parts,
    "addresses": _address,
    "djvu": _pages,
    "videos": _pages,
    "libreoffice": _pages,
    "chromium": _web_page,
}


def main() -> None:
    """Work until the input ends."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no result
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        case = json.loads(line)
        _forget_peak()
        try:
            data = damaged(case["group"], case["number"], case["seed"])
            said, is_wrong = read(case["group"], data), False
        except BaseException:  # noqa: BLE001, the very thing that is looked for
            said, is_wrong = traceback.format_exc(), True
        print(json.dumps({"said": said, "is_wrong": is_wrong, "peak": _peak_bytes()}), file=out)


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    with suppress(OSError, IndexError, ValueError):
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
