"""From anything a user may pass to an open source of pages, picked by content."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilewise.errors import SourceError
from tilewise.sources.addresses import is_address, shortened
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.sources.djvu import DjvuSource
from tilewise.sources.image import ImageSource
from tilewise.sources.memory import open_array, open_picture
from tilewise.sources.office import FILTERS, open_office
from tilewise.sources.office_kinds import kind_inside
from tilewise.sources.pdf import PdfSource
from tilewise.sources.scan import StraightSource
from tilewise.sources.source import Source
from tilewise.sources.url import fetch
from tilewise.sources.video import VIDEO_KINDS, FrameFolder, VideoSource
from tilewise.sources.video_options import VideoOptions
from tilewise.sources.web import open_html, open_mhtml, open_page_at
from tilewise.sources.web_options import WebOptions

SourceLike = str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | NDArray[Any]
"""A path or web address, the bytes of a file, a PIL image, or an array (``memory.open_array``)."""

MAX_PIPE_BYTES: Final = 1 << 30
"""Most that is read from a pipe; a file is not limited, as it is not read whole."""


def _open_image(file: BinaryIO, name: str, kind: str, password: str | None) -> Source:
    return ImageSource(file, name, kind)


def _open_pdf(file: BinaryIO, name: str, kind: str, password: str | None) -> Source:
    return PdfSource(file, name, password)


def _open_djvu(file: BinaryIO, name: str, kind: str, password: str | None) -> Source:
    return DjvuSource(file, name)


def _open_office(file: BinaryIO, name: str, kind: str, password: str | None) -> Source:
    return open_office(file, name, kind)


OPENERS: Final[dict[str, Callable[[BinaryIO, str, str, str | None], Source]]] = {
    "PNG": _open_image,
    "JPEG": _open_image,
    "WebP": _open_image,
    "TIFF": _open_image,
    "BMP": _open_image,
    "GIF": _open_image,
    "AVIF": _open_image,
    "HEIC": _open_image,
    "DjVu": _open_djvu,
    "PDF": _open_pdf,
    **dict.fromkeys(FILTERS, _open_office),
}
"""What tilewise reads: kind, as ``content.kind_of`` names it -> what opens it."""

WEB_KINDS: Final = ("HTML", "MHTML")
"""Kinds that Chromium draws; they are opened with ``WebOptions``."""

_READABLE: Final = (
    f"images ({', '.join(k for k in OPENERS if k != 'PDF' and k not in FILTERS)}), PDF, web pages "
    f"({', '.join(WEB_KINDS)}), videos ({', '.join(VIDEO_KINDS)}) and office files "
    f"({', '.join(FILTERS)})"
)


class _How(NamedTuple):
    """What ``open_source`` was told about files."""

    password: str | None
    web: WebOptions
    straighten: bool
    video: VideoOptions | None


def open_source(
    source: SourceLike,
    *,
    password: str | None = None,
    name: str | None = None,
    web: WebOptions | None = None,
    straighten: bool = True,
    video: VideoOptions | None = None,
) -> Source:
    """Open a source; headers are read and checked, and little but web pages is decoded.

    Args:
        source: path, address (http, https or data), bytes of a file, PIL image or array.
        password: opens an encrypted PDF; ignored by everything else.
        name: what messages call the source, instead of its path or "the input".
        web: how addresses are fetched and web pages drawn; default, as ``WebOptions`` has it.
        straighten: put scanned pages of files straight (``scan.straighten``); pictures and arrays
            in memory stay as they are.
        video: which frames of a video are pages; default, as ``VideoOptions`` has it. A folder of
            pictures is a video where this is given, and no source otherwise.

    Returns:
        An open source; use it in a ``with`` block so that its file is closed.

    Raises:
        SourceError: there is no such file or page, it cannot be read, it is of no kind that is
            read, damaged, empty, locked, or declares more pixels than ``image.MAX_PIXELS``.
        MissingExtraError: a program or package that this kind needs is not installed.
    """
    how = _How(password, web or WebOptions(), straighten, video)
    if isinstance(source, Image.Image):
        return open_picture(source, name or "the given picture")
    if isinstance(source, np.ndarray):
        return open_array(source, name or "the given array")
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_file(BytesIO(source), name or "the input", how)
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        if isinstance(source, str) and is_address(path):
            return _open_address(path, name or shortened(path, 100), how)
        if video is not None and path and Path(path).is_dir():
            return FrameFolder(Path(path), name or path, video)
        file = _open_path(path, name or path)
        return _open_file(file, name or path, how, Path(path).parent)
    raise SourceError(
        f"a source is of type {type(source).__name__}; a path, bytes, a PIL image or a NumPy "
        "array is allowed."
    )


def _open_address(url: str, name: str, how: _How) -> Source:
    """Fetch an address; a page is then loaded by Chromium itself, with all that belongs to it."""
    found = fetch(url, how.web)
    if found.kind == "HTML":
        if url[:5].lower() == "data:":
            return open_html(found.data, None, name, how.web)
        return open_page_at(found.url, name, how.web, url)
    return _open_file(BytesIO(found.data), name, how)


def _open_file(file: BinaryIO, name: str, how: _How, folder: Path | None = None) -> Source:
    """Open a file by its content; ``folder`` is where a web page may load files from."""
    try:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        kind = kind_inside(file, kind_of(head), head, name)
        if kind in WEB_KINDS:
            data = file.read()
            file.close()
            if kind == "MHTML":
                return open_mhtml(data, name, how.web)
            return open_html(data, folder, name, how.web)
        if kind in VIDEO_KINDS:
            return VideoSource(file, name, kind, how.video)
        if kind not in OPENERS:
            advice = f"this version reads {_READABLE}" if head else "get it again"
            raise SourceError(f"{name} is {kind}; {advice}.")
        opened = OPENERS[kind](file, name, kind, how.password)
    except BaseException:
        file.close()
        raise
    return _put_straight(opened) if how.straighten and kind not in FILTERS else opened


def _put_straight(source: Source) -> Source:
    """Pages of an image file may be scans; of a PDF, those that are one picture."""
    return StraightSource(source, source.is_scan if isinstance(source, PdfSource) else None)


def _open_path(path: str, name: str) -> BinaryIO:
    """Open a regular file, or read a pipe whole, as its readers must seek."""
    if not path:
        raise SourceError("the path is empty; give a file, or - for standard input.")
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise SourceError(
                f"{name} is a folder; give the files inside it, or --frames if they are one video."
            )
        if stat.S_ISFIFO(mode):
            return BytesIO(_read_pipe(path, name))
        if not stat.S_ISREG(mode):
            raise SourceError(f"{name} is a device; give a file, or - for standard input.")
        return Path(path).open("rb")
    except FileNotFoundError as err:
        raise SourceError(f"{name} does not exist; check the path.") from err
    except PermissionError as err:
        raise SourceError(f"{name} may not be read by this user; check its permissions.") from err
    except (OSError, ValueError) as err:
        raise SourceError(f"{name} cannot be opened ({err}); check the path.") from err


def _read_pipe(path: str, name: str) -> bytes:
    with Path(path).open("rb") as pipe:
        data = pipe.read(MAX_PIPE_BYTES + 1)
    if len(data) > MAX_PIPE_BYTES:
        raise SourceError(
            f"{name} is a pipe with over {MAX_PIPE_BYTES >> 20} MiB; save it to a file first."
        )
    return data
