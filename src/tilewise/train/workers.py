"""Work in processes of its own, results in the order in which it was given.

Processes are started anew ("spawn"), so that no thread or open file of this one is copied into
them; a script that uses them needs the usual ``if __name__ == "__main__":``.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, Generic, TypeVar

from tilewise.errors import ConfigError, DataError
from tilewise.runners.spawned import depend_on_parent, without_interrupts

Task = TypeVar("Task")
Result = TypeVar("Result")

AHEAD: Final = 4
"""Tasks for each process that are begun before their results are asked for."""

TIMEOUT_S: Final = 900.0
"""Longest that one result is waited for."""


class Workers(Generic[Task, Result]):
    """Processes that each hold a copy of ``work`` and call it with tasks.

    Results do not depend on how many there are; with none, work is done here when its result is
    asked for. Use it in a ``with`` block: then no process stays behind, whatever happens, and none
    outlives this process even if that is killed.

    Args:
        work: called with each task; it and its results travel by pickle.
        count: processes.
        timeout_s: longest that one result is waited for.
    """

    def __init__(
        self, work: Callable[[Task], Result], count: int, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        if count < 0:
            raise ConfigError(f"{count} workers were asked for; 0 or more are allowed.")
        self.count = count
        self._work = work
        self._timeout_s = timeout_s
        self._pool = _started(work, count) if count else None

    @property
    def ahead(self) -> int:
        """Tasks that may be given before a result is taken, so that memory stays bounded."""
        return max(1, self.count * AHEAD)

    def give(self, task: Task) -> Callable[[], Result]:
        """Give a task; what is returned waits for its result.

        It raises what ``work`` raises, and DataError where a process died or does not answer.
        """
        if self._pool is None:
            return lambda: self._work(task)
        try:
            with without_interrupts():  # a task may start one more process
                future: Future[Result] = self._pool.submit(_call, task)
        except (BrokenProcessPool, RuntimeError) as err:
            raise _died() from err
        return lambda: self._result(future)

    def map(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Results of tasks, in their order; at most ``ahead`` tasks are taken in advance."""
        given: deque[Callable[[], Result]] = deque()
        for task in tasks:
            given.append(self.give(task))
            if len(given) >= self.ahead:
                yield given.popleft()()
        while given:
            yield given.popleft()()

    def close(self) -> None:
        """End all processes; tasks that are not begun are dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
            self._work = _closed

    def __enter__(self) -> Workers[Task, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _result(self, future: Future[Result]) -> Result:
        try:
            return future.result(self._timeout_s)
        except BrokenProcessPool as err:
            raise _died() from err
        except TimeoutError as err:
            self._kill()
            raise DataError(
                f"a worker has not answered for {self._timeout_s:.0f} s; see whether the disk that "
                "holds the data answers."
            ) from err

    def _kill(self) -> None:
        """End processes that hang; ``close`` would wait for them."""
        processes = getattr(self._pool, "_processes", None) or {}
        for process in list(processes.values()):
            process.kill()


def _started(work: Callable[[Any], Any], count: int) -> ProcessPoolExecutor:
    """Processes, the first of which begins to load ``work`` at once."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=(work,))
    with without_interrupts():
        pool.submit(os.getpid)  # the first task starts a process
    return pool


def _died() -> DataError:
    return DataError(
        "a worker that prepares samples was ended from outside, most often because memory ran out; "
        "use fewer workers, or see what the system's log says."
    )


def _closed(task: object) -> Any:
    raise DataError("the workers are closed; open them again.")


_HERE: list[Callable[[Any], Any]] = []  # what this process works at, if it is a worker


def _begin(work: Callable[[Any], Any]) -> None:
    """Prepare a process, which ends with its parent and leaves Ctrl-C to it."""
    depend_on_parent()
    _HERE[:] = [work]


def _call(task: Any) -> Any:
    return _HERE[0](task)
