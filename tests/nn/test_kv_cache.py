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


def test_a_row_is_written_in_the_same_memory() -> None:
    cache = KVCache(LAYERS, 2, HEADS, SIZE, room=6)
    part = cache.row(1, 2)
    write(part, 3, 0)
    new, _ = write(part, 1, 1)
    assert (part.length, cache.length) == (4, 0)
    cache.advance(6)
    keys, values = cache.write(0, torch.ones(2, HEADS, 1, SIZE), torch.ones(2, HEADS, 1, SIZE))
    assert torch.equal(keys[1:, :, 5:6], new[0])
    assert torch.equal(values[1:, :, 5:6], -new[0])
    assert not keys[0, :, :6].any()
    assert not keys[1, :, :2].any()


@pytest.mark.parametrize("order", [[1, 0], [0, 0], [1, 1, 0], [1]])
def test_rows_are_chosen(order: list[int]) -> None:
    cache = KVCache(LAYERS, 2, HEADS, SIZE, room=4)
    both = torch.randn(2, HEADS, 3, SIZE, generator=torch.Generator().manual_seed(0))
    for layer in range(LAYERS):
        cache.write(layer, both, -both)
    cache.advance(3)
    chosen = cache.select(torch.tensor(order))
    more = torch.ones(len(order), HEADS, 1, SIZE)
    for layer in range(LAYERS):
        keys, values = chosen.write(layer, more, more)
        assert torch.equal(keys, torch.cat([both[order], more], 2))
        assert torch.equal(values[:, :, :3], -both[order])
    assert chosen.batch == len(order)


def test_positions_said_to_be_the_same_are_not_copied() -> None:
    cache = KVCache(1, 2, HEADS, SIZE, room=4)
    both = torch.arange(2.0)[:, None, None, None].expand(2, HEADS, 3, SIZE)
    cache.write(0, both, both)
    cache.advance(3)
    keys, _ = cache.select(torch.tensor([1, 1]), same=2).write(0, both[:, :, :1], both[:, :, :1])
    assert keys[0, 0, :, 0].tolist() == [0, 0, 1, 0]


def test_keys_keep_their_dtype_and_device() -> None:
    cache = KVCache(
        2, 1, HEADS, SIZE, dtype=torch.bfloat16, devices=[torch.device("meta"), torch.device("cpu")]
    )
    new = torch.ones(1, HEADS, 1, SIZE, dtype=torch.bfloat16)
    keys, values = cache.write(1, new, new)
    assert keys.dtype == values.dtype == torch.bfloat16
    assert keys.device.type == "cpu"
    assert cache.write(0, new.to("meta"), new.to("meta"))[0].device.type == "meta"
