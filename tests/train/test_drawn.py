"""Batches by number: the same ones with any number of workers, from any place, for any rank."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import pytest
import torch
from torch import Tensor

from tilewise.errors import TrainingError
from tilewise.train.drawn import LAG, Drawn, Order
from tilewise.train.ranks import shared_out


@dataclass(frozen=True)
class Pairs:
    """Chunks of two batches that say their number, their level, and their place."""

    scale: int = 1

    def __call__(self, order: Order) -> list[Tensor]:
        return [torch.tensor([self.scale * order.number, order.level, n]) for n in range(2)]


def _said(drawn: Drawn[Tensor], count: int) -> list[list[int]]:
    return [batch.tolist() for batch in islice(iter(lambda: next(drawn), None), count)]


def test_batches_come_in_the_order_of_their_numbers() -> None:
    assert _said(Drawn(Pairs(), size=2), 5) == [
        [0, 0, 0],
        [0, 0, 1],
        [1, 0, 0],
        [1, 0, 1],
        [2, 0, 0],
    ]


def test_workers_make_the_same_batches_and_their_time_counts() -> None:
    drawn = Drawn(Pairs(3), 2, size=2)
    try:
        assert _said(drawn, 20) == _said(Drawn(Pairs(3), size=2), 20)
        assert drawn.worker_s > 0
    finally:
        drawn.close()


@pytest.mark.parametrize("at", [0, 1, 4, 7])
def test_a_row_goes_on_from_any_place(at: int) -> None:
    drawn = Drawn(Pairs(), size=2)
    _said(drawn, at)
    drawn.level = 5
    state = drawn.state()
    again = Drawn(Pairs(), size=2)
    again.load_state(state)
    assert again.state() == state
    assert _said(again, 2 * LAG + 9) == _said(drawn, 2 * LAG + 9)


def test_a_new_level_comes_behind_the_same_batches_whatever_workers_have_made() -> None:
    alone = Drawn(Pairs(), size=2)
    helped = Drawn(Pairs(), 1, size=2)
    try:
        for drawn in (alone, helped):
            _said(drawn, 3)
            drawn.level = 7
        said = _said(alone, 2 * LAG + 4)
        assert said == _said(helped, 2 * LAG + 4)
        levels = [level for _, level, _ in said]
        assert levels == [0] * (2 * LAG - 1) + [7] * 5
    finally:
        helped.close()


def test_a_batch_is_made_again_by_its_place() -> None:
    drawn = Drawn(Pairs(), size=2, rank=1, world=3)
    given = _said(drawn, 8)
    assert [drawn.again(place).tolist() for place in range(8)] == given


def test_ranks_share_the_numbers() -> None:
    ranks = [Drawn(Pairs(), size=2, rank=rank, world=2) for rank in range(2)]
    numbers = [[number for number, _, _ in _said(drawn, 4)] for drawn in ranks]
    assert numbers == [[0, 0, 2, 2], [1, 1, 3, 3]]


def test_other_numbers_of_ranks_go_on_behind_what_was_given() -> None:
    drawn = Drawn(Pairs())
    _said(drawn, 7)
    two = shared_out([drawn.state()], 2)
    assert [state["number"] for state in two] == [4, 4]
    (one,) = shared_out(two, 1)
    assert one["number"] == 8
    with pytest.raises(TrainingError, match="cannot be shared out"):
        shared_out([{"at": 1}], 2)
