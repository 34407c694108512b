"""Work in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tilewise.runners.local import run
from tilewise.runners.work import Work


def lost(item: int, reason: str) -> Iterator[str]:
    raise AssertionError(reason)


def test_results_come_in_the_order_of_the_items_any_number_of_each() -> None:
    def start() -> Work[int, str]:
        def work(items: Iterable[int]) -> Iterator[str]:
            for item in items:
                yield from [str(item)] * item

        return work

    assert list(run(start, [2, 0, 1], lost)) == ["2", "2", "1"]


def test_nothing_is_started_for_no_items() -> None:
    def start() -> Work[int, str]:
        raise AssertionError("started")

    assert list(run(start, [], lost)) == []
