"""Keys and values stay what they were written as, however the buffers grow."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tilewise.nn.kv_cache import KVCache

LAYERS, HEADS, SIZE = 2, 3, 4


def write(
    cache: KVCache, count: int, seed: int
) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
    """Write ``count`` random positions to every layer: what was written, what came back."""
    generator = torch.Generator().manual_seed(seed)
    new = [torch.randn(1, HEADS, count, SIZE, generator=generator) for _ in range(LAYERS)]
    back = [cache.write(i, keys, -keys) for i, keys in enumerate(new)]
    cache.advance(count)
    return new, back


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 4))
def test_everything_written_comes_back_in_order(counts: list[int], room: int) -> None:
    cache = KVCache(LAYERS, 1, HEADS, SIZE, room)
    written: list[list[Tensor]] = [[] for _ in range(LAYERS)]
    for seed, count in enumerate(counts):
        new, back = write(cache, count, seed)
        for layer in range(LAYERS):
            written[layer].append(new[layer])
            keys, values = back[layer]
            assert torch.equal(keys, torch.cat(written[layer], 2))
            assert torch.equal(values, -keys)
    assert cache.length == sum(counts) <= cache.room


def test_buffers_grow_by_doubling() -> None:
    cache = KVCache(LAYERS, 1, HEADS, SIZE, room=4)
    rooms = []
    for seed in range(9):
        write(cache, 1, seed)
        rooms.append(cache.room)
    assert rooms == [4, 4, 4, 4, 8, 8, 8, 8, 16]
    write(cache, 60, 9)
    assert cache.room == 128


def test_a_long_write_grows_once_to_what_it_needs() -> None:
    cache = KVCache(LAYERS, 1, HEADS, SIZE, room=4)
    write(cache, 100, 0)
    assert cache.room == 128


def test_positions_cut_off_are_written_anew() -> None:
    cache = KVCache(LAYERS, 1, HEADS, SIZE, room=2)
    kept, _ = write(cache, 5, 0)
    write(cache, 7, 1)
    cache.truncate(5)
    new, back = write(cache, 2, 2)
    for layer in range(LAYERS):
        assert torch.equal(back[layer][0], torch.cat([kept[layer], new[layer]], 2))
    assert cache.length == 7


def test_a_write_that_was_not_kept_is_forgotten() -> None:
    cache = KVCache(LAYERS, 1, HEADS, SIZE, room=2)
    cache.write(0, torch.ones(1, HEADS, 3, SIZE), torch.ones(1, HEADS, 3, SIZE))
    assert cache.length == 0
    _, back = write(cache, 1, 0)
    assert back[0][0].shape == (1, HEADS, 1, SIZE)


@pytest.mark.parametrize("length", [-1, 6])
def test_a_cache_cannot_be_cut_to_more_than_it_holds(length: int) -> None:
    cache = KVCache(LAYERS, 1, HEADS, SIZE)
    write(cache, 5, 0)
    with pytest.raises(ValueError, match="cache holds 5 positions"):
        cache.truncate(length)
    assert cache.length == 5
