"""Batches that are made from nothing but their number: the same number, the same batch.

So workers need no state, and a run is resumed by a number alone.
"""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

import torch

from tilewise.train.workers import Workers

LAG: Final = 32
"""Chunks between a new level and the first one that is made at it. So what is made does not depend
on how far workers are ahead."""

T = TypeVar("T")


class Order(NamedTuple):
    """What is to be made: the chunk of this number, at this level."""

    number: int
    level: int


Make = Callable[[Order], Sequence[T]]
"""Makes a chunk of batches; it travels to workers by pickle."""


class Drawn(Generic[T]):
    """An endless row of batches that can be taken up where it was; it has no end of its own.

    Args:
        make: makes chunks, all of ``size`` batches.
        workers: processes that make them, 0 for this one.
        size: batches of a chunk.
        level: what is made at first; the level may be set at any time.
        rank, world: this process among those that train together; each gets other chunks.
    """

    def __init__(
        self,
        make: Make[T],
        workers: int = 0,
        *,
        size: int = 1,
        level: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.level, self.worker_s = level, 0.0
        self._make, self._size, self._rank, self._world = make, size, rank, world
        self._workers = Workers(_Work(make, is_apart=workers > 0), workers)
        self._at = 0  # batches given out
        self._levels = deque([level] * LAG)  # of the chunks from the one at hand on
        self._given: deque[Callable[[], _Made]] = deque()
        self._chunk: Sequence[T] = ()

    @property
    def given(self) -> int:
        """How many batches were given out."""
        return self._at

    def __next__(self) -> T:
        """The next batch.

        Raises:
            DataError: a worker died.
            Whatever ``make`` raises.
        """
        place = self._at % self._size
        if not self._chunk:  # also behind ``load_state``, in the middle of a chunk
            self._chunk = self._taken()
        batch = self._chunk[place]
        self._at += 1
        if place == self._size - 1:
            self._chunk = ()
            self._levels.popleft()
            self._levels.append(self.level)
        return batch

    def again(self, place: int) -> T:
        """The batch that was given out as the ``place``-th, from 0, in rows of a single level."""
        chunk, within = divmod(place, self._size)
        return self._make(Order(chunk * self._world + self._rank, self.level))[within]

    def state(self) -> dict[str, Any]:
        """Where the row stands behind the batches given out, as plain JSON."""
        return {"number": self._at, "level": self.level, "levels": list(self._levels)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of a row like this one."""
        self._at, self.level = int(state["number"]), int(state["level"])
        self._levels = deque(state["levels"])
        self._given.clear()
        self._chunk = ()

    def close(self) -> None:
        """End the workers."""
        self._workers.close()

    def _taken(self) -> Sequence[T]:
        """The chunk at hand; chunks behind it are given to workers before it is waited for."""
        first = self._at // self._size
        while len(self._given) < min(self._workers.ahead, LAG):
            ahead = len(self._given)
            number = (first + ahead) * self._world + self._rank
            self._given.append(self._workers.give(Order(number, self._levels[ahead])))
        made = self._given.popleft()()
        self.worker_s += made.seconds
        return cast(Sequence[T], pickle.loads(made.chunk) if made.chunk else made.here)


class _Made(NamedTuple):
    """A chunk as it is, or from another process as bytes, with the processor time it took."""

    here: Any
    chunk: bytes
    seconds: float


class _Work:
    """Makes chunks here or in a worker, to which it travels as bytes.

    Bytes, as pickling for other processes would keep each tensor in shared memory by itself.
    """

    def __init__(self, make: Make[Any], *, is_apart: bool) -> None:
        self._make: Make[Any] | None = None if is_apart else make
        self._bytes = pickle.dumps(make) if is_apart else b""

    def __call__(self, order: Order) -> _Made:
        if not self._bytes:
            assert self._make is not None
            return _Made(self._make(order), b"", 0.0)
        began = time.process_time()
        if self._make is None:
            torch.set_num_threads(1)
            self._make = pickle.loads(self._bytes)
        chunk = pickle.dumps(self._make(order))
        return _Made(None, chunk, time.process_time() - began)

    def __getstate__(self) -> dict[str, Any]:
        return {"_make": None, "_bytes": self._bytes}
