"""Rotary positions, half-split form (RoFormer, arXiv 2104.09864), and how they are stretched.

A stretched table depends on how long the whole sequence is. Lengths that share a table are of one
*regime*: a number, 0 for the lengths that the model was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from tilewise.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DynamicNtk:
    """Beyond ``positions`` the base grows with the length, ``factor`` says how fast.

    Every length beyond has a base and so a regime of its own, which is the length itself.

    Source: InternLM2's published code; base * (factor * length / positions - (factor - 1)) to the
    power of head size / (head size - 2).
    """

    factor: float
    positions: int

    def __post_init__(self) -> None:
        if not (self.factor >= 1 and math.isfinite(self.factor)) or self.positions < 1:
            raise ConfigError(
                f"dynamic rope scaling has factor {self.factor} and {self.positions} positions; "
                "a factor of at least 1 and at least 1 position are needed. Correct the config."
            )

    def regime(self, total: int) -> int:
        """0 up to ``positions``, else the length."""
        return total if total > self.positions else 0

    def check(self, head_size: int) -> None:
        """Raises ConfigError if heads of this size cannot be stretched so."""
        if head_size <= 2:
            raise ConfigError(
                f"head size is {head_size}; dynamic rope scaling needs more than 2. "
                "Correct the config."
            )

    def rates(self, steps: Tensor, theta: float, regime: int) -> Tensor:
        """Radians a position, as ``steps``, which are even numbers below the head size."""
        size = 2 * len(steps)
        if regime:
            growth = self.factor * regime / self.positions - (self.factor - 1)
            theta *= growth ** (size / (size - 2))
        return theta ** (-steps / size)

    @property
    def gain(self) -> float:
        """What cosines and sines are multiplied by."""
        return 1.0


@dataclass(frozen=True, slots=True)
class LongRope:
    """Each rate is divided by a factor of ``short``, or beyond ``original`` positions of ``long``.

    ``positions`` is what the model was stretched to; regime 1 is beyond ``original``. The kind is
    "su" or "longrope" in config files.

    Source: Phi-3's published code; LongRoPE (arXiv 2402.13753).
    """

    short: tuple[float, ...]
    long: tuple[float, ...]
    original: int
    positions: int

    def __post_init__(self) -> None:
        if not all(x > 0 and math.isfinite(x) for x in (*self.short, *self.long)):
            raise ConfigError(
                "the factors of longrope must all be above 0; the config has "
                f"{min((*self.short, *self.long))}. Correct it."
            )
        if self.original < 2:
            raise ConfigError(
                f"longrope stretches {self.original} positions; at least 2 are needed. "
                "Correct the config."
            )

    def regime(self, total: int) -> int:
        """0 up to ``original`` positions, else 1."""
        return int(total > self.original)

    def check(self, head_size: int) -> None:
        """Raises ConfigError if there is not a factor for each rate of such heads."""
        if {len(self.short), len(self.long)} != {head_size // 2}:
            raise ConfigError(
                f"longrope has {len(self.short)} short and {len(self.long)} long factors; heads "
                f"of {head_size} need {head_size // 2} of each. Correct the config."
            )

    def rates(self, steps: Tensor, theta: float, regime: int) -> Tensor:
        """Radians a position, as ``steps``, which are even numbers below the head size."""
        factors = _tensor(self.long if regime else self.short, steps.device)
        return 1 / (factors * theta ** (steps / (2 * len(steps))))

    @property
    def gain(self) -> float:
        """What cosines and sines are multiplied by, in both regimes."""
        stretch = max(1.0, self.positions / self.original)
        return math.sqrt(1 + math.log(stretch) / math.log(self.original))


RopeScaling = DynamicNtk | LongRope


def rope_table(
    positions: Tensor,
    head_size: int,
    theta: float,
    scaling: RopeScaling | None = None,
    regimes: Sequence[int] = (0,),
) -> tuple[Tensor, Tensor]:
    """Cosines and sines for integer positions (…,) → two of (…, head_size), float32.

    Args:
        positions: integers; their first axis is that of rows if there are several ``regimes``.
        head_size: channels of a head.
        theta: the base of the rates.
        scaling: how the table is stretched, None for not at all.
        regimes: of the whole sequence, what ``scaling.regime`` gives; one for all, or one a row.
    """
    steps = torch.arange(0, head_size, 2, dtype=torch.float32, device=positions.device)
    turns = positions.float()[..., None]
    if scaling is None:
        angles = turns * theta ** (-steps / head_size)
    else:
        angles = turns * _rates(steps, theta, scaling, regimes, turns.dim())
    angles = torch.cat([angles, angles], dim=-1)
    if scaling is None or scaling.gain == 1:
        return angles.cos(), angles.sin()
    return angles.cos() * scaling.gain, angles.sin() * scaling.gain


def rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate heads (batch, heads, n, head size) by a table that broadcasts to them.

    A table of (n, head size) serves all rows alike, one of (batch, 1, n, head size) each its own.
    """
    cos, sin = table
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def _rates(
    steps: Tensor, theta: float, scaling: RopeScaling, regimes: Sequence[int], axes: int
) -> Tensor:
    """Rates (head size / 2,) for all rows, or (rows, 1, …, head size / 2) for each its own."""
    by_regime = {regime: scaling.rates(steps, theta, regime) for regime in regimes}
    if len(by_regime) == 1:
        return by_regime[regimes[0]]
    rates = torch.stack([by_regime[regime] for regime in regimes])
    return rates.view(len(regimes), *[1] * (axes - 2), len(steps))


@lru_cache(maxsize=16)
def _tensor(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers on a device; kept, since bringing them there makes a GPU wait at every id."""
    with torch.inference_mode(mode=False):
        return torch.tensor(values, dtype=torch.float32, device=device)
