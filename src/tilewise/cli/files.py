"""Writing output files whole or not at all."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tilewise.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image

_FORMATS: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def check_picture_path(path: Path) -> None:
    """See that a picture can be written there, before the work that makes it.

    Raises:
        ConfigError: another kind of file, no such folder, or no right to write.
    """
    if path.suffix.lower() not in _FORMATS:
        raise ConfigError(
            f"{path}: the ending is {path.suffix!r}; pictures are written as {', '.join(_FORMATS)}."
        )
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; give the name of a file.")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ConfigError(f"{path}: the folder {folder} does not exist; make it first.")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{path}: the folder {folder} may not be written; choose another.")


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture in the format of the path's ending; raises ConfigError as ``write_whole``."""
    data, kind = BytesIO(), _FORMATS[path.suffix.lower()]
    if kind == "JPEG":  # which has no palettes
        picture = picture.convert("RGB")
    picture.save(data, kind, optimize=True)
    write_whole(path, data.getvalue())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that at any moment the old one or the new one is there, never a part.

    Raises:
        ConfigError: it cannot be written; what was there before is still there.
    """
    target = path.resolve()  # a link keeps pointing to its file
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if target.exists() and not target.is_file():  # a device or a pipe
            target.write_bytes(data)
            return
        try:
            part.write_bytes(data)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as err:
        raise ConfigError(f"{path}: cannot be written ({err.strerror}); choose another.") from err


def numbered(path: Path, index: int, count: int | None) -> Path:
    """``tiles.png`` for the only picture, ``tiles-2.png`` for the second (index 1) of several.

    ``count`` is how many there will be, None where that is not known.
    """
    return path if count == 1 else path.with_stem(f"{path.stem}-{index + 1}")


def shown(text: str) -> str:
    """A message or a name of a file fit for a terminal, in one line: what is no sign is escaped."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
