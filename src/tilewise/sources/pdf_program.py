"""The program that holds PDFium, which may crash or never end on hostile files; run by path.

It answers requests from one socket, one at a time: lines of JSON, each after the descriptor of a
file where one is needed. It ends when the socket closes or the process that started it is gone.
"""

import contextlib
import ctypes
import json
import mmap
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_SCAN_OBJECTS = 5000  # an invisible text layer has one for each word
_SCAN_FILLS = 0.7
_LOOK_S = 0.5


def main() -> None:
    """Serve the socket of the order in the first argument, JSON, until it closes."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    sys.path[:] = order["path"]
    for which, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, order["memory_bytes"]),
    ):
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with socket.socket(fileno=order["socket"]) as link:
        server = _Server()
        while (asked := _received(link)) is not None:
            request, descriptors = asked
            try:
                reply = server.reply(request, descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
            link.sendall(json.dumps(reply).encode() + b"\n")


def _end_with(parent: int) -> None:
    """End when the parent is gone, also in the middle of a page."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)


def _received(link: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """One request, or None when there are no more."""
    line, found = b"", []
    while not line.endswith(b"\n"):
        part, descriptors, _, _ = socket.recv_fds(link, 1 << 16, 4)
        if not part:
            return None
        line += part
        found += descriptors
    return json.loads(line), found


class _Server:
    """Open documents by the numbers that they were given."""

    def __init__(self) -> None:
        import pypdfium2  # noqa: PLC0415, the path to it is known only now
        import pypdfium2.raw  # noqa: PLC0415

        self._api: Any = pypdfium2
        self._raw: Any = pypdfium2.raw
        self._documents: dict[int, Any] = {}
        self._ways: dict[str, Callable[..., Any]] = {
            "open": self._open,
            "size": self._size,
            "scan": self._scan,
            "render": self._render,
            "close": self._close,
        }

    def reply(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        """The value asked for, or what PDFium says is wrong."""
        way = self._ways[request.pop("way")]
        try:
            return {"value": way(*descriptors, **request)}
        except self._api.PdfiumError as err:
            return {"error": str(err), "code": getattr(err, "err_code", None)}

    def _open(self, descriptor: int, document: int, password: str | None) -> int:
        """Load a document; the number of its pages."""
        # PDFium forgets no error until the next: with this one, "no such file", others are new
        self._raw.FPDF_LoadDocument(b"", None)
        room = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
        data = (ctypes.c_char * len(room)).from_buffer(room)
        opened = self._api.PdfDocument(data, password=password)
        opened.init_forms()  # so that what was filled in is drawn
        self._documents[document] = opened
        return len(opened)

    def _close(self, document: int) -> None:
        opened = self._documents.pop(document, None)
        if opened is not None:
            opened.close()

    def _size(self, document: int, index: int) -> tuple[float, float]:
        width, height = self._documents[document].get_page_size(index)
        return width, height

    def _render(self, descriptor: int, document: int, index: int, width: int, height: int) -> None:
        """Draw into a file of ``3 * width * height`` bytes, RGB.

        To exactly this size; pypdfium2's own scaling would round each side up.
        """
        opened, raw = self._documents[document], self._raw
        page = opened[index]
        room = mmap.mmap(descriptor, 3 * width * height)
        pixels = (ctypes.c_ubyte * len(room)).from_buffer(room)
        bitmap = raw.FPDFBitmap_CreateEx(width, height, raw.FPDFBitmap_BGR, pixels, 3 * width)
        if not bitmap:
            raise self._api.PdfiumError("no room for its picture")
        try:
            raw.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
            flags = raw.FPDF_ANNOT | raw.FPDF_REVERSE_BYTE_ORDER
            place = (bitmap, page, 0, 0, width, height, 0, flags)
            raw.FPDF_RenderPageBitmap(*place)
            if opened.formenv:
                raw.FPDF_FFLDraw(opened.formenv, *place)
        finally:
            raw.FPDFBitmap_Destroy(bitmap)
            page.close()
            del pixels
            with contextlib.suppress(BufferError):
                room.close()

    def _scan(self, document: int, index: int) -> bool:
        """Whether a page shows one picture that fills it, and no text but an invisible layer."""
        page, raw = self._documents[document][index], self._raw
        try:
            width, height = page.get_mediabox()[2:]
            count = raw.FPDFPage_CountObjects(page)
            if count > _SCAN_OBJECTS:
                return False
            filled = 0.0
            for each in (raw.FPDFPage_GetObject(page, i) for i in range(count)):
                kind = raw.FPDFPageObj_GetType(each)
                if kind == raw.FPDF_PAGEOBJ_IMAGE:
                    filled = max(filled, self._area(each))
                elif kind != raw.FPDF_PAGEOBJ_TEXT or self._is_seen(each):
                    return False
            return bool(filled >= _SCAN_FILLS * width * height)
        finally:
            page.close()

    def _area(self, item: Any) -> float:
        edges = [ctypes.c_float() for _ in range(4)]
        self._raw.FPDFPageObj_GetBounds(item, *map(ctypes.byref, edges))
        left, bottom, right, top = (edge.value for edge in edges)
        return float(abs((right - left) * (top - bottom)))

    def _is_seen(self, item: Any) -> bool:
        mode = self._raw.FPDFTextObj_GetTextRenderMode(item)
        return bool(mode != self._raw.FPDF_TEXTRENDERMODE_INVISIBLE)


if __name__ == "__main__":
    main()
