"""Work that runs in threads ahead of the one who needs its results."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

JOIN_S: Final = 5.0
"""How long threads are waited for at the end; one that hangs in a decoder dies with the process."""


@dataclass(slots=True, eq=False)
class _Slot(Generic[Item, Result]):
    """An item under way: results that are ready, and how it ended."""

    item: Item
    ready: deque[Result] = field(default_factory=deque)
    is_ended: bool = False
    error: BaseException | None = None


class Ahead(Generic[Item, Result]):
    """Turns items into results in threads; results are taken in the order of the items.

    Args:
        load: gives the results of one item, any number of them; runs in a thread.
        items: what to load.
        threads: items loaded at the same time.
        items_ahead: items that may be loaded, wholly or in part, before they are needed.
        results_ahead: results of one item that may wait to be taken.
    """

    def __init__(
        self,
        load: Callable[[Item], Iterator[Result]],
        items: Iterable[Item],
        *,
        threads: int = 2,
        items_ahead: int = 4,
        results_ahead: int = 2,
    ) -> None:
        self._load = load
        self._items = iter(tuple(items))
        self._most_items, self._most_results = items_ahead, results_ahead
        self._changed = threading.Condition()
        self._slots: deque[_Slot[Item, Result]] = deque()
        self._is_stopped = self._is_drained = False
        self._threads = [
            threading.Thread(target=self._run, name=f"load-ahead-{i}", daemon=True)
            for i in range(threads)
        ]

    def __enter__(self) -> Ahead[Item, Result]:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(JOIN_S)

    def __iter__(self) -> Iterator[tuple[Item, Result | None]]:
        """Each item with each of its results, then once with None.

        Raises:
            What ``load`` raised, at the place of its item.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._slots or self._is_drained)
                if not self._slots:
                    return
                slot = self._slots[0]
            yield from self._taken(slot)
            yield slot.item, None

    def _taken(self, slot: _Slot[Item, Result]) -> Iterator[tuple[Item, Result | None]]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: slot.ready or slot.is_ended)
                if not slot.ready:
                    self._slots.popleft()
                    self._changed.notify_all()
                    break
                result = slot.ready.popleft()
                self._changed.notify_all()
            yield slot.item, result
            del result  # a page is large, and the next one is asked for now
        if slot.error is not None:
            raise slot.error

    def _run(self) -> None:
        while (slot := self._next()) is not None:
            error: BaseException | None = None
            try:
                for result in self._load(slot.item):
                    if not self._put(slot, result):
                        return
                    del result
            except BaseException as err:  # noqa: BLE001 - raised again where the item is taken
                error = err
            with self._changed:
                slot.is_ended, slot.error = True, error
                self._changed.notify_all()

    def _next(self) -> _Slot[Item, Result] | None:
        """The next item, when there is room for one; items are begun in their order."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or len(self._slots) < self._most_items)
            if self._is_stopped or self._is_drained:
                return None
            for item in self._items:
                self._slots.append(_Slot(item))
                self._changed.notify_all()
                return self._slots[-1]
            self._is_drained = True
            self._changed.notify_all()
            return None

    def _put(self, slot: _Slot[Item, Result], result: Result) -> bool:
        """Lay a result down when there is room; False if nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or len(slot.ready) < self._most_results)
            if not self._is_stopped:
                slot.ready.append(result)
                self._changed.notify_all()
            return not self._is_stopped
