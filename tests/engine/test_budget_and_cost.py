"""Sharing tiles, and saying beforehand what a question costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.tiny_reader import DIM, LAYERS, TinyReader
from tilewise.engine.budget import share_tiles
from tilewise.engine.cost import Cost, measure
from tilewise.errors import ConfigError


@given(max_tiles=st.integers(1, 200), pages=st.integers(1, 300))
def test_shares_are_even_and_never_below_one(max_tiles: int, pages: int) -> None:
    shares = share_tiles(max_tiles, pages)
    assert len(shares) == pages
    assert min(shares) >= 1
    assert max(shares) - min(shares) <= 1
    assert sum(shares) == max(max_tiles, pages)


def test_a_budget_below_one_tile_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_tiles is 0"):
        share_tiles(0, 3)


def test_the_cost_line_counts_what_the_cache_keeps() -> None:
    """Buffers grow by doubling, so what is counted lies between what is filled and its double."""
    cost = measure(TinyReader())
    assert 0 <= cost.token_bytes <= 2 * LAYERS * 2 * DIM * 4
    assert cost.base_bytes > 2**20


def test_the_cost_line_goes_through_what_was_timed() -> None:
    """Seconds from a clock that runs one second a call and ten more in the larger run."""
    times = iter([0.0, 1.0, 10.0, 11.0, 20.0, 31.0])
    reader = TinyReader()
    few = len(reader.plan(1024, 1024, 1)) + len(b"u:What is the title?\n")
    many = len(reader.plan(1024, 1024, 4)) + len(b"u:What is the title?\n")
    cost = measure(reader, lambda: next(times))
    assert cost.seconds(few) == pytest.approx(1.0)
    assert cost.seconds(many) == pytest.approx(11.0)


def test_memory_grows_with_tokens_and_pixels() -> None:
    cost = Cost(base_s=0.0, token_s=0.0, base_bytes=100, token_bytes=2.0)
    assert cost.memory_bytes(10, 0) == 120
    assert cost.memory_bytes(0, 10) == 190
