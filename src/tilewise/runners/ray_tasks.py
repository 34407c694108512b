"""Work as tasks of a Ray cluster: for long items that leave their results on disk.

Unlike ``ray_pool``, processes are Ray's own and stay warm from call to call, so that many short
calls cost little; a task whose process or node is lost is run again by Ray.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from time import monotonic, sleep
from typing import Any, Final

from tilewise.errors import ConfigError
from tilewise.runners.processes import LOOK_S, ProcessLimits, memory_of
from tilewise.runners.ray_pool import connected, open_ray
from tilewise.runners.spawned import become_worker
from tilewise.runners.work import Item, OnLost, Result, Start, Work

_log = logging.getLogger(__name__)

WAIT_S: Final = 5.0
"""How long one look at what is under way takes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayTasks:
    """A runner (see ``runners.work.Runner``) over tasks of a Ray cluster.

    ``address``: of a running cluster, ``"auto"`` for the one on this machine; None starts one here
    for the time of the call. ``workers``: tasks at a time, as many as the cluster has processors
    for if None. ``limits``: as for processes of this machine; one that takes more memory ends
    itself, and Ray ends others where a node has none left. ``start_s``: how long to wait for a
    node.
    """

    address: str | None = None
    workers: int | None = None
    limits: ProcessLimits = field(default_factory=ProcessLimits)
    start_s: float = 300.0

    def __call__(
        self, start: Start[Item, Result], items: Sequence[Item], on_lost: OnLost[Item, Result]
    ) -> Iterator[Result]:
        """Run work over items.

        Args:
            start: makes the work ready, once in each process; sent there by pickling.
            items: what to work on, each a task; pickled too.
            on_lost: results of an item that ``limits.attempts`` processes died of.

        Yields:
            Results in the order of the items.

        Raises:
            MissingExtraError: Ray is not installed.
            ConfigError: no cluster at the address, or no processor in it.
            Whatever ``start`` or the work raises.
        """
        if not items:
            return
        ray = open_ray()
        with connected(ray, self.address):
            most = min(self.workers or self._processors(ray), len(items))
            yield from self._results(ray, start, items, on_lost, most)

    def _results(
        self,
        ray: Any,
        start: Start[Item, Result],
        items: Sequence[Item],
        on_lost: OnLost[Item, Result],
        most: int,
    ) -> Iterator[Result]:
        """Keep so many tasks under way, none too far beyond the next result that is wanted."""
        task, begun = self._task(ray), ray.put(pickle.dumps(start))
        waiting, busy = deque(range(len(items))), dict[Any, int]()
        memory = self.limits.memory_bytes
        done: dict[int, list[Result]] = {}
        try:
            for at in range(len(items)):
                while at not in done:
                    while waiting and len(busy) < most and waiting[0] < at + 4 * most:
                        number = waiting.popleft()
                        busy[task.remote(begun, items[number], memory)] = number
                    ready, _ = ray.wait(list(busy), timeout=WAIT_S)
                    for ref in ready:
                        number = busy.pop(ref)
                        done[number] = self._taken(ray, ref, items[number], on_lost)
                yield from done.pop(at)
        finally:
            for ref in busy:
                ray.cancel(ref, force=True)

    def _taken(self, ray: Any, ref: Any, item: Item, on_lost: OnLost[Item, Result]) -> list[Result]:
        """What a task has given, or what is said of an item that cannot be worked on."""
        errors = ray.exceptions
        try:
            return list(ray.get(ref))
        except errors.RayTaskError as err:
            raise err.cause from err
        except (
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.ObjectLostError,
            errors.OutOfMemoryError,
        ) as err:
            reason = str(err).strip().partition("\n")[0]
            _log.info("a task was lost: %s", reason)
            told = f"{self.limits.attempts} workers ended while they worked on it ({reason})."
            return list(on_lost(item, told))

    def _task(self, ray: Any) -> Any:
        options = {"num_cpus": 1, "max_calls": self.limits.recycle, "retry_exceptions": False}
        return ray.remote(max_retries=self.limits.attempts - 1, **options)(_done)

    def _processors(self, ray: Any) -> int:
        """Processors of the cluster, once it has any."""
        ends = monotonic() + self.start_s
        while not (found := int(ray.cluster_resources().get("CPU", 0))):
            if monotonic() > ends:
                raise ConfigError(
                    f"the Ray cluster had no processor for {self.start_s:.0f} s; start a node, or "
                    "give another --address."
                )
            sleep(0.2)
        return found


def _done(start: bytes, item: Any, memory_bytes: int | None = None) -> list[Any]:
    """What a task does."""
    become_worker()
    with _ended_beyond(memory_bytes):
        return list(_ready(start)([item]))


@contextmanager
def _ended_beyond(memory_bytes: int | None) -> Iterator[None]:
    """End this process if it takes more memory meanwhile."""
    if memory_bytes is None:
        yield
        return
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(LOOK_S):
            if memory_of(os.getpid()) > memory_bytes:
                os.kill(os.getpid(), signal.SIGKILL)  # Ray runs the task again

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


@lru_cache(maxsize=2)
def _ready(start: bytes) -> Work[Any, Any]:
    """Work, made ready once in a process."""
    work: Work[Any, Any] = pickle.loads(start)()
    return work
