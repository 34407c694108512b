"""Sequences longer than a model's first table: what a cache gives is what one run gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tilewise.nn.decoder import Decoder, DecoderConfig
from tilewise.nn.kv_cache import KVCache
from tilewise.nn.rope import DynamicNtk, LongRope, RopeScaling

BORDER, WIDTH = 8, 16
LONG = LongRope((1.0, 1.3), (3.0, 9.0), original=BORDER, positions=64)
NTK = DynamicNtk(2.0, BORDER)


def decoder(scaling: RopeScaling | None) -> Decoder:
    built = Decoder(
        DecoderConfig(
            vocabulary=7,
            width=WIDTH,
            layers=3,
            heads=4,
            kv_heads=2,
            mlp=20,
            norm_eps=1e-5,
            rope_theta=100.0,
            rope_scaling=scaling,
        )
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in built.parameters():
            weight.copy_(0.4 * torch.randn(weight.shape, generator=generator))
    return built.eval().requires_grad_(False)


def embedded(count: int, seed: int = 1) -> Tensor:
    return torch.randn(1, count, WIDTH, generator=torch.Generator().manual_seed(seed))


def appended(model: Decoder, x: Tensor, cache: KVCache, held: Tensor) -> Tensor:
    """Decode one position; all of a row again first, where the length asks for another table."""
    for row in model.stale_rows(cache):
        model(held, (), cache.row(row, 0), total=cache.length + 1)
    return model(x, (), cache)


@pytest.mark.parametrize("scaling", [LONG, NTK], ids=["longrope", "dynamic ntk"])
def test_the_table_is_that_of_the_whole_length(scaling: RopeScaling) -> None:
    model, x = decoder(scaling), embedded(BORDER + 1)
    within, beyond = model(x[:, :BORDER], ()), model(x, ())
    assert not torch.allclose(within, beyond[:, :BORDER], atol=1e-3)
    torch.testing.assert_close(model(x[:, :BORDER], (), total=BORDER + 1), beyond[:, :BORDER])


@pytest.mark.parametrize("scaling", [LONG, NTK], ids=["longrope", "dynamic ntk"])
@pytest.mark.parametrize("chunk", [1, 3, BORDER, 10])
@pytest.mark.parametrize("length", [BORDER, BORDER + 5])
def test_a_prompt_in_chunks_that_knows_its_length_is_one_run(
    scaling: RopeScaling, chunk: int, length: int
) -> None:
    model, x = decoder(scaling), embedded(length)
    cache = model.new_cache(1, 4)
    parts = [
        model(x[:, at : at + chunk], (), cache, total=length) for at in range(0, length, chunk)
    ]
    torch.testing.assert_close(torch.cat(parts, 1), model(x, ()))
    assert cache.regimes == [model.regime(length)]


@pytest.mark.parametrize("scaling", [LONG, NTK], ids=["longrope", "dynamic ntk"])
def test_decoding_over_the_border_is_one_run_where_stale_rows_run_again(
    scaling: RopeScaling,
) -> None:
    model, x = decoder(scaling), embedded(BORDER + 4)
    cache = model.new_cache(1, 32)
    model(x[:, :5], (), cache)
    for at in range(5, BORDER + 4):
        found = appended(model, x[:, at : at + 1], cache, x[:, :at])
        torch.testing.assert_close(found, model(x[:, : at + 1], ())[:, -1:])


def test_only_the_border_makes_rows_stale() -> None:
    model, cache = decoder(LONG), decoder(LONG).new_cache(1, 32)
    stale = []
    for at in range(BORDER + 4):
        if at and model.stale_rows(cache):
            stale.append(at)
            cache.truncate(0)
            model(embedded(at), (), cache, total=at + 1)
        model(embedded(1), (), cache)
    assert stale == [BORDER]


@pytest.mark.parametrize("scaling", [LONG, NTK], ids=["longrope", "dynamic ntk"])
def test_a_cache_is_not_continued_by_another_table(scaling: RopeScaling) -> None:
    model, cache = decoder(scaling), decoder(scaling).new_cache(1, 32)
    model(embedded(BORDER), (), cache)
    with pytest.raises(ValueError, match=r"8 positions were rotated for regime \[0\]"):
        model(embedded(1), (), cache)
    assert cache.length == BORDER
    cache.truncate(0)
    whole = model(embedded(BORDER + 1), (), cache)
    torch.testing.assert_close(whole, model(embedded(BORDER + 1), ()))
    cache.truncate(3)  # a shorter conversation, which one run would give another table
    with pytest.raises(ValueError, match="run those rows again"):
        model(embedded(1), (), cache)


def test_a_length_said_beforehand_holds_for_all_that_follows() -> None:
    model, x = decoder(NTK), embedded(BORDER + 6)
    cache, end = model.new_cache(1, 4), BORDER + 6
    parts = [model(x[:, at : at + 1], (), cache, total=end) for at in range(end)]
    torch.testing.assert_close(torch.cat(parts, 1), model(x, ()))


def test_rows_of_other_lengths_are_each_as_on_their_own() -> None:
    model, lengths = decoder(LONG), (3, BORDER + 2, BORDER - 1)
    longest = max(lengths)
    pads = [longest - length for length in lengths]
    rows = [embedded(length, seed) for seed, length in enumerate(lengths)]
    cache = model.new_cache(3, 32)
    for row, (x, pad) in enumerate(zip(rows, pads, strict=True)):
        model(x, (), cache.row(row, pad))
    cache.advance(longest)
    assert cache.regimes == [0, 1, 0]
    moved = torch.tensor(pads)
    stale = []
    for seed in range(10, 14):
        for row in model.stale_rows(cache, moved):
            stale.append((row, rows[row].shape[1]))
            again = cache.row(row, pads[row])
            model(rows[row], (), again, total=rows[row].shape[1] + 1)
        new = torch.cat([embedded(1, seed + 10 * row) for row in range(3)])
        rows = [torch.cat([x, new[row : row + 1]], 1) for row, x in enumerate(rows)]
        found = model(new, (), cache, moved)
        for row, x in enumerate(rows):
            torch.testing.assert_close(found[row : row + 1], model(x, ())[:, -1:])
    assert stale == [(2, BORDER)]


@pytest.mark.parametrize("order", [[1, 0], [1, 1, 0], [0]])
def test_chosen_rows_keep_their_tables(order: list[int]) -> None:
    model = decoder(LONG)
    cache = model.new_cache(2, 32)
    model(embedded(BORDER + 2), (), cache.row(0, 0))
    model(embedded(4), (), cache.row(1, BORDER - 2))
    cache.advance(BORDER + 2)
    assert cache.regimes == [1, 0]
    assert cache.select(torch.tensor(order)).regimes == [1 - row for row in order]


def test_without_scaling_there_is_one_table_and_nothing_is_stale() -> None:
    model, cache = decoder(None), decoder(None).new_cache(2, 4)
    model(embedded(50).expand(2, -1, -1), (), cache)
    assert model.regime(10**6) == 0
    assert model.stale_rows(cache) == []
    assert model.stale_rows(cache, torch.tensor([0, 3])) == []
