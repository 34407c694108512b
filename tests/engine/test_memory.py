"""Memory is added up from a reader's sizes, and too much of it is refused beforehand."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.tiny_reader import TinyReader
from tilewise.engine.budget import share_tiles
from tilewise.engine.memory import ANSWER_TOKENS, check_memory, needed_bytes
from tilewise.errors import ConfigError
from tilewise.models.reader import Footprint

FOOTPRINT = Footprint(
    weights_bytes=10**9,
    token_bytes=100,
    tile_bytes=1000,
    vision_bytes=50_000,
    run_bytes=10,
    run_tokens=600,
)
READER = TinyReader()


def needed(sizes: list[tuple[int, int]], tiles: int, rows: int = 1) -> int:
    plans = [
        READER.plan(*size, most)
        for size, most in zip(sizes, share_tiles(tiles, len(sizes)), strict=True)
    ]
    count = sum(int((plan.entries >= 0).sum()) // plan.tokens_per_tile for plan in plans)
    return needed_bytes(READER.footprint(), sum(map(len, plans)), count, rows=rows)


def test_parts_are_added_up() -> None:
    kept = (500 + ANSWER_TOKENS) * 100
    assert needed_bytes(FOOTPRINT, 500, 3) == kept + 3 * 1000 + 50_000
    beams = 5 * kept  # four beams, and one row more while rows are chosen
    assert needed_bytes(FOOTPRINT, 500, 3, rows=4) == beams + 3 * 1000 + 50_000


def test_the_decoder_counts_where_it_needs_more_than_the_encoder_and_by_the_chunk() -> None:
    large = Footprint(
        weights_bytes=0, token_bytes=0, tile_bytes=0, vision_bytes=50, run_bytes=10, run_tokens=600
    )
    assert [needed_bytes(large, tokens, 1) for tokens in (1, 500, 600, 9000)] == [
        50,
        5000,
        6000,
        6000,
    ]


@given(
    sizes=st.lists(st.tuples(st.integers(8, 90), st.integers(8, 90)), min_size=1, max_size=3),
    tiles=st.integers(3, 20),
    rows=st.integers(1, 3),
    left=st.integers(0, 1_500_000),
)
def test_the_budget_that_is_named_fits_and_the_next_one_does_not(
    sizes: list[tuple[int, int]], tiles: int, rows: int, left: int
) -> None:
    budget = share_tiles(tiles, len(sizes))
    if needed(sizes, tiles, rows) <= left:
        check_memory(READER, sizes, budget, left, rows=rows)
        return
    with pytest.raises(ConfigError) as caught:
        check_memory(READER, sizes, budget, left, rows=rows)
    named = re.search(r"--max-tiles (\d+)", str(caught.value))
    if named is None:
        assert needed(sizes, len(sizes), rows) > left
        assert "too little for one tile a page" in str(caught.value)
    else:
        most = int(named[1])
        assert needed(sizes, most, rows) <= left < needed(sizes, most + 1, rows)


def test_nothing_is_checked_where_memory_is_unknown() -> None:
    check_memory(READER, [(10**4, 10**4)], [10**3], None)


def test_the_message_says_how_much_of_what() -> None:
    with pytest.raises(
        ConfigError,
        match=r"1 MiB of memory would be needed besides the weights of tiny, and 0 MiB are "
        r"available, too little for one tile a page; use fewer beams, fewer pages or another",
    ):
        check_memory(READER, [(20, 20)], [4], 5, rows=2)


def test_frames_are_counted_with_one_tile_each() -> None:
    sizes, is_frame = [(90, 90), (90, 90), (90, 90)], [False, True, True]
    budget = share_tiles(9, 3, is_frame)
    assert budget == (9, 1, 1)
    plans = [READER.plan(90, 90, most) for most in (4, 1, 1)]
    tiles = sum(int((plan.entries >= 0).sum()) // plan.tokens_per_tile for plan in plans)
    left = needed_bytes(READER.footprint(), sum(map(len, plans)), tiles)
    # 5 to 8 tiles give a square page no more than 4 do
    with pytest.raises(ConfigError, match=r"at most 8 tiles \(--max-tiles 8\)"):
        check_memory(READER, sizes, budget, left, is_frame=is_frame)
    with pytest.raises(ConfigError, match=r"use fewer frames \(--frames\) or another device"):
        check_memory(READER, sizes, (1, 1, 1), 5, is_frame=[True] * 3)
