"""Items are loaded ahead, in bounds, and come out in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tilewise.folder.ahead import Ahead


def twice(item: int) -> Iterator[str]:
    time.sleep(0.002 * (item % 3))
    yield f"{item}a"
    yield f"{item}b"


def test_results_come_in_the_order_of_the_items() -> None:
    with Ahead(twice, range(30), threads=4, items_ahead=6) as ahead:
        got = list(ahead)
    wanted = [(i, part) for i in range(30) for part in (f"{i}a", f"{i}b", None)]
    assert got == wanted


def test_no_more_is_loaded_than_agreed() -> None:
    loaded: list[int] = []

    def load(item: int) -> Iterator[int]:
        for part in range(5):
            loaded.append(item)
            yield part

    with Ahead(load, range(100), threads=2, items_ahead=3, results_ahead=2) as ahead:
        (item, part), *_ = iter([next(iter(ahead))])
        time.sleep(0.2)
        assert (item, part) == (0, 0)
        assert max(loaded) < 3
        assert len(loaded) <= 1 + 3 * (2 + 1)


def test_an_error_arrives_at_its_place() -> None:
    def load(item: int) -> Iterator[int]:
        yield item
        if item == 3:
            raise ValueError("three")

    with Ahead(load, range(9)) as ahead:
        parts = iter(ahead)
        got = [next(parts) for _ in range(7)]
        with pytest.raises(ValueError, match="three"):
            next(parts)
    assert got[-1] == (3, 3)


def test_leaving_early_stops_the_threads_and_closes_what_is_open() -> None:
    closed = threading.Event()

    def load(item: int) -> Iterator[int]:
        try:
            while True:
                yield item
        finally:
            closed.set()

    before = threading.active_count()
    with Ahead(load, range(100)) as ahead:
        assert next(iter(ahead)) == (0, 0)
    assert closed.wait(1)
    assert threading.active_count() == before


def test_nothing_gives_nothing() -> None:
    none: list[int] = []
    with Ahead(twice, none) as ahead:
        assert list(ahead) == []
