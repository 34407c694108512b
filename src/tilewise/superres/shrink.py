"""Pairs that lie on each other: a picture, and the same shrunk as cameras and scanners do.

What is lost is drawn: a little blur of a lens, means over blocks or an antialiased resize, noise,
JPEG. All of it depends on the picture, the settings and the generator alone.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from tilewise.errors import ConfigError
from tilewise.records import Pixels
from tilewise.superres.pairs import blurred, shrunk


@dataclass(frozen=True, slots=True, kw_only=True)
class ShrinkConfig:
    """What shrinking takes away; lengths are in pixels of the small picture.

    ``blur`` bounds the lens blur's sigma; a share ``blur_share`` of pictures has it. ``noise`` is
    the largest spread in levels of 255, of a share ``noise_share``. ``jpeg`` bounds the quality,
    for a share ``jpeg_share``.
    """

    blur: tuple[float, float] = (0.1, 0.5)
    blur_share: float = 0.5
    noise: float = 3.0
    noise_share: float = 0.3
    jpeg: tuple[int, int] = (60, 95)
    jpeg_share: float = 0.2

    def __post_init__(self) -> None:
        shares = (self.blur_share, self.noise_share, self.jpeg_share)
        if not all(0 <= share <= 1 for share in shares) or self.noise < 0:
            raise ConfigError(
                f"shares of blur, noise and JPEG are {shares} and noise is {self.noise}; shares of "
                "0 to 1 and noise of 0 or more are allowed."
            )
        if not 0 <= self.blur[0] <= self.blur[1] or not 1 <= self.jpeg[0] <= self.jpeg[1] <= 95:
            raise ConfigError(
                f"blur is {self.blur} and JPEG quality {self.jpeg}; 0 or more, and 1 to 95, the "
                "smaller first, are allowed."
            )


class Shrunk(NamedTuple):
    """``x`` (3, h, w) and ``target`` (3, scale * h, scale * w), float32, 0 to 1."""

    x: Tensor
    target: Tensor


def shrunk_pair(
    picture: Pixels, scale: int, cfg: ShrinkConfig, rng: np.random.Generator, cut: int = 4
) -> Shrunk:
    """Shrink a picture.

    Args:
        picture: uint8 (scale * h, scale * w, 3).
        scale: 1 leaves the size.
        cfg: what is lost.
        rng: of all that is drawn.
        cut: pixels of ``x`` cut from all sides, where blur saw no more picture.
    """
    target = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1).contiguous()
    seen = target
    if rng.random() < cfg.blur_share:
        seen = blurred(seen, float(rng.uniform(*cfg.blur)) * scale)
    if scale == 1:
        small = seen
    elif rng.random() < 0.5:
        small = shrunk(seen, scale)
    else:
        size = (seen.shape[1] // scale, seen.shape[2] // scale)
        kind = "bicubic" if rng.random() < 0.7 else "bilinear"
        small = F.interpolate(seen[None], size, mode=kind, align_corners=False, antialias=True)[0]
    if rng.random() < cfg.noise_share:
        spread = float(rng.uniform(0, cfg.noise)) / 255
        drawn = rng.standard_normal(tuple(small.shape), dtype=np.float32)
        small = small + spread * torch.from_numpy(drawn)
    levels = (small.clamp(0, 1) * 255).round()
    if rng.random() < cfg.jpeg_share:
        levels = _through_jpeg(levels, int(rng.integers(cfg.jpeg[0], cfg.jpeg[1] + 1)))
    inner = slice(cut, levels.shape[1] - cut), slice(cut, levels.shape[2] - cut)
    outer = tuple(slice(one.start * scale, one.stop * scale) for one in inner)
    return Shrunk((levels / 255)[:, *inner], target[:, *outer])


def _through_jpeg(levels: Tensor, quality: int) -> Tensor:
    store = io.BytesIO()
    pixels = levels.permute(1, 2, 0).to(torch.uint8).numpy()
    Image.fromarray(pixels).save(store, "JPEG", quality=quality)
    with Image.open(store) as picture:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()
