"""From anything a user may pass to an open source of pages, picked by content."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilewise.errors import SourceError
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.sources.image import ImageSource
from tilewise.sources.memory import open_array, open_picture
from tilewise.sources.pdf import PdfSource
from tilewise.sources.source import Source

SourceLike = str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | NDArray[Any]
"""A path, the bytes of a file, a PIL image, or an array (see ``memory.open_array``)."""

MAX_PIPE_BYTES: Final = 1 << 30
"""Most that is read from a pipe; a file is not limited, as it is not read whole."""


def _open_image(file: BinaryIO, name: str, kind: str, password: str | None) -> Source:
    return ImageSource(file, name, kind)


def _open_pdf(file: BinaryIO, name: str, kind: str, password: str | None) -> Source:
    return PdfSource(file, name, password)


OPENERS: Final[dict[str, Callable[[BinaryIO, str, str, str | None], Source]]] = {
    "PNG": _open_image,
    "JPEG": _open_image,
    "WebP": _open_image,
    "TIFF": _open_image,
    "BMP": _open_image,
    "GIF": _open_image,
    "AVIF": _open_image,
    "PDF": _open_pdf,
}
"""What tilewise reads: kind, as ``content.kind_of`` names it -> what opens it."""

_READABLE: Final = f"images ({', '.join(kind for kind in OPENERS if kind != 'PDF')}) and PDF"


def open_source(
    source: SourceLike, *, password: str | None = None, name: str | None = None
) -> Source:
    """Open a source; headers are read and checked, nothing is decoded.

    Args:
        source: path, bytes of a file, PIL image or array.
        password: opens an encrypted PDF; ignored by everything else.
        name: what messages call the source, instead of its path or "the input".

    Returns:
        An open source; use it in a ``with`` block so that its file is closed.

    Raises:
        SourceError: there is no such file, it cannot be read, it is neither an image nor a PDF,
            it is damaged, empty, locked, or declares more pixels than ``image.MAX_PIXELS``.
    """
    if isinstance(source, Image.Image):
        return open_picture(source, name or "the given picture")
    if isinstance(source, np.ndarray):
        return open_array(source, name or "the given array")
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_file(BytesIO(source), name or "the input", password)
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return _open_file(_open_path(path, name or path), name or path, password)
    raise SourceError(
        f"a source is of type {type(source).__name__}; a path, bytes, a PIL image or a NumPy "
        "array is allowed."
    )


def _open_file(file: BinaryIO, name: str, password: str | None) -> Source:
    try:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        kind = kind_of(head)
        if kind not in OPENERS:
            raise SourceError(f"{name} is {kind}; this version reads {_READABLE}.")
        return OPENERS[kind](file, name, kind, password)
    except BaseException:
        file.close()
        raise


def _open_path(path: str, name: str) -> BinaryIO:
    """Open a regular file, or read a pipe whole, as its readers must seek."""
    if path.lower().startswith(("http://", "https://")):
        raise SourceError(f"{name} is a web address; save the file and give its path.")
    if not path:
        raise SourceError("the path is empty; give a file, or - for standard input.")
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise SourceError(f"{name} is a folder; give the files inside it.")
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
