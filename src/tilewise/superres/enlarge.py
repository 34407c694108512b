"""Enlarging images by a trained network or by interpolation, to any size, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Final, Literal, Protocol

import numpy as np
import torch

from tilewise.errors import ConfigError
from tilewise.records import Page
from tilewise.superres.files import SHIPPED, folder_of, load
from tilewise.superres.resample import Floats, Kernel, resize
from tilewise.superres.sdan import Sdan
from tilewise.weights.files import WEIGHTS

INTERPOLATIONS: Final[dict[str, Kernel]] = {"bicubic": "bicubic", "lanczos": "lanczos"}

FACTORS: Final = (0.01, 64.0)
"""The least and the most that an image is enlarged by."""


class Enlarger(Protocol):
    """Makes an image ``scale`` times as large: float32 (h, w, 3), 0 to 1 -> (h * scale, ...).

    ``radius``: how far, in pixels of the input, an output pixel sees; tiles that overlap by so
    much give what the whole image gives. ``pixel_bytes``: memory at work for each input pixel.
    """

    name: str
    scale: int
    radius: int
    pixel_bytes: int

    def __call__(self, rgb: Floats) -> Floats: ...


class Interpolation:
    """Bicubic or Lanczos interpolation; meets ``Enlarger``."""

    def __init__(self, kernel: Kernel, scale: int) -> None:
        self.name: str = kernel
        self.kernel: Kernel = kernel
        self.scale = scale
        self.radius = {"bicubic": 2, "lanczos": 3}[kernel]
        self.pixel_bytes = 12 * (1 + 2 * scale + 2 * scale * scale)

    def __call__(self, rgb: Floats) -> Floats:
        return resize(rgb, rgb.shape[0] * self.scale, rgb.shape[1] * self.scale, self.kernel)


class NetworkEnlarger:
    """An SDAN network without a reference (P0: nothing is moved); meets ``Enlarger``."""

    def __init__(self, network: Sdan, name: str) -> None:
        cfg = network.cfg
        if cfg.input != "rgb":
            raise ConfigError(
                f"{name} takes {cfg.input} mosaics; pictures are enlarged by RGB networks."
            )
        self.name = name
        self.scale, self.radius = cfg.scale, cfg.reach
        # The widest moment: features before and after the last shuffle, and a convolution's copy.
        self.pixel_bytes = 4 * cfg.width * (3 * cfg.scale**2 if cfg.scale > 1 else 6)
        self._network = network

    def __call__(self, rgb: Floats) -> Floats:
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None]
            image = self._network(x).image[0]
            found: Floats = image.permute(1, 2, 0).contiguous().numpy()
        return found


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
    return NetworkEnlarger(load(name), f"sdan-{name}" if name in SHIPPED else name)


def best_enlarger(kind: Literal["photo", "print"], scale: int) -> str:
    """The name of what enlarges pictures of a kind best, as measured (``MEASURED``)."""
    shipped = "x2" if scale <= 2 else "x4"
    is_there = (folder_of(shipped) / WEIGHTS).is_file()
    return MEASURED[kind, shipped] if is_there else "bicubic"


MEASURED: Final[dict[tuple[str, str], str]] = {
    ("photo", "x2"): "bicubic",
    ("photo", "x4"): "bicubic",
    ("print", "x2"): "bicubic",
    ("print", "x4"): "bicubic",
}
"""By kind and shipped network: what is best. Without measured weights that is bicubic."""


def check_factor(factor: float) -> None:
    """Raises ConfigError where an image cannot be enlarged by so much."""
    if not (isfinite(factor) and FACTORS[0] <= factor <= FACTORS[1]):
        raise ConfigError(f"the scale is {factor:g}; {FACTORS[0]:g} to {FACTORS[1]:g} are allowed.")


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
    """
    check_factor(factor)
    height, width = (max(1, round(side * factor)) for side in rgb.shape[:2])
    if isinstance(enlarger, Interpolation) or (factor <= 1 and enlarger.scale > 1):
        kernel = enlarger.kernel if isinstance(enlarger, Interpolation) else "lanczos"
        return resize(rgb, height, width, kernel)
    found = enlarger(rgb)
    return found if found.shape[:2] == (height, width) else resize(found, height, width, "lanczos")


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
