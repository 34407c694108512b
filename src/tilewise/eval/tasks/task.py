"""What a task is to the code that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A record of the data with what a model said to it."""

    record: Mapping[str, Any]
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A benchmark.

    ``score`` gives numbers by name, none where no row can be scored here. ``max_new_tokens`` ends
    an answer. ``max_tiles`` is the tile limit of an image, None for the reader's own; where there
    are several images they share it. ``submitted`` makes what a server scores, where one does.
    """

    name: str
    score: Callable[[Sequence[Row]], dict[str, float]]
    max_new_tokens: int
    max_tiles: int | None = None
    submitted: Callable[[Sequence[Row]], list[dict[str, str]]] | None = None
