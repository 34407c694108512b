"""Rows of batches: pages come again, also behind a stop, and grow as locating goes well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilewise.train.drawn import LAG, Drawn, Order
from tilewise.train.nano.decoder import FIRST, Growing
from tilewise.train.nano.proof import AGAIN, NEW, Replayed
from tilewise.train.report import StepReport


@dataclass(frozen=True)
class Orders:
    """Chunks of one batch, which is its order."""

    def __call__(self, order: Order) -> list[Any]:
        return [order]


def _report(step: int, steps: int, first: float) -> StepReport:
    return StepReport(
        step=step,
        steps=steps,
        loss=0.0,
        lr=0.0,
        norm=0.0,
        tokens=0,
        tiles=0,
        step_s=0.0,
        tokens_per_s=0.0,
        tiles_per_s=0.0,
        left_s=0.0,
        memory_mib=0.0,
        numbers={FIRST: first},
    )


def _numbers(batch: list[Any]) -> list[int]:
    return [order.number for order in batch]


def test_new_pages_come_once_and_four_of_the_last_ones_with_them() -> None:
    row = Replayed(Drawn(Orders()), seed=3, kept=10)
    batches = [_numbers(next(row)) for _ in range(30)]
    assert [batch[:NEW] for batch in batches] == [[2 * n, 2 * n + 1] for n in range(30)]
    for n, batch in enumerate(batches):
        again = batch[NEW:]
        assert len(set(again)) == len(again) == min(AGAIN, 2 * (n + 1))
        assert all(max(0, 2 * n + 2 - 10) <= number <= 2 * n + 1 for number in again)


def test_pages_that_come_again_are_made_again_behind_a_stop() -> None:
    row = Replayed(Drawn(Orders()), seed=3, kept=10)
    for _ in range(7):
        next(row)
    again = Replayed(Drawn(Orders()), seed=3, kept=10)
    again.load_state(row.state())
    assert [next(again) for _ in range(5)] == [next(row) for _ in range(5)]


def test_pages_grow_with_the_share_of_the_run() -> None:
    drawn = Drawn[Any](Orders(), level=1)
    row = Growing(drawn)
    levels = []
    for step in range(1, 101):
        row.follow(_report(step, 100, first=2.0))
        levels.append(drawn.level)
    assert [levels[share - 1] for share in (1, 5, 6, 14, 15, 29, 30, 44, 45, 100)] == [
        1, 1, 2, 2, 4, 4, 9, 9, 16, 16,
    ]  # fmt: skip


def test_pages_grow_sooner_where_locating_goes_well_also_behind_a_stop() -> None:
    drawn = Drawn[Any](Orders(), level=1)
    row = Growing(drawn)
    for step in range(1, 90):
        row.follow(_report(step, 10_000, first=0.1))
    again = Growing(Drawn(Orders(), level=1))
    again.load_state(row.state())
    for step in range(90, 130):
        for one in (row, again):
            one.follow(_report(step, 10_000, first=0.1))
    assert drawn.level == 2
    assert again.state() == row.state()
    orders: list[list[Any]] = [[next(one) for _ in range(LAG + 2)] for one in (row, again)]
    assert orders[0] == orders[1]
    assert [order.level for order in orders[0]] == [1] * LAG + [2, 2]
