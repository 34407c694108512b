"""How far an enlarged picture is from its target: PSNR and SSIM, raw and after registration.

Every figure needs the protocol it was made by. P0: the network saw the input alone. P1: the input
was its own reference. P2: the target, made small, was the reference, which aligns the output to
it; an upper bound, never to be set beside another method's P0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilewise.errors import ConfigError
from tilewise.superres.registration import registered

Floats = NDArray[np.float64]
Protocol = Literal["P0", "P1", "P2"]

BORDER: Final = 32
"""Pixels of the target cut from each side before measuring; the scale, where that is more."""

LUMA: Final = (65.481, 128.553, 24.966)
"""Weights of R, G, B in the Y of BT.601 with its head- and footroom, of 255, offset 16."""

ALIKE: Final = 0.3
"""Least correlation of an output with its target after registration."""

SIGMA: Final = 1.5
WINDOW: Final = 11
"""The Gaussian window of SSIM, in px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """PSNR in dB and SSIM, on RGB and on luma; after registration too where it was found."""

    protocol: Protocol
    psnr: float
    ssim: float
    psnr_y: float
    ssim_y: float
    registered_psnr: float | None = None
    registered_ssim: float | None = None


def figures(
    image: NDArray[np.floating], target: NDArray[np.floating], scale: int, protocol: Protocol
) -> Figures:
    """Measure an output against its target.

    Args:
        image, target: (height, width, 3), 0 to 1; values beyond are cut off.
        scale: of the enlargement; the border cut is max(32, scale).
        protocol: what the network saw.

    Raises:
        ConfigError: sizes differ, or nothing is left within the border.
    """
    image, target = np.clip(image, 0.0, 1.0), np.clip(target, 0.0, 1.0)
    if image.shape != target.shape:
        raise ConfigError(
            f"the output is {image.shape} and its target {target.shape}; they must be alike."
        )
    border = max(BORDER, scale)
    if min(image.shape[:2]) < 2 * border + WINDOW:
        raise ConfigError(
            f"pictures are {image.shape[1]}x{image.shape[0]} px and {border} px are cut from each "
            f"side; at least {WINDOW} must be left."
        )
    ours, truth = _cut(image, border), _cut(target, border)
    moved = laid_on(image, target)
    laid = None if moved is None else _cut(moved, border)
    return Figures(
        protocol=protocol,
        psnr=psnr(ours, truth),
        ssim=ssim(ours, truth),
        psnr_y=psnr(luma(ours), luma(truth)),
        ssim_y=ssim(luma(ours), luma(truth)),
        registered_psnr=None if laid is None else psnr(laid, truth),
        registered_ssim=None if laid is None else ssim(laid, truth),
    )


def psnr(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Peak signal-to-noise ratio in dB of values from 0 to 1; infinite where they are equal."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Structural similarity of values from 0 to 1: the mean over windows that lie inside.

    Shape: (height, width) or (height, width, channels), at least 11 px each way; channels count
    alike.

    Source: Wang, Bovik, Sheikh and Simoncelli, 2004: Gaussian of 11 px with standard deviation
    1.5, K1 = 0.01, K2 = 0.03.
    """
    x, y = (np.atleast_3d(v).astype(np.float64) for v in (a, b))
    mean_x, mean_y = _windowed(x), _windowed(y)
    var_x = _windowed(x * x) - mean_x**2
    var_y = _windowed(y * y) - mean_y**2
    both = _windowed(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    like = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return float((like / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def luma(rgb: NDArray[np.floating]) -> Floats:
    """The Y of BT.601, 16/255 to 235/255, as papers on super-resolution measure it."""
    return (rgb.astype(np.float64) @ np.array(LUMA) + 16) / 255


def laid_on(image: NDArray[np.floating], target: NDArray[np.floating]) -> Floats | None:
    """The output, moved by the affine map that correlates best with the target, cubic.

    None where both cannot be brought onto each other: their correlation stays below ``ALIKE``.
    """
    found = registered(luma(target), luma(image))
    if found.correlation < ALIKE:
        return None
    (a, b, c), (d, e, f) = found.affine
    # Pillow's places count from pixels' corners, ours from their centres.
    places = (a, b, c + (1 - a - b) / 2, d, e, f + (1 - d - e) / 2)
    size = (target.shape[1], target.shape[0])
    moved = [
        np.asarray(
            Image.fromarray(image[..., at].astype(np.float32)).transform(
                size, Image.Transform.AFFINE, places, Image.Resampling.BICUBIC
            ),
            np.float64,
        )
        for at in range(3)
    ]
    return np.stack(moved, -1).clip(0.0, 1.0)


def _windowed(values: Floats) -> Floats:
    """The Gaussian mean of each window that lies inside."""
    places = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * (places / SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        size = values.shape[axis] - WINDOW + 1
        values = sum(
            (w * np.take(values, range(k, k + size), axis) for k, w in enumerate(weights)),
            np.zeros(()),
        )
    return values


def _cut(image: NDArray[np.floating], border: int) -> NDArray[np.floating]:
    return image[border : image.shape[0] - border, border : image.shape[1] - border]
