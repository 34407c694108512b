"""Made-up zoom pairs: one photograph seen by a wide camera and by a zoomed one that has moved.

What a pair shows depends on the photograph, the settings and a key of whole numbers alone, so that
a run which is taken up again makes the same pairs.

Two frames of 512 x 384 px: the zoomed one is a window of the photograph, in linear light. The wide
camera sees it through a homography and parallax along one direction: a smooth field, and at level
2 a step in depth whose far side is out of focus. Its picture goes through a lens blur, is averaged
over its larger pixels, gets its own white balance, falls on an RGGB mosaic with noise, and is
rounded to 14 bits. A pair is a random part of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tilewise.errors import ConfigError, SourceError
from tilewise.records import Pixels
from tilewise.superres.raw import BLACK, WHITE, demosaicked, mosaic_of

FRAME: Final = (384, 512)
"""Rows and columns of the zoomed frame, over which the cameras differ by what is drawn."""

MARGIN: Final = 48
"""Photo around the frame in pixels, as the wide camera may see past its edge."""

GAMMA: Final = 2.2

_LIGHT: Final = (np.arange(256, dtype=np.float32) / 255) ** np.float32(GAMMA)

_PAD: Final = 8
"""Pixels of the wide camera made around a part and cut again: blur and mosaic reach so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """How the two cameras differ, and what the wide one does to its picture.

    ``turn_deg``, ``zoom``, ``shift`` (target pixels) and ``tilt`` (per pixel) bound the homography;
    ``parallax`` is the spread of the smooth field and ``step`` the depth step, in target pixels.
    ``levels`` are drawn from with equal chance: 0 rigid, 1 with parallax, 2 with a step and
    defocus. ``blur`` bounds the lens blur's sigma as shares of the scale, ``shot`` and ``read``
    the noise. ``sharpening`` is that of the zoomed and of the wide camera's pictures.
    """

    turn_deg: float = 0.6
    zoom: float = 0.006
    shift: float = 6.0
    tilt: float = 1.2e-5
    parallax: float = 1.5
    step: float = 5.0
    levels: tuple[int, ...] = (0, 1, 2)
    blur: tuple[float, float] = (0.30, 0.50)
    shot: tuple[float, float] = (0.001, 0.005)
    read: tuple[float, float] = (0.002, 0.005)
    sharpening: tuple[float, float] = (0.25, 0.1)

    def __post_init__(self) -> None:
        if not self.levels or not set(self.levels) <= {0, 1, 2}:
            raise ConfigError(f"levels is {self.levels}; some of 0, 1 and 2 are allowed.")
        for name in ("blur", "shot", "read"):
            least, most = getattr(self, name)
            if not 0 <= least <= most:
                raise ConfigError(
                    f"{name} is {least} to {most}; 0 or more, the smaller first, is allowed."
                )


class Pair(NamedTuple):
    """One pair, float32 from 0 to 1, (channels, rows, cols).

    ``x`` (3, h, w) is the wide camera's picture and ``mosaic`` (1, h, w) its RAW data, ``raw_rgb``
    that data with colours filled in and gamma, without white balance. ``target`` (3, s * h, s * w)
    is what the zoomed camera shows, ``aligned`` what it would show from the wide one's place.
    ``flow`` (2, h, w) tells for a place of the zoomed frame where the wide one has it: down and to
    the right, in pixels of ``x``; None where it was not asked for.
    """

    x: Tensor
    mosaic: Tensor
    raw_rgb: Tensor
    target: Tensor
    aligned: Tensor
    flow: Tensor | None = None


def camera_pair(
    photo: Pixels,
    scale: int,
    crop: int,
    cfg: CameraConfig,
    key: Sequence[int],
    *,
    tries: int = 4,
    has_flow: bool = False,
) -> Pair:
    """Make a pair.

    Args:
        photo: uint8 (rows, cols, 3).
        scale: of the target, 2 to 8.
        crop: side of ``x`` in pixels, even.
        cfg: how cameras differ.
        key: numbers that all that is drawn depends on.
        tries: places are drawn so often, the one with the most detail is taken.
        has_flow: also invert the flow, which takes as long as all else.

    Raises:
        ConfigError: the crop is odd or larger than the frame.
        SourceError: the photograph is smaller than frame and margins.
    """
    rng = np.random.default_rng([abs(part) for part in key])
    side = (crop + 2 * _PAD) * scale
    frame = (max(FRAME[0], side), max(FRAME[1], side))
    if crop % 2 or crop < 8:
        raise ConfigError(f"crop is {crop} px; an even number of 8 or more is allowed.")
    window, place = _window(photo, frame, side, rng, tries)
    level = cfg.levels[int(rng.integers(len(cfg.levels)))]
    at, depth = _seen_at(frame, cfg, level, rng)
    part = (slice(place[0], place[0] + side), slice(place[1], place[1] + side))
    y, x = at[0][part] - place[0] + MARGIN, at[1][part] - place[1] + MARGIN
    seen = sampled(window, y, x).clamp(0, 1)
    zoomed = window[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    gain = torch.tensor([rng.uniform(0.88, 1.08), 1.0, rng.uniform(0.88, 1.12)]).float()
    mosaic = _wide(seen, depth[part], scale, cfg, gain, level, rng)
    raw = demosaicked(mosaic)
    zoomed = _noisy(zoomed, rng, 0.0006, 0.0015)
    flow = _inverse(at, part, scale) if has_flow else None
    small, large = slice(_PAD, _PAD + crop), slice(_PAD * scale, (_PAD + crop) * scale)
    return Pair(
        x=developed(raw, 1 / gain, cfg.sharpening[1])[:, small, small],
        mosaic=mosaic[:, small, small],
        raw_rgb=developed(raw)[:, small, small],
        target=developed(zoomed, sharpening=cfg.sharpening[0])[:, large, large],
        aligned=developed(seen, sharpening=cfg.sharpening[0])[:, large, large],
        flow=None if flow is None else flow[:, small, small],
    )


def developed(linear: Tensor, gain: Tensor | None = None, sharpening: float = 0.0) -> Tensor:
    """Linear light → a picture of 8 bits: gains, gamma, unsharp masking. (3, h, w), 0 to 1."""
    if gain is not None:
        linear = linear * gain[:, None, None]
    out = linear.clamp(0, 1) ** (1 / GAMMA)
    if sharpening:
        out = (out + sharpening * (out - blurred(out, 1.0))).clamp(0, 1)
    return (out * 255).round() / 255


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, mirrored at the edges, (c, h, w) → the same."""
    if sigma <= 0:
        return image
    reach = min(ceil(4 * sigma), min(image.shape[-2:]) - 1)
    places = torch.arange(-reach, reach + 1, dtype=torch.float32)
    taps = torch.exp(-0.5 * (places / sigma) ** 2)
    taps = taps / taps.sum()
    wide = F.pad(image[:, None], (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(wide, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))[:, 0]


def sampled(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """An image read at places in its pixels by cubic interpolation, mirrored outside.

    Shape: (c, h, w), y and x (rows, cols) -> (c, rows, cols)
    """
    rows, cols = image.shape[-2:]
    grid = torch.stack([2 * x / (cols - 1) - 1, 2 * y / (rows - 1) - 1], -1)[None]
    read = F.grid_sample(
        image[None], grid, mode="bicubic", padding_mode="reflection", align_corners=True
    )
    return read[0]


def shrunk(image: Tensor, scale: int) -> Tensor:
    """Means over blocks of ``scale`` x ``scale`` pixels: (c, s * h, s * w) -> (c, h, w)."""
    return F.avg_pool2d(image[None], scale)[0]


def _window(
    photo: Pixels, frame: tuple[int, int], side: int, rng: np.random.Generator, tries: int
) -> tuple[Tensor, tuple[int, int]]:
    """The part with its margins in linear light, and where in the frame it begins."""
    rows, cols = frame[0] + 2 * MARGIN, frame[1] + 2 * MARGIN
    if photo.shape[0] < rows or photo.shape[1] < cols:
        raise SourceError(
            f"a photograph is {photo.shape[1]}x{photo.shape[0]} px, and pairs of this size need "
            f"{cols}x{rows} px; take larger photographs or a smaller crop."
        )
    place = (int(rng.integers(frame[0] - side + 1)), int(rng.integers(frame[1] - side + 1)))
    corners = [
        (
            int(rng.integers(photo.shape[0] - rows + 1)),
            int(rng.integers(photo.shape[1] - cols + 1)),
        )
        for _ in range(max(1, tries))
    ]
    top, left = max(corners, key=lambda at: _detail(photo, at, place, side))
    top, left, wide = top + place[0], left + place[1], side + 2 * MARGIN
    light = _LIGHT[photo[top : top + wide, left : left + wide]]
    return torch.from_numpy(light).permute(2, 0, 1).contiguous(), place


def _detail(photo: Pixels, corner: tuple[int, int], place: tuple[int, int], side: int) -> float:
    """How much fine detail a part has: the spread of its green's Laplacian."""
    top, left = corner[0] + MARGIN + place[0], corner[1] + MARGIN + place[1]
    green = photo[top : top + side, left : left + side, 1].astype(np.float32)
    inner = 4 * green[1:-1, 1:-1] - green[:-2, 1:-1] - green[2:, 1:-1]
    return float((inner - green[1:-1, :-2] - green[1:-1, 2:]).std())


def _seen_at(
    frame: tuple[int, int], cfg: CameraConfig, level: int, rng: np.random.Generator
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Where in the zoomed frame each place of the wide one lies, and how far away it is, 0 or 1."""
    rows, cols = frame
    turn = np.deg2rad(rng.uniform(-cfg.turn_deg, cfg.turn_deg))
    zoom = 1 + rng.uniform(-cfg.zoom, cfg.zoom)
    shift, tilt = rng.uniform(-cfg.shift, cfg.shift, 2), rng.uniform(-cfg.tilt, cfg.tilt, 2)
    y, x = np.mgrid[0:rows, 0:cols].astype(np.float64)
    y, x = y - (rows - 1) / 2, x - (cols - 1) / 2
    w = tilt[0] * x + tilt[1] * y + 1
    to_x = (zoom * (np.cos(turn) * x - np.sin(turn) * y) + shift[0]) / w + (cols - 1) / 2
    to_y = (zoom * (np.sin(turn) * x + np.cos(turn) * y) + shift[1]) / w + (rows - 1) / 2
    depth = torch.zeros(rows, cols)
    moved = torch.zeros(rows, cols, dtype=torch.float64)
    if level >= 1:
        moved = cfg.parallax * _field(rng, (5, 6), frame).double()
    if level >= 2:
        far = (_field(rng, (4, 5), frame) > 0.25).float()
        depth = blurred(far[None], 1.5)[0]
        moved = moved + cfg.step * depth
    angle = rng.uniform(0, 2 * np.pi)
    down = torch.from_numpy(to_y) + np.sin(angle) * moved
    right = torch.from_numpy(to_x) + np.cos(angle) * moved
    return (down.float(), right.float()), depth


def _field(rng: np.random.Generator, shape: tuple[int, int], frame: tuple[int, int]) -> Tensor:
    """A smooth random field over the frame, spread 1 at its knots."""
    knots = torch.from_numpy(rng.standard_normal(shape)).float()[None, None]
    return F.interpolate(knots, frame, mode="bicubic", align_corners=False)[0, 0]


def _wide(
    seen: Tensor,
    depth: Tensor,
    scale: int,
    cfg: CameraConfig,
    gain: Tensor,
    level: int,
    rng: np.random.Generator,
) -> Tensor:
    """The wide camera's mosaic (1, h, w) of what it sees, 0 to 1 between black and white."""
    if level >= 2:
        seen = seen * (1 - depth) + blurred(seen, 0.45 * scale) * depth
    seen = blurred(seen, float(rng.uniform(*cfg.blur)) * scale)
    mosaic = mosaic_of(shrunk(seen, scale) * gain[:, None, None])
    noisy = _noisy(mosaic, rng, float(rng.uniform(*cfg.shot)), float(rng.uniform(*cfg.read)))
    levels = WHITE - BLACK
    return (noisy * levels).round() / levels


def _noisy(linear: Tensor, rng: np.random.Generator, shot: float, read: float) -> Tensor:
    """Noise of photons, whose variance grows with light, and of reading out."""
    drawn: NDArray[np.float32] = rng.standard_normal(tuple(linear.shape), dtype=np.float32)
    spread = torch.sqrt(shot * linear.clamp(0, 1) + read**2)
    return (linear + torch.from_numpy(drawn) * spread).clamp(0, 1)


def _inverse(at: tuple[Tensor, Tensor], part: tuple[slice, slice], scale: int) -> Tensor:
    """Where the wide frame has what the zoomed one shows, in pixels of the wide camera."""
    rows, cols = at[0].shape
    y, x = torch.meshgrid(torch.arange(rows).float(), torch.arange(cols).float(), indexing="ij")
    flow = torch.stack([at[0] - y, at[1] - x])[None]
    y, x = y[part], x[part]
    back_y, back_x = y, x
    for _ in range(30):  # the flow changes slowly, so that each round errs far less
        grid = torch.stack([2 * back_x / (cols - 1) - 1, 2 * back_y / (rows - 1) - 1], -1)[None]
        found = F.grid_sample(flow, grid, padding_mode="border", align_corners=True)[0]
        back_y, back_x = y - found[0], x - found[1]
    return shrunk(torch.stack([back_y - y, back_x - x]), scale) / scale
