"""Every character of a canvas is asked for in the slot that holds its centre."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.models.nano.alphabet import class_of
from tilewise.models.nano.config import COLUMN, HALF_ROW
from tilewise.models.nano.slots import EM, IGNORE, SMALLEST_PX, SlotTargets, slot_targets


def targets(
    *chars: tuple[str, float, float], size: float = 16.0, width: int = 112, height: int = 56
) -> SlotTargets:
    return slot_targets(
        np.array([ord(c) for c, _, _ in chars], np.uint32),
        np.array([x for _, x, _ in chars], np.float32),
        np.array([y for _, _, y in chars], np.float32),
        np.full(len(chars), size, np.float32),
        np.arange(len(chars), dtype=np.uint8) % 3,
        width,
        height,
    )


@given(x=st.floats(0, 111.875, width=32), y=st.floats(0, 55.875, width=32))
def test_a_character_stands_in_the_slot_of_its_centre_with_its_offset(x: float, y: float) -> None:
    found = targets(("a", x, y), size=20.0)
    row, col = int(y // HALF_ROW), int(x // COLUMN)
    assert np.argwhere(found.char > 0).tolist() == [[row, col]]
    assert found.char[row, col] == class_of("a")
    assert found.link[row, col] == 0
    assert (found.link != IGNORE).sum() == 1
    dx, dy, size = found.place[:, row, col]
    assert (col + 0.5 + dx) * COLUMN == pytest.approx(x, abs=1e-3)
    assert (row + 0.5 + dy) * HALF_ROW == pytest.approx(y, abs=1e-3)
    assert EM * np.exp(size) == pytest.approx(20.0, rel=1e-5)


def test_shapes_are_half_rows_by_columns() -> None:
    found = targets()
    assert found.char.shape == found.link.shape == (4, 28)
    assert found.place.shape == (3, 4, 28)
    assert not found.char.any()


@pytest.mark.parametrize(("second_x", "goes_to"), [(43.0, 11), (41.0, 9)])
def test_a_second_character_in_a_slot_goes_to_the_side_where_it_stands(
    second_x: float, goes_to: int
) -> None:
    found = targets(("a", 42.0, 21.0), ("b", second_x, 21.0))
    assert found.char[1, 10] == class_of("a")
    assert found.char[1, goes_to] == class_of("b")
    assert (goes_to + 0.5 + found.place[0, 1, goes_to]) * COLUMN == pytest.approx(second_x)


def test_a_third_character_where_there_is_no_room_is_left_out() -> None:
    found = targets(("a", 42.0, 21.0), ("b", 46.0, 21.0), ("c", 43.0, 21.0))
    assert sorted(found.char[found.char > 0].tolist()) == [class_of("a"), class_of("b")]
    at_edge = targets(("a", 1.0, 21.0), ("b", 0.5, 21.0))
    assert at_edge.char[1, 0] == class_of("a")
    assert (at_edge.char > 0).sum() == 1


@pytest.mark.parametrize(
    ("x", "y", "ignored"),
    [
        (42.0, 21.0, []),
        (43.5, 21.0, [(1, 11)]),
        (40.5, 21.0, [(1, 9)]),
        (42.0, 27.0, [(2, 10)]),
        (42.0, 15.0, [(0, 10)]),
        (43.5, 27.0, [(1, 11), (2, 10)]),
    ],
)
def test_the_neighbour_across_a_near_border_is_ignored(
    x: float, y: float, ignored: list[tuple[int, int]]
) -> None:
    found = targets(("a", x, y))
    assert [tuple(at) for at in np.argwhere(found.char == IGNORE).tolist()] == ignored


def test_what_cannot_be_read_is_neither_asked_for_nor_punished() -> None:
    for unread in (
        targets(("\u4e2d", 42.0, 21.0)),
        targets(("a", 42.0, 21.0), size=SMALLEST_PX - 0.1),
    ):
        assert unread.char[1, 10] == IGNORE
        assert (unread.char > 0).sum() == 0
        assert (unread.link == IGNORE).all()
    beside = targets(("a", 42.0, 21.0), ("\u4e2d", 42.5, 21.0))
    assert beside.char[1, 10] == class_of("a")


def test_characters_off_the_canvas_are_left_out() -> None:
    found = targets(("a", -1.0, 21.0), ("b", 112.5, 21.0), ("c", 42.0, -3.0), ("d", 42.0, 56.5))
    assert (found.char == 0).all()


def test_the_neighbour_across_a_near_border_is_told_class_and_place() -> None:
    found = targets(("a", 43.5, 21.0))
    assert found.near[1, 11] == class_of("a")
    assert np.allclose(found.place[:, 1, 11], (43.5 / 4 - 11.5, 0.0, found.place[2, 1, 10]))
    assert (found.near > 0).sum() == 1
    shared = targets(("a", 43.5, 21.0), ("b", 48.5, 21.0))  # both near the slot between them
    assert shared.char[1, 11] == IGNORE
    assert shared.near[1, 11] == 0
