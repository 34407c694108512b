"""Attention equals the textbook's: softmax over the keys up to each position."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right

from tilewise.nn.attention import attend, causal_mask, join_heads, moved_mask, split_heads


def _qkv(new: int, total: int, batch: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = ((6, new), (2, total), (2, total))
    return tuple(torch.randn(batch, h, n, 8, generator=generator) for h, n in sizes)  # type: ignore[return-value]


def _textbook(q: Tensor, k: Tensor, v: Tensor, pads: Tensor) -> Tensor:
    k, v = (x.repeat_interleave(3, dim=1) for x in (k, v))
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    new, total = scores.shape[-2:]
    place = torch.arange(total)
    is_seen = (place <= torch.arange(total - new, total)[:, None]) & (place >= pads[:, None, None])
    return scores.masked_fill(~is_seen[:, None], -torch.inf).softmax(-1) @ v


@pytest.mark.parametrize(("new", "total"), [(5, 5), (3, 9), (1, 9), (1, 1), (8, 9)])
def test_new_positions_see_all_up_to_their_own(new: int, total: int) -> None:
    q, k, v = _qkv(new, total)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # the kernels without a matrix of scores
        found = attend(q, k, v, causal_mask(new, total, q))
    torch.testing.assert_close(found, _textbook(q, k, v, torch.zeros(1)))


def test_one_new_position_leaves_out_padding() -> None:
    q, k, v = _qkv(1, 7, batch=3)
    pads = torch.tensor([0, 6, 3])
    seen = (torch.arange(7) >= pads[:, None])[:, None, None]
    torch.testing.assert_close(attend(q, k, v, seen), _textbook(q, k, v, pads))


def test_heads_are_split_and_joined() -> None:
    x = torch.arange(24.0).view(1, 2, 12)
    heads = split_heads(x, 3)
    assert heads.shape == (1, 3, 2, 4)
    assert heads[0, 1, 0].tolist() == [4, 5, 6, 7]
    assert torch.equal(join_heads(heads), x)


def test_a_mask_that_stands_for_its_shape_is_made_anew_where_it_goes() -> None:
    like = torch.zeros(1)
    for new, total in ((3, 5), (2, 9)):
        wanted = causal_mask(new, total, like)
        assert wanted is not None
        for mask in (causal_lower_right(new, total), wanted):
            moved = moved_mask(mask, like)
            assert moved is not None
            assert torch.equal(moved, wanted)
    assert moved_mask(None, like) is None
