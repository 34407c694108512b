"""How one picture lies on another: a shift by phase, then an affine map that correlates best.

Pairs whose pictures cannot be brought onto each other teach nothing but blur; this finds them.

Source: C. D. Kuglin, D. C. Hines, "The phase correlation image alignment method" (1975);
G. D. Evangelidis, E. Z. Psarakis, "Parametric image alignment using enhanced correlation
coefficient maximization" (IEEE TPAMI 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tilewise.errors import ConfigError
from tilewise.superres.pairs import blurred, shrunk

Grey = NDArray[np.float64]

ROUNDS: Final = 40
"""Steps of the affine search at each size."""

SETTLED_PX: Final = 1e-3
"""A corner that moves less in a step ends the search."""

LEAST: Final = 32
"""Side in pixels below which pictures are not made smaller for the search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationConfig:
    """What a pair must keep to; lengths are in pixels of the smaller picture.

    ``correlation`` is the least between both pictures when they lie on each other best, ``shift``
    the largest by which any corner is off, ``stretch`` the largest change of size, as a share.
    """

    correlation: float = 0.7
    shift: float = 12.0
    stretch: float = 0.03

    def __post_init__(self) -> None:
        if not 0 <= self.correlation <= 1 or self.shift <= 0 or self.stretch <= 0:
            raise ConfigError(
                f"correlation is {self.correlation}, shift {self.shift} px, stretch "
                f"{self.stretch}; 0 to 1, and more than 0, are allowed."
            )


class Registered(NamedTuple):
    """``affine`` (2, 3) takes a place (x, y, 1) of the first picture to the second; pixels.

    ``correlation`` is that of both pictures so, ``before`` as they lie. ``shift`` is how far the
    corner that is moved most is moved, ``stretch`` the change of size as a share.
    """

    affine: Grey
    correlation: float
    before: float
    shift: float
    stretch: float


def registered(fixed: Grey, moving: Grey) -> Registered:
    """Bring a picture onto another.

    Args:
        fixed, moving: grey (rows, cols), of one size.

    Raises:
        ConfigError: sizes differ, or are below 16 px.
    """
    if fixed.shape != moving.shape or min(fixed.shape) < 16:
        raise ConfigError(
            f"pictures to be registered are {fixed.shape} and {moving.shape}; one size of 16 px "
            "or more is allowed."
        )
    sizes = [(_even(fixed), _even(moving))]
    while min(sizes[-1][0].shape) >= 2 * LEAST and len(sizes) < 4:
        sizes.append((_half(sizes[-1][0]), _half(sizes[-1][1])))
    down, right = _phase_shift(*sizes[-1])
    affine = np.array([[1.0, 0.0, right], [0.0, 1.0, down]])
    straight = np.eye(2, 3)
    starts = sorted((straight, affine), key=lambda one: -_correlation(*sizes[-1], one))
    affine = starts[0]
    for level, (a, b) in enumerate(reversed(sizes)):
        if level:
            affine = _doubled(affine)
        affine = _refined(a, b, affine)
    rows, cols = sizes[0][0].shape
    corners = np.array([[0, 0, 1], [cols - 1, 0, 1], [0, rows - 1, 1], [cols - 1, rows - 1, 1]])
    moved = corners @ affine.T - corners[:, :2]
    return Registered(
        affine=affine,
        correlation=_correlation(*sizes[0], affine),
        before=_correlation(*sizes[0], straight),
        shift=float(np.hypot(moved[:, 0], moved[:, 1]).max()),
        stretch=float(np.abs(np.linalg.svd(affine[:, :2], compute_uv=False) - 1).max()),
    )


def fault(found: Registered, cfg: RegistrationConfig) -> tuple[str, float] | None:
    """Why a pair is not to be learned from, in words with the measured value; None if it is."""
    if not found.correlation >= cfg.correlation:
        return "too unlike", found.correlation
    if found.shift > cfg.shift:
        return "too far off", found.shift
    if found.stretch > cfg.stretch:
        return "sizes differ", found.stretch
    return None


def _even(image: Grey) -> Grey:
    """A picture whose sizes can be halved three times."""
    rows, cols = (size // 8 * 8 for size in image.shape)
    return np.asarray(image[:rows, :cols], np.float64)


def _half(image: Grey) -> Grey:
    tensor = torch.from_numpy(np.ascontiguousarray(image)).float()[None]
    return shrunk(blurred(tensor, 0.7), 2)[0].double().numpy()


def _doubled(affine: Grey) -> Grey:
    """The same map in pixels of half the size: place p was at 2 p + 0.5 of the larger picture."""
    linear, shift = affine[:, :2], affine[:, 2]
    half = np.full(2, 0.5)
    return np.column_stack([linear, 2 * shift + half - linear @ half])


def _phase_shift(fixed: Grey, moving: Grey) -> tuple[float, float]:
    """How far down and to the right things of the first picture lie in the second, whole pixels."""
    rows, cols = fixed.shape
    window = np.hanning(rows)[:, None] * np.hanning(cols)
    a, b = (np.fft.rfft2((one - one.mean()) * window) for one in (fixed, moving))
    cross = b * a.conj()
    peak = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-12), s=fixed.shape)
    down, right = np.unravel_index(int(peak.argmax()), peak.shape)
    return (
        float(down if down <= rows // 2 else down - rows),
        float(right if right <= cols // 2 else right - cols),
    )


def _refined(fixed: Grey, moving: Grey, affine: Grey) -> Grey:
    """The affine map near a first one with the largest correlation, or that one."""
    rows, cols = fixed.shape
    y, x = np.mgrid[0:rows, 0:cols].astype(np.float64)
    slopes = np.gradient(moving)
    best, found = affine, _correlation(fixed, moving, affine)
    for _ in range(ROUNDS):
        at_y, at_x = _places(affine, y, x)
        is_in = (at_y >= 1) & (at_y <= rows - 2) & (at_x >= 1) & (at_x <= cols - 2)
        if is_in.mean() < 0.3:
            break
        at_y, at_x, px, py = at_y[is_in], at_x[is_in], x[is_in], y[is_in]
        down, right, seen = (_read(one, at_y, at_x) for one in (*slopes, moving))
        wanted, seen = fixed[is_in] - fixed[is_in].mean(), seen - seen.mean()
        steps = np.stack([right * px, right * py, right, down * px, down * py, down], 1)
        steps -= steps.mean(0)
        inverse = np.linalg.pinv(steps.T @ steps, hermitian=True)
        along, across = steps.T @ seen, steps.T @ wanted
        below = float(wanted @ seen - across @ inverse @ along)
        above = float(seen @ seen - along @ inverse @ along)
        gain = above / below if below > 0 else 1.0
        change = (inverse @ (gain * across - along)).reshape(2, 3)
        affine = affine + change
        now = _correlation(fixed, moving, affine)
        if now > found:
            best, found = affine, now
        if np.abs(change @ np.array([cols, rows, 1.0])).max() < SETTLED_PX:
            break
    return best


def _correlation(fixed: Grey, moving: Grey, affine: Grey) -> float:
    """Correlation of what lies on each other, 0 where nothing does or nothing is to be seen."""
    rows, cols = fixed.shape
    y, x = np.mgrid[0:rows, 0:cols].astype(np.float64)
    at_y, at_x = _places(affine, y, x)
    is_in = (at_y >= 0) & (at_y <= rows - 1) & (at_x >= 0) & (at_x <= cols - 1)
    if is_in.mean() < 0.3:
        return 0.0
    a, b = fixed[is_in], _read(moving, at_y[is_in], at_x[is_in])
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 1e-9 else 0.0


def _places(affine: Grey, y: Grey, x: Grey) -> tuple[Grey, Grey]:
    to_x = affine[0, 0] * x + affine[0, 1] * y + affine[0, 2]
    return affine[1, 0] * x + affine[1, 1] * y + affine[1, 2], to_x


def _read(image: Grey, y: Grey, x: Grey) -> Grey:
    """Linear interpolation at places inside."""
    top = np.minimum(y.astype(np.int64), image.shape[0] - 2)
    left = np.minimum(x.astype(np.int64), image.shape[1] - 2)
    down, right = y - top, x - left
    upper = image[top, left] * (1 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down)
