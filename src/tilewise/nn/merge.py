"""Folding neighbouring patches into one token."""

from __future__ import annotations

from math import isqrt

from einops import rearrange
from torch import Tensor


def merge_patches(
    patches: Tensor,
    side: int = 2,
    *,
    is_transposed: bool = False,
    grid: tuple[int, int] | None = None,
) -> Tensor:
    """Fold each ``side × side`` block of patches of a tile into one wider token.

    Channels are joined row by row: top left, top right, bottom left, bottom right for a side
    of 2.

    Args:
        patches: of n tiles, row by row, d channels each.
        side: of a block.
        is_transposed: list tokens column by column instead of row by row, as the first version
            of InternVL's pixel shuffle does.
        grid: (rows, cols) of patches, whole blocks; None for a square tile.

    Shape: (n, h*s*w*s, d) -> (n, h*w, s*s*d).

    Source: InternVL 1.5 (arXiv 2404.16821), pixel shuffle.
    """
    rows, cols = grid or [isqrt(patches.shape[1])] * 2
    order = "(w h)" if is_transposed else "(h w)"
    return rearrange(
        patches,
        f"n (h s1 w s2) d -> n {order} (s1 s2 d)",
        h=rows // side,
        w=cols // side,
        s1=side,
        s2=side,
    )
