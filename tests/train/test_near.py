"""Orders that keep rows of a group close: permutations that are taken up anywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tilewise.train.near import RowOrder, spread, windows_of

groups = st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(lambda sizes: sum(sizes) > 0)


@given(groups, st.integers(0, 99), st.integers(0, 3))
def test_each_row_comes_once_and_its_position_is_found(
    sizes: list[int], seed: int, epoch: int
) -> None:
    order = RowOrder(sizes, seed)
    rows = [order.row(position, epoch) for position in range(len(order))]
    assert sorted(rows) == list(range(sum(sizes)))
    assert [order.position(row, epoch) for row in rows] == list(range(sum(sizes)))


def test_rows_of_a_group_come_together_and_in_another_order_in_another_pass() -> None:
    order = RowOrder([10] * 8, 3)
    first = [order.row(position, 0) for position in range(80)]
    groups = [row // 10 for row in first]
    assert all(len(set(groups[at : at + 10])) == 1 for at in range(0, 80, 10))
    assert groups[::10] != sorted(groups[::10])
    assert first != [order.row(position, 1) for position in range(80)]
    assert first != [RowOrder([10] * 8, 4).row(position, 0) for position in range(80)]


@given(groups, st.integers(1, 12), st.integers(0, 99))
def test_a_mixture_has_everything_once_and_goes_through_each_row(
    sizes: list[int], windows: int, seed: int
) -> None:
    found = [spread(position, sizes, windows, seed) for position in range(sum(sizes))]
    assert sorted(found) == [(n, at) for n, size in enumerate(sizes) for at in range(size)]
    for row, size in enumerate(sizes):
        places = [at for n, at in found if n == row]
        most = size // windows + 1  # things of the row in a window
        assert all(abs(at - number) < most for number, at in enumerate(places))


def test_a_mixture_of_equal_rows_takes_from_both_all_the_time() -> None:
    found = [spread(position, [400, 400], 10, 1)[0] for position in range(800)]
    for start in range(0, 800, 80):
        assert sum(found[start : start + 80]) == 40


def test_windows_are_about_as_large_as_the_largest_group() -> None:
    assert windows_of([10, 10, 10]) == 3
    assert windows_of([10, 3]) == 1
    assert windows_of([0]) == 1
