"""What enlarges: bicubic and Lanczos interpolation, and SDAN networks without a reference."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from tilewise.errors import ConfigError
from tilewise.superres.resample import Floats, Kernel, resize
from tilewise.superres.sdan import Sdan


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
    """An SDAN network without a reference (P0: nothing is moved); meets ``Enlarger``.

    ``digest`` tells its weights from others under the same name.
    """

    def __init__(self, network: Sdan, name: str, digest: str = "") -> None:
        cfg = network.cfg
        if cfg.input != "rgb":
            raise ConfigError(
                f"{name} takes {cfg.input} mosaics; pictures are enlarged by RGB networks."
            )
        self.name, self.digest = name, digest
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
