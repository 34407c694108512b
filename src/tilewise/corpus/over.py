"""``map`` over a runner: a function of one item, called in other processes, results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tilewise.errors import DataError
from tilewise.runners.work import Runner, Work

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RunnerMap:
    """Calls a function with items where a runner works; fits ``dedup.steps.Map``."""

    runner: Runner

    def __call__(
        self, function: Callable[[Item], Result], items: Sequence[Item], /
    ) -> Iterator[Result]:
        """Results in the order of the items.

        Raises:
            DataError: an item's workers were lost too often.
            Whatever the function raises.
        """
        return self.runner(_Calls(function), items, _lost)


@dataclass(frozen=True, slots=True)
class _Calls(Generic[Item, Result]):
    """A function as a runner takes work; see ``runners.work.Start``."""

    function: Callable[[Item], Result]

    def __call__(self) -> Work[Item, Result]:
        return self._over

    def _over(self, items: Iterable[Item]) -> Iterator[Result]:
        return map(self.function, items)


def _lost(item: Any, reason: str) -> Iterator[Any]:
    raise DataError(f"a step over all shards cannot go on: {reason} Give workers more memory.")
    yield  # this makes it the generator that a runner asks for
