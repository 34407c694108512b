"""Enlarging images by a trained network or by interpolation, to any size, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from math import ceil, isfinite
from typing import Any, Final, Literal

import numpy as np

from tilewise.errors import ConfigError
from tilewise.records import Page
from tilewise.superres.enlargers import Enlarger, Interpolation, NetworkEnlarger
from tilewise.superres.files import SHIPPED, folder_of, load
from tilewise.superres.resample import Floats, Kernel
from tilewise.superres.tiles import Work, plan, strips
from tilewise.weights.files import WEIGHTS

INTERPOLATIONS: Final[dict[str, Kernel]] = {"bicubic": "bicubic", "lanczos": "lanczos"}

DEFAULT_MEMORY: Final = 512 << 20
"""Bytes for tiles at work where nothing is said."""

FACTORS: Final = (0.01, 64.0)
"""The least and the most that an image is enlarged by."""


def enlarger(name: str, scale: int) -> Enlarger:
    """Make an enlarger.

    Args:
        name: "ours" (the network in the package, x2 or x4, whichever suffices for ``scale``),
            "bicubic", "lanczos", or a folder that ``superres.files.save`` wrote.
        scale: how many times as large; a folder's network has its own.

    Raises:
        ConfigError: the scale is not from 1 to 64, or the network takes no RGB images.
        WeightsError: no such network, or its files are damaged.
    """
    if not 1 <= scale <= FACTORS[1]:
        raise ConfigError(f"the scale is {scale}; 1 to {FACTORS[1]:g} are allowed.")
    if name in INTERPOLATIONS:
        return Interpolation(INTERPOLATIONS[name], scale)
    if name == "ours":
        name = "x2" if scale <= 2 else "x4"
    network = load(name)
    digest = sha256((folder_of(name) / WEIGHTS).read_bytes()).hexdigest()
    return NetworkEnlarger(network, f"sdan-{name}" if name in SHIPPED else name, digest)


def chosen_enlarger(method: str, model: str | None, factor: float) -> Enlarger:
    """What enlarges photographs by a factor: a model that is named, else by a method.

    Args:
        method: "auto" for what measured best, or as ``enlarger`` has it.
        model: "x2", "x4" or a folder; None for none.
        factor: see ``enlarge``.

    Raises:
        ConfigError, WeightsError: as ``enlarger`` and ``enlarge``.
    """
    new_size(1, 1, factor)
    scale = max(1, ceil(factor))
    if model is not None:
        return enlarger(model, scale)
    return enlarger(best_enlarger("photo", scale) if method == "auto" else method, scale)


def best_enlarger(kind: Literal["photo", "print"], scale: int) -> str:
    """The name of what enlarges pictures of a kind best, as measured (``MEASURED``)."""
    shipped = "x2" if scale <= 2 else "x4"
    is_there = (folder_of(shipped) / WEIGHTS).is_file()
    return MEASURED[kind, shipped] if is_there else "bicubic"


MEASURED: Final[dict[tuple[str, str], str]] = {
    ("photo", "x2"): "ours",  # two cameras, aligned truth: 26.04 dB, SSIM 0.672; 24.17, 0.562
    ("photo", "x4"): "ours",  # golden pairs, aligned truth: 24.60 dB, 0.602; 23.35, 0.549
    ("print", "x2"): "ours",  # x-height 4 to 6, characters wrong: 1.8 %; 3.0 %
    ("print", "x4"): "ours",  # x-height 4 to 8, characters wrong: 1.0 %; 7.8 %
}
"""By kind and shipped network: what is best; beside it our numbers, then those of bicubic.

Photographs that were shrunk by bicubic itself lose 0.2 to 0.4 dB against it (PROVENANCE.md).
"""


def new_size(height: int, width: int, factor: float) -> tuple[int, int]:
    """Height and width of an image enlarged, at least one pixel each.

    Raises:
        ConfigError: an image cannot be enlarged by so much.
    """
    if not (isfinite(factor) and FACTORS[0] <= factor <= FACTORS[1]):
        raise ConfigError(f"the scale is {factor:g}; {FACTORS[0]:g} to {FACTORS[1]:g} are allowed.")
    return max(1, round(height * factor)), max(1, round(width * factor))


def enlarge(
    rgb: Floats,
    factor: float,
    enlarger: Enlarger,
    *,
    memory_bytes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Floats:
    """Enlarge an image by any factor: by the enlarger's scale, then by an antialiased resize.

    Interpolation goes to the factor at once, and so does shrinking.

    Args:
        rgb: (h, w, 3), 0 to 1.
        factor: 0.01 to 64.
        enlarger: see ``enlarger``.
        memory_bytes: for tiles at work, beside input and result; None takes 512 MiB.
        progress: given the tiles done and how many there are.
        cancel: asked between tiles; True ends the work.

    Returns:
        (round(h * factor), round(w * factor), 3), at least one pixel, not cut to 0 to 1.

    Raises:
        ConfigError: the factor is outside, or the memory is too little.
        WeightsError: a network gave what is no number.
        TilewiseError: the work was cancelled.
    """
    height, width = new_size(rgb.shape[0], rgb.shape[1], factor)
    chosen = plan((*rgb.shape[:2], 3), (height, width), enlarger, memory_bytes or DEFAULT_MEMORY)
    given: dict[str, Any] = {"progress": progress, "cancel": cancel}
    work = Work(**{name: value for name, value in given.items() if value is not None})
    result = np.empty((height, width, 3), np.float32)
    top = 0
    for strip in strips(lambda first, last: rgb[first:last], chosen, enlarger, work):
        result[top : top + len(strip)] = strip
        top += len(strip)
    return result


def enlarged_page(page: Page, factor: float, enlarger: Enlarger) -> Page:
    """A page enlarged; its name, number and turn stay.

    Raises:
        ConfigError: as ``enlarge``.
    """
    found = enlarge(page.pixels.astype(np.float32) / np.float32(255), factor, enlarger)
    pixels = np.rint(found.clip(0, 1) * 255).astype(np.uint8)
    return Page(
        pixels=pixels,
        name=page.name,
        number=page.number,
        total=page.total,
        turned_deg=page.turned_deg,
        is_frame=page.is_frame,
    )
