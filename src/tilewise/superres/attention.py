"""Attention between channels, for features that must see the whole image.

Source: SDAN (cross packing attention); DANet (arXiv 1809.02983) for the weights by unlikeness;
RCAN (arXiv 1807.02758) for the channel attention that per-point offsets are found with.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn


def pack(x: Tensor, side: int) -> Tensor:
    """Fold blocks of ``side`` x ``side`` pixels into channels: block rows, columns, channels.

    Shape: (b, c, h * side, w * side) -> (b, side * side * c, h, w)
    """
    return rearrange(x, "b c (h p) (w q) -> b (p q c) h w", p=side, q=side)


def unpack(x: Tensor, side: int) -> Tensor:
    """The inverse of ``pack``."""
    return rearrange(x, "b (p q c) h w -> b c (h p) (w q)", p=side, q=side)


def pad_to_multiple(x: Tensor, side: int) -> Tensor:
    """Mirror rows and columns past the bottom and the right edge until ``side`` divides both.

    The edge itself is not repeated, so that a mosaic keeps its pattern. Images smaller than what
    is missing are mirrored again and again. Shape: (..., h, w) -> (..., h', w')
    """
    for axis in (-2, -1):
        size = x.shape[axis]
        whole = (size + side - 1) // side * side
        if torch.onnx.is_in_onnx_export() or whole != size:  # a graph is for all sizes
            period = torch.full((1,), torch.sym_max(1, 2 * size - 2), device=x.device)
            place = torch.arange(whole, device=x.device) % period
            x = x.index_select(axis, torch.minimum(place, 2 * size - 2 - place).abs())
    return x


class PackingAttention(nn.Module):
    """Blocks of pixels become channels, and each takes from those that are least like it.

    Only the gain is learned; it starts at 0, where features pass unchanged. Runs in float32, as
    the sums over an image leave the range of half precision.

    Shape: (b, c, h, w), kept; h and w are multiples of ``side``.

    Args:
        side: of a block, in pixels.
        positions: blocks of a training crop, to which the sharpness is held; None lets it grow
            with the image.
    """

    def __init__(self, side: int, positions: int | None = None) -> None:
        super().__init__()
        self.side, self.positions = side, positions
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            packed = pack(x, self.side)
            flat = packed.flatten(2)  # b d n
            flat = flat.float() if x.dtype in {torch.float16, torch.bfloat16} else flat
            likeness = flat @ flat.mT  # b d d
            if self.positions:
                likeness = likeness * (self.positions / flat.shape[2])
            mixed = torch.softmax(-likeness, -1) @ flat
            out = self.gain * mixed + flat
            return unpack(out.view_as(packed), self.side).to(x.dtype)


class ChannelAttention(nn.Module):
    """Scale channels by what their means over the image tell. Shape: (b, c, h, w), kept."""

    def __init__(self, width: int, shrink: int = 16) -> None:
        super().__init__()
        inner = max(1, width // shrink)
        self.down, self.up = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((-2, -1), keepdim=True)
        return x * torch.sigmoid(self.up(torch.relu(self.down(mean))))
