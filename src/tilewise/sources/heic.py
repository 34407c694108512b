"""HEIC pictures, as phones make them, decoded by pi-heif where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, cast

from PIL import Image

from tilewise.errors import MissingExtraError


def heic_factory(name: str) -> Callable[[BinaryIO, str], Image.Image]:
    """What opens a HEIC file as a Pillow image, its header read and its turns applied.

    Raises:
        MissingExtraError: pi-heif is not installed.
    """
    try:
        from pi_heif import HeifImageFile  # noqa: PLC0415, an optional package
    except ImportError as err:
        raise MissingExtraError(
            f"{name} is a HEIC image, which needs the package pi-heif; install it with: "
            "pip install 'tilewise[heic]'."
        ) from err
    return cast(Callable[[BinaryIO, str], Image.Image], HeifImageFile)
