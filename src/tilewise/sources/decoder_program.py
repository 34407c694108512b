"""The program that holds PDFium or FFmpeg, which may crash or never end on hostile files.

Run by path, or by another such program with kinds of its own, it answers requests from one socket,
one at a time: lines of JSON, each after the descriptor of a file where one is needed. It ends when
the socket closes or the process that started it is gone.
"""

import array
import bisect
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
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

_SCAN_OBJECTS = 5000  # an invisible text layer has one for each word
_SCAN_FILLS = 0.7
_LOOK_S = 0.5


def main(kinds: "Mapping[str, Callable[[], Server]] | None" = None) -> None:
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
        server = (kinds or _KINDS)[order["kind"]]()
        while (asked := _received(link)) is not None:
            request, descriptors = asked
            try:
                reply = _reply(server, request, descriptors)
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


class Server(Protocol):
    """What answers: a function for each way of asking, and the errors that are answers too."""

    ways: dict[str, Callable[..., Any]]
    errors: tuple[type[Exception], ...]


def _reply(server: Server, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    """The value asked for, or what the decoder says is wrong."""
    way = server.ways[request.pop("way")]
    try:
        return {"value": way(*descriptors, **request)}
    except server.errors as err:
        said = getattr(err, "strerror", None) or str(err)
        return {"error": said, "code": getattr(err, "err_code", None)}


class _Pdfium:
    """Open PDF files by the numbers that they were given."""

    def __init__(self) -> None:
        import pypdfium2  # noqa: PLC0415, the path to it is known only now
        import pypdfium2.raw  # noqa: PLC0415

        self._api: Any = pypdfium2
        self._raw: Any = pypdfium2.raw
        self._documents: dict[int, Any] = {}
        self.errors: tuple[type[Exception], ...] = (pypdfium2.PdfiumError,)
        self.ways: dict[str, Callable[..., Any]] = {
            "open": self._open,
            "size": self._size,
            "scan": self._scan,
            "render": self._render,
            "close": self._close,
        }

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


_MAX_FRAMES = 5_000_000  # 23 hours at 60 a second
_MAX_FRAME_PIXELS = 64_000_000
_MOST_THREADS = 4


class _RefusedError(Exception):
    """A video that holds nothing to see; ``err_code`` says why."""

    def __init__(self, err_code: str) -> None:
        super().__init__(err_code)
        self.err_code = err_code


class _Ffmpeg:
    """Open videos by the numbers that they were given."""

    def __init__(self) -> None:
        import av  # noqa: PLC0415, the path to it is known only now

        av.logging.set_level(None)
        self._api: Any = av
        self._videos: dict[int, _Video] = {}
        self.errors: tuple[type[Exception], ...] = (
            # some of FFmpeg's numbers arrive as Python's own errors
            _RefusedError, av.error.FFmpegError, OSError, ValueError, MemoryError,
        )  # fmt: skip
        self.ways: dict[str, Callable[..., Any]] = {
            "open": self._open,
            "frame": self._frame,
            "close": self._close,
        }

    def _open(self, descriptor: int, document: int, form: str) -> dict[str, Any]:
        """Find the frames: how many, a second, and the size of the first one as it is shown."""
        video = _Video(self._api, os.dup(descriptor), form)
        self._videos[document] = video
        height, width = video.frame(0).shape[:2]
        return {"count": len(video.times), "rate": video.rate, "width": width, "height": height}

    def _frame(self, descriptor: int, document: int, index: int) -> None:
        """Draw a frame into a file of ``3 * width * height`` bytes, RGB."""
        os.pwrite(descriptor, self._videos[document].frame(index).data, 0)

    def _close(self, document: int) -> None:
        video = self._videos.pop(document, None)
        if video is not None:
            video.close()


class _Video:
    """One video whose packets have been walked through, so that frames have known places."""

    def __init__(self, api: Any, descriptor: int, form: str) -> None:
        self._api = api
        self._form = form
        self._file = os.fdopen(descriptor, "rb")
        self._begin()
        self.times, self._keys = self._walked()
        if not self.times:
            raise _RefusedError("empty")
        self.rate = self._rate()
        self._shown: tuple[int, Any] | None = None  # index and pixels of the last frame given
        self._size: tuple[int, int] | None = None  # of the first one; all others are made so
        self._begin()

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()
        self._file.close()

    def frame(self, index: int) -> Any:
        """Pixels of a frame, uint8 (height, width, 3), upright.

        Raises:
            _RefusedError: nothing can be decoded from there on.
        """
        if self._shown is None or self._shown[0] != index:
            self._shown = index, self._drawn(self._found(self.times[index]))
        return self._shown[1]

    def _begin(self) -> None:
        """Open the container at its start."""
        self._file.seek(0)
        self._container = self._api.open(
            self._file, format=self._form, metadata_errors="replace", buffer_size=1 << 18
        )
        seen = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & self._api.stream.Disposition.attached_pic
        ]
        if not seen:
            raise _RefusedError("sound")
        self._stream = seen[0]
        context = self._stream.codec_context
        if context is None:
            raise _RefusedError("codec")
        if context.width * context.height > _MAX_FRAME_PIXELS:
            raise _RefusedError("large")
        context.thread_count = min(_MOST_THREADS, os.cpu_count() or 1)
        self._stream.thread_type = "AUTO"
        self._frames = self._decoded()
        self._passed: int | None = None

    def _walked(self) -> tuple["array.array[int]", "array.array[int]"]:
        """Times of all frames, and of those that decoding may start at, both rising."""
        times, keys = array.array("q"), array.array("q")
        with contextlib.suppress(self._api.error.FFmpegError):  # what is there before damage counts
            for packet in self._container.demux(self._stream):
                at = packet.dts if packet.pts is None else packet.pts
                if at is None or packet.is_discard:
                    continue
                times.append(at)
                if packet.is_keyframe:
                    keys.append(at)
                if len(times) > _MAX_FRAMES:
                    raise _RefusedError("long")
        return array.array("q", sorted(times)), array.array("q", sorted(keys))

    def _rate(self) -> float:
        """Frames a second; from the times where the file does not say."""
        said = self._stream.average_rate or self._stream.guessed_rate
        if said:
            return float(said)
        length_s = float((self.times[-1] - self.times[0]) * (self._stream.time_base or 0))
        return (len(self.times) - 1) / length_s if length_s > 0 else 0.0

    def _found(self, time: int) -> Any:
        """The first frame from a time on, else the last there is.

        Decoding goes on from the last frame given where no key frame lies between.
        """
        key = bisect.bisect_right(self._keys, time) - 1
        start = self._keys[key] if key >= 0 else self.times[0]
        if self._passed is None or not start <= self._passed < time:
            self._seek(time)
        is_sought = self._passed is None
        first, found = self._until(time)
        if is_sought and (found is None or first > max(time, self.times[0])):
            self._begin()  # the file's index leads too far; from the start it takes longer
            _, found = self._until(time)
        if found is None:
            raise _RefusedError("damaged")
        return found

    def _seek(self, time: int) -> None:
        """Go to the key frame before a time, or to the start where the file has no way there."""
        if time > self.times[0]:
            with contextlib.suppress(self._api.error.FFmpegError):
                self._container.seek(time, stream=self._stream)
                self._frames, self._passed = self._decoded(), None
                return
        self._begin()

    def _until(self, time: int) -> tuple[int, Any]:
        """Time of the first frame from here, and the frame that ``_found`` wants."""
        first, last = None, None
        for frame in self._frames:
            at = frame.pts if frame.pts is not None else frame.dts
            if at is None:
                continue
            last, self._passed = frame, at
            first = at if first is None else first
            if at >= time:
                break
        return first or 0, last

    def _decoded(self) -> Iterator[Any]:
        """Frames from where the container stands; what is damaged gives none."""
        for packet in self._container.demux(self._stream):
            try:
                yield from packet.decode()
            except self._api.error.FFmpegError:
                continue

    def _drawn(self, frame: Any) -> Any:
        """RGB at the size of the first frame, turned as the file says."""
        import numpy as np  # noqa: PLC0415, the path to it is known only now

        self._size = self._size or (frame.width, frame.height)
        width, height = self._size
        pixels = frame.to_ndarray(format="rgb24", width=width, height=height)
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))


_KINDS: dict[str, Callable[[], Server]] = {"pdf": _Pdfium, "video": _Ffmpeg}


if __name__ == "__main__":
    main()
