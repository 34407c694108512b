"""Rotary positions, half-split form (RoFormer, arXiv 2104.09864)."""

from __future__ import annotations

import torch
from torch import Tensor


def rope_table(positions: Tensor, head_size: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines for integer positions (…,) → two of (…, head_size), float32."""
    steps = torch.arange(0, head_size, 2, dtype=torch.float32, device=positions.device)
    angles = positions.float()[..., None] * theta ** (-steps / head_size)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate heads (batch, heads, n, head size) by a table that broadcasts to them.

    A table of (n, head size) serves all rows alike, one of (batch, 1, n, head size) each its own.
    """
    cos, sin = table
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
