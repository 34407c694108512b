"""Folding neighbouring patches into one token."""

from __future__ import annotations

from math import isqrt

from einops import rearrange
from torch import Tensor


def merge_patches(patches: Tensor, side: int = 2) -> Tensor:
    """Fold each ``side × side`` block of patches of a square tile into one wider token.

    Channels are joined row by row: top left, top right, bottom left, bottom right for a side
    of 2.

    Shape: (n, h*s*w*s, d) -> (n, h*w, s*s*d) for n square tiles, d channels, h = w.
    """
    h = isqrt(patches.shape[1]) // side
    return rearrange(patches, "n (h s1 w s2) d -> n (h w) (s1 s2 d)", h=h, s1=side, s2=side)
