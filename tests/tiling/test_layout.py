"""A plan is as long as its formula says and puts every token in its place once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.records import IMAGE_END, IMAGE_START, NEWLINE, VIEW_SEPARATOR, Grid
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.layout import plan, tokens

GRIDS = st.builds(Grid, st.integers(1, 12), st.integers(1, 12))


@given(grid=GRIDS, has_global=st.booleans(), has_newline=st.booleans())
def test_plan_is_as_long_as_the_formula_and_holds_each_token_once(
    grid: Grid, has_global: bool, has_newline: bool
) -> None:
    cfg = TilingConfig(has_global=has_global, has_newline=has_newline)
    made = plan(grid, cfg)
    assert len(made) == tokens(grid, cfg)
    visual = np.sort(made.entries[made.entries >= 0])
    np.testing.assert_array_equal(visual, np.arange((grid.tiles + has_global) * 144))
    assert (made.entries == VIEW_SEPARATOR).sum() == has_global
    assert (made.entries == NEWLINE).sum() == has_newline * 12 * (grid.rows + has_global)
    assert (made.tokens_per_tile, made.has_global) == (144, has_global)


@given(grid=GRIDS, has_global=st.booleans(), has_ends=st.booleans())
def test_views_one_after_the_other_stand_in_encoder_order_without_separators(
    grid: Grid, has_global: bool, has_ends: bool
) -> None:
    cfg = TilingConfig(
        tile=448,
        has_global=has_global,
        has_ends=has_ends,
        global_place="last",
        has_newline=False,
    )
    made = plan(grid, cfg)
    assert len(made) == tokens(grid, cfg)
    assert made.has_global == (has_global and grid != (1, 1))
    views = grid.tiles + made.has_global
    inner = made.entries[1:-1] if has_ends else made.entries
    np.testing.assert_array_equal(inner, np.arange(views * 256))
    if has_ends:
        assert (made.entries[0], made.entries[-1]) == (IMAGE_START, IMAGE_END)


@given(grid=GRIDS)
def test_ends_stand_around_a_sequence_with_separators_too(grid: Grid) -> None:
    bare, ended = (plan(grid, TilingConfig(has_ends=it)) for it in (False, True))
    np.testing.assert_array_equal(ended.entries[1:-1], bare.entries)
    assert len(ended) == tokens(grid, TilingConfig(has_ends=True)) == len(bare) + 2


@given(grid=GRIDS)
def test_tokens_equal_the_published_count(grid: Grid) -> None:
    assert tokens(grid, TilingConfig()) == (grid.tiles + 1) * 144 + 1 + (grid.rows + 1) * 12


def test_rows_run_over_the_whole_width_of_the_page() -> None:
    cfg = TilingConfig(tile=56)  # 2 x 2 tokens a tile
    n, s = NEWLINE, VIEW_SEPARATOR
    assert plan(Grid(2, 2), cfg).entries.tolist() == [
        *(0, 1, n, 2, 3, n),
        s,
        *(4, 5, 8, 9, n, 6, 7, 10, 11, n),
        *(12, 13, 16, 17, n, 14, 15, 18, 19, n),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("grid", "count"),
    [(Grid(1, 9), 1561), (Grid(1, 16), 2653), (Grid(1, 25), 4057), (Grid(1, 55), 8737)],
)
def test_longest_plans_are_those_of_the_paper(grid: Grid, count: int) -> None:
    assert len(plan(grid, TilingConfig())) == count
