"""Causal attention with fewer key than query heads, without a matrix of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_FLASH_CAPABILITY = (8, 0)  # CUDA devices below it have no kernel that shares key heads


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Shape: (batch, n, heads * d) -> (batch, heads, n, d), a view."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """Shape: (batch, heads, n, d) -> (batch, n, heads * d)."""
    return x.transpose(1, 2).flatten(2)


def causal_mask(new: int, total: int, like: Tensor) -> Tensor | None:
    """What the last ``new`` of ``total`` positions may look at, for ``attend``.

    Args:
        new, total: counts of positions.
        like: a tensor of the device and dtype that attention will run in.

    Returns:
        None where ``attend`` needs none (a first run, or one new position), else booleans
        (new, total), or their stand-in for kernels that know this shape of mask.
    """
    if new in (1, total):
        return None
    if like.is_cuda and _shares_heads(like):
        from torch.nn.attention import bias  # noqa: PLC0415 - takes seconds, and GPUs alone need it

        return bias.causal_lower_right(new, total)
    return torch.ones(new, total, dtype=torch.bool, device=like.device).tril(total - new)


def moved_mask(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """A mask of ``causal_mask`` or of padding for attention where this tensor lies."""
    if mask is None:
        return None
    if type(mask) is not Tensor:  # a stand-in would lose what it stands for if it were moved
        stand_in: Any = mask
        return causal_mask(stand_in.seq_len_q, stand_in.seq_len_kv, like)
    return mask.to(like.device)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of new positions to all positions up to and including their own.

    Args:
        q: the last ``n`` of ``m`` positions, (batch, heads, n, d).
        k, v: all of them, (batch, key heads, m, d). Query head ``i`` belongs to key head
            ``i * key heads // heads``.
        mask: what ``causal_mask`` gave for n and m; for n = 1 booleans (batch, 1, 1, m) that
            leave out padding, or None.

    Returns:
        (batch, heads, n, d).
    """
    heads, key_heads = q.shape[1], k.shape[1]
    if q.shape[2] == 1:  # the queries of a key head run as one block: each key is read once
        block = q.view(q.shape[0], key_heads, heads // key_heads, -1)
        return F.scaled_dot_product_attention(block, k, v, attn_mask=mask).view(q.shape)
    if not _shares_heads(q):
        k, v = (x.repeat_interleave(heads // key_heads, dim=1) for x in (k, v))
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=k.shape[1] != heads
    )


def attend_each(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
    """Causal attention inside each of the sequences that lie one behind another.

    Args:
        q: (batch, heads, n, d).
        k, v: (batch, key heads, n, d).
        lengths: of the sequences, n together.

    Returns:
        (batch, heads, n, d).
    """
    # split and cat have gradients of the size of their input; slices would each make one anew.
    queries, keys, values = (x.split(list(lengths), dim=2) for x in (q, k, v))
    parts = map(attend, queries, keys, values, [None] * len(lengths))
    return torch.cat([part.transpose(1, 2) for part in parts], dim=1).transpose(1, 2)


def _shares_heads(x: Tensor) -> bool:
    """Whether the kernel for this tensor reads a key head for several query heads by itself."""
    if not x.is_cuda:
        return True
    is_half = x.dtype in (torch.float16, torch.bfloat16)
    return is_half and torch.cuda.get_device_capability(x.device) >= _FLASH_CAPABILITY
