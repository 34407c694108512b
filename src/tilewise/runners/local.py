"""Work in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tilewise.runners.work import Item, OnLost, Result, Start


def run(
    start: Start[Item, Result], items: Sequence[Item], on_lost: OnLost[Item, Result]
) -> Iterator[Result]:
    """Run work over items, one after another; nothing starts where there are none.

    Args:
        start: makes the work ready.
        items: what to work on.
        on_lost: not used, as this process is the only worker.

    Yields:
        Results in the order of the items.
    """
    if items:
        yield from start()(items)
