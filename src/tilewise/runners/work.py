"""What a runner is given: how work starts, and what it then does with items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Work = Callable[[Iterable[Item]], Iterator[Result]]
"""Items to results, in the order of the items, any number of results for each."""

Start = Callable[[], Work[Item, Result]]
"""Makes a piece of work ready, e.g. loads a model; called once in each process, picklable."""

OnLost = Callable[[Item, str], Iterator[Result]]
"""The results of an item whose workers were lost too often, given the item and why."""


class Runner(Protocol):
    """``local.run`` and ``ray_pool.RayPool(...).run`` in one signature."""

    def __call__(
        self, start: Start[Item, Result], items: Sequence[Item], on_lost: OnLost[Item, Result]
    ) -> Iterator[Result]:
        """Run work over items; results in the order of the items, as they are there."""
