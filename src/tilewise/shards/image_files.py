"""Images of documents as files of a folder, named by their URLs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tilewise.shards.documents import image_name
from tilewise.shards.new_file import write_whole

FOLDER: Final = "images"
"""What the folder beside shards, or beside their folder, is called."""


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """A folder of images: ``ab/abcd...``, or as in the released code ``abcd...``."""

    root: Path

    def path(self, url: str) -> Path:
        """Where the image of a URL is written."""
        name = image_name(url)
        return self.root / name[:2] / name

    def find(self, url: str) -> Path:
        """Where the image of a URL lies, or would lie."""
        name = image_name(url)
        path = os.path.join(self.root, name[:2], name)  # noqa: PTH118 - many a second
        if not os.path.isfile(path):  # noqa: PTH113
            flat = os.path.join(self.root, name)  # noqa: PTH118
            if os.path.isfile(flat):  # noqa: PTH113
                return Path(flat)
        return Path(path)

    def read(self, url: str) -> bytes | None:
        """The bytes of an image, None where there are none."""
        try:
            return self.find(url).read_bytes()
        except OSError:
            return None

    def save(self, url: str, data: bytes) -> Path:
        """Write an image, whole or not at all; raises DataError."""
        path = self.path(url)
        write_whole(path, data)
        return path


def images_of(folder: Path, root: Path | None = None) -> ImageFolder:
    """The images of a folder of shards: ``images`` in it or beside it, unless ``root`` is given."""
    if root is not None:
        return ImageFolder(root)
    within = folder / FOLDER
    return ImageFolder(within if within.is_dir() else folder.absolute().parent / FOLDER)
