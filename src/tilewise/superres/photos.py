"""Photographs of a folder, read as they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tilewise.errors import SourceError
from tilewise.records import Pixels

ENDINGS: Final = frozenset((".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp"))

KEPT_BYTES: Final = 512 << 20
"""Decoded photographs that are kept."""

ROOM: Final = 1.5
"""How much longer and wider than needed a photograph stays, so that places can be drawn."""


class Photos:
    """The photographs of a folder and of those below it, by number, sorted by their paths.

    Args:
        paths: of the files.
        least: rows and columns, the smaller of which counts first, that a photograph must have
            after shrinking. Pictures of cameras are blurred by the mosaic and the lens, so each
            is shrunk by a whole number while it stays ``ROOM`` times as large.
        is_shrunk: shrink so.

    Raises:
        SourceError: there is none.
    """

    def __init__(
        self, paths: Sequence[Path], least: tuple[int, int], *, is_shrunk: bool = True
    ) -> None:
        self.paths = tuple(paths)
        self._least, self._is_shrunk = least, is_shrunk
        self._kept: OrderedDict[int, Pixels] = OrderedDict()
        if not self.paths:
            raise SourceError("there are no photographs; give a folder with JPEG, PNG or TIFF.")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Pixels:
        """A photograph, uint8 (rows, cols, 3).

        Raises:
            SourceError: it cannot be read, or is too small.
        """
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        photo = self._kept[number] = self._fitted(read_photo(self.paths[number]), number)
        while len(self._kept) > 1 and sum(p.nbytes for p in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return photo

    def _fitted(self, photo: Pixels, number: int) -> Pixels:
        least, most = sorted(photo.shape[:2])
        wanted, wider = sorted(self._least)
        if least < wanted or most < wider:
            raise SourceError(
                f"{self.paths[number]}: is {photo.shape[1]}x{photo.shape[0]} px; {wider}x{wanted} "
                "px or more are needed. Take it out of the folder, or make crops smaller."
            )
        if photo.shape[0] > photo.shape[1]:
            photo = np.ascontiguousarray(photo.transpose(1, 0, 2))
        by = int(min(least / wanted, most / wider) / ROOM) if self._is_shrunk else 1
        if by > 1:
            whole = photo[: photo.shape[0] // by * by, : photo.shape[1] // by * by]
            size = (whole.shape[1] // by, whole.shape[0] // by)
            photo = np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BOX))
        return photo


def photo_paths(folder: str | Path) -> list[Path]:
    """Photographs of a folder and of folders in it, sorted.

    Raises:
        SourceError: no such folder, or none in it.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise SourceError(f"{folder}: there is no such folder of photographs; check the path.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not found:
        raise SourceError(
            f"{folder}: holds no photographs; files that end in "
            f"{', '.join(sorted(ENDINGS))} are read."
        )
    return found


def read_photo(path: Path) -> Pixels:
    """Read a photograph upright, as RGB of 8 bits.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as err:
        raise SourceError(
            f"{path}: cannot be read as a photograph ({err}); take it out of the folder."
        ) from err
