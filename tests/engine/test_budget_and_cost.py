"""Sharing tiles, and saying beforehand what a question costs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.tiny_reader import DIM, LAYERS, TinyReader
from tilewise.engine.budget import check_context, share_tiles
from tilewise.engine.cost import Cost, measure
from tilewise.errors import ConfigError, PromptError


@given(max_tiles=st.integers(1, 200), pages=st.integers(1, 300))
def test_shares_are_even_and_never_below_one(max_tiles: int, pages: int) -> None:
    shares = share_tiles(max_tiles, pages)
    assert len(shares) == pages
    assert min(shares) >= 1
    assert max(shares) - min(shares) <= 1
    assert sum(shares) == max(max_tiles, pages)


@given(max_tiles=st.integers(1, 200), is_frame=st.lists(st.booleans(), min_size=1, max_size=60))
def test_frames_get_one_tile_and_pages_what_they_would_get_alone(
    max_tiles: int, is_frame: list[bool]
) -> None:
    shares = share_tiles(max_tiles, len(is_frame), is_frame)
    pages = is_frame.count(False)
    of_pages = [share for share, each in zip(shares, is_frame, strict=True) if not each]
    assert of_pages == list(share_tiles(max_tiles, pages) if pages else ())
    assert [share for share, each in zip(shares, is_frame, strict=True) if each] == [
        1
    ] * is_frame.count(True)


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


@given(
    sizes=st.lists(st.tuples(st.integers(8, 90), st.integers(8, 90)), min_size=1, max_size=40),
    tiles=st.integers(1, 400),
)
def test_the_way_out_of_a_full_context_leads_out(sizes: list[tuple[int, int]], tiles: int) -> None:
    reader = TinyReader()
    budget = share_tiles(tiles, len(sizes))
    try:
        check_context(reader, sizes, budget)
    except PromptError as err:
        pages = re.search(r"--pages 1-(\d+)", str(err))
        most = re.search(r"--max-tiles (\d+)", str(err))
        chosen = sizes[: int(pages[1])] if pages else sizes
        assert most is not None
        check_context(reader, chosen, share_tiles(int(most[1]), len(chosen)))
        if not pages:
            assert int(most[1]) < sum(budget)


@given(
    pages=st.lists(st.tuples(st.integers(8, 90), st.integers(8, 90), st.booleans()), min_size=1),
    tiles=st.integers(1, 400),
)
def test_the_way_out_with_frames_leads_out_too(
    pages: list[tuple[int, int, bool]], tiles: int
) -> None:
    pages = pages * 20
    reader, sizes = TinyReader(), [(width, height) for width, height, _ in pages]
    is_frame = [each for _, _, each in pages]
    try:
        check_context(reader, sizes, share_tiles(tiles, len(pages), is_frame), is_frame)
    except PromptError as err:
        most = re.search(r"--max-tiles (\d+)", str(err))
        fit = re.search(r"the first (\d+) of them fit", str(err))
        count = int(fit[1]) if fit else len(pages)
        limit = int(most[1]) if most else 1
        shares = share_tiles(limit, count, is_frame[:count])
        check_context(reader, sizes[:count], shares, is_frame[:count])


def test_sizes_are_asked_for_no_longer_than_needed() -> None:
    asked = (size for size in [(90, 90)] * 10_000)
    with pytest.raises(PromptError, match=r"10000 pages are too many"):
        check_context(TinyReader(), asked, share_tiles(10, 10_000))
    assert len(list(asked)) > 9_500
