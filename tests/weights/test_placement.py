"""Parts on devices: in order, within budgets, and wherever any cut fits."""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.errors import WeightsError
from tilewise.weights.placement import Part, place

SIZES = st.lists(st.integers(0, 20), min_size=1, max_size=7)
ROOMS = st.lists(st.integers(0, 40), min_size=1, max_size=4)


def parts_of(sizes: list[int]) -> list[Part]:
    return [Part(name=f"part{i}", size_bytes=size) for i, size in enumerate(sizes)]


def budgets_of(rooms: list[int]) -> dict[str, int]:
    return {f"cuda:{i}": room for i, room in enumerate(rooms)}


def any_cut_fits(sizes: list[int], rooms: list[int]) -> bool:
    """Try every way to cut the parts into one run a device, in order."""
    return any(
        all(
            sum(sizes[start:stop]) <= room
            for (start, stop), room in zip(pairwise((0, *cuts, len(sizes))), rooms, strict=True)
        )
        for cuts in combinations_with_replacement(range(len(sizes) + 1), len(rooms) - 1)
    )


@given(sizes=SIZES, rooms=ROOMS)
def test_parts_are_placed_exactly_where_some_cut_fits(sizes: list[int], rooms: list[int]) -> None:
    parts, budgets = parts_of(sizes), budgets_of(rooms)
    if not any_cut_fits(sizes, rooms):
        with pytest.raises(WeightsError, match="needs"):
            place(parts, budgets)
        return
    placed = place(parts, budgets)
    assert list(placed) == [part.name for part in parts], "every part once, in order"
    order = [list(budgets).index(device) for device in placed.values()]
    assert order == sorted(order), "a device that was left is not gone back to"
    for device, room in budgets.items():
        assert sum(p.size_bytes for p in parts if placed[p.name] == device) <= room


@given(sizes=SIZES, rooms=ROOMS)
def test_what_fits_on_the_first_device_lies_there_alone(sizes: list[int], rooms: list[int]) -> None:
    placed = place(parts_of(sizes), budgets_of([sum(sizes), *rooms]))
    assert set(placed.values()) == {"cuda:0"}


def test_the_error_says_what_is_needed_and_what_is_there() -> None:
    parts = [Part(name=str(i), size_bytes=2**30) for i in range(5)]
    with pytest.raises(
        WeightsError,
        match=r"ixc2 needs 5\.0 GiB and there is room for 3 of its 5 parts "
        r"\(cuda:0 2\.5 GiB, cpu 1\.0 GiB\); choose a smaller dtype",
    ):
        place(parts, {"cuda:0": 5 * 2**29, "cpu": 2**30}, what="ixc2")
