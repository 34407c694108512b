"""Work in processes of this machine; a lost process's items are run again by another."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import pickle
import re
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from time import monotonic
from typing import Any, Final, Generic

from tilewise.errors import ConfigError
from tilewise.runners.spawned import become_worker, depend_on_parent, without_interrupts
from tilewise.runners.work import Item, OnLost, Result, Start

_log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""Time between two looks at the memory of processes."""

END_S: Final = 5.0
"""How long a process may take to clean up before it is killed."""

_NEW_OBJECTS: Final = 200_000
"""Between two looks for cycles in a process."""

_ANONYMOUS: Final = re.compile(r"^RssAnon:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """What a process may do.

    ``attempts``: how often an item may lose its process. ``memory_bytes``: what one process may
    use; one that uses more is ended, and its item counts as lost. ``recycle``: items after which a
    process is replaced, so that what libraries leak stays bounded.
    """

    attempts: int = 3
    memory_bytes: int | None = None
    recycle: int = 64


class Processes:
    """A runner (see ``runners.work.Runner``) over processes, which stay for the next call.

    Use it in a ``with`` block: then no process stays behind. None outlives this process, even if
    that is killed.

    Args:
        workers: processes, as many as there are processors if None.
        limits: of each.
    """

    def __init__(self, workers: int | None = None, limits: ProcessLimits | None = None) -> None:
        self.workers = workers or processors()
        self.limits = limits or ProcessLimits()
        self._hired: list[_Worker] = []

    def __call__(
        self, start: Start[Item, Result], items: Sequence[Item], on_lost: OnLost[Item, Result]
    ) -> Iterator[Result]:
        """Run work over items.

        Args:
            start: makes the work ready, once in each process; sent there by pickling.
            items: what to work on, one at a time in each process; pickled too.
            on_lost: results of an item that ``limits.attempts`` processes died of.

        Yields:
            Results in the order of the items.

        Raises:
            ConfigError: processes die before they have begun.
            Whatever ``start`` or the work raises.
        """
        return self.of(self.workers, start, items, on_lost)

    def of(
        self,
        workers: int,
        start: Start[Item, Result],
        items: Sequence[Item],
        on_lost: OnLost[Item, Result],
    ) -> Iterator[Result]:
        """Run work over items in so many processes; all else is as for a call."""
        if not items:
            return
        run = _Run(self.limits, workers, self._hired, start, items, on_lost)
        is_whole = False
        try:
            yield from run.results()
            is_whole = True
        finally:
            if not is_whole:
                self.close()

    def close(self) -> None:
        """End all processes; each may clean up behind itself."""
        _end(self._hired)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, the line to it, and the item that it works on."""

    process: SpawnProcess
    line: Connection
    item: int | None = None
    is_ready: bool = False
    worked: int = 0
    too_large: int | None = None

    def begin(self, start: bytes) -> None:
        """Have it make a piece of work ready."""
        self.item, self.is_ready = None, False
        self.send("start", start)

    def send(self, kind: str, value: Any) -> None:
        """Tell it something; if it is dead, that is seen when its line is read."""
        with suppress(OSError):
            self.line.send((kind, value))


class _Run(Generic[Item, Result]):
    """One run: items that wait, processes, and what each is doing."""

    def __init__(
        self,
        limits: ProcessLimits,
        workers: int,
        hired: list[_Worker],
        start: Start[Item, Result],
        items: Sequence[Item],
        on_lost: OnLost[Item, Result],
    ) -> None:
        self._limits, self._items, self._on_lost = limits, items, on_lost
        self._start = pickle.dumps(start)
        self._waiting = deque(range(len(items)))
        self._attempts: dict[int, int] = {}
        self._done: dict[int, list[Result]] = {}
        self._most = min(workers, len(items))
        self._hired = hired
        self._workers = hired[: self._most]
        for worker in self._workers:
            worker.begin(self._start)
        self._stillborn = 0
        self._looked = monotonic()

    def results(self) -> Iterator[Result]:
        """Keep every process busy; give results in order."""
        for at in range(len(self._items)):
            while at not in self._done:
                self._hire()
                self._hand_out(at)
                lines: list[Any] = [worker.line for worker in self._workers]
                ready = set(wait(lines, LOOK_S))
                for worker in [one for one in self._workers if one.line in ready]:
                    self._take(worker)
                self._watch_memory()
            yield from self._done.pop(at)

    def _hire(self) -> None:
        """Have as many processes as there is work for."""
        busy = sum(worker.item is not None for worker in self._workers)
        while len(self._workers) < min(self._most, busy + len(self._waiting)):
            worker = _started()
            worker.begin(self._start)
            self._workers.append(worker)
            self._hired.append(worker)

    def _hand_out(self, at: int) -> None:
        """Give each idle process an item, none too far beyond the next result that is wanted."""
        for worker in self._workers:
            if not self._waiting or self._waiting[0] >= at + 4 * self._most:
                return
            if worker.is_ready and worker.item is None:
                worker.item = self._waiting.popleft()
                worker.send("item", self._items[worker.item])

    def _take(self, worker: _Worker) -> None:
        """Take what a process has finished, or find that it is lost."""
        try:
            kind, value = worker.line.recv()
        except (EOFError, OSError):
            self._lose(worker)
            return
        if kind == "error":
            raise value
        if kind == "ready":
            worker.is_ready = True
            return
        assert worker.item is not None
        self._done[worker.item] = value
        worker.item = None
        worker.worked += 1
        if worker.worked >= self._limits.recycle:
            worker.send("end", None)
            worker.process.join(END_S)
            self._let_go(worker)

    def _lose(self, worker: _Worker) -> None:
        """Put a lost process's item back in front."""
        worker.process.join(END_S)
        code, item = worker.process.exitcode, worker.item
        self._let_go(worker)
        why = f"with exit status {code}"
        if worker.too_large is not None:
            most = self._limits.memory_bytes or 0
            why = f"as it took {worker.too_large / 2**20:,.0f} MiB of {most / 2**20:,.0f} allowed"
        _log.info("a worker was lost %s", why)
        if item is None:
            self._stillborn += 1
            if self._stillborn > self._limits.attempts * self._most:
                raise ConfigError(
                    f"{self._stillborn} processes ended before they began to work, the last one "
                    f"{why}; ask for fewer --workers, so that each has more memory."
                )
            return
        attempts = self._attempts[item] = self._attempts.get(item, 0) + 1
        if attempts >= self._limits.attempts:
            told = f"{attempts} workers ended while they worked on it, the last one {why}."
            self._done[item] = list(self._on_lost(self._items[item], told))
        else:
            self._waiting.appendleft(item)

    def _watch_memory(self) -> None:
        most = self._limits.memory_bytes
        if most is None or monotonic() - self._looked < LOOK_S:
            return
        self._looked = monotonic()
        for worker in self._workers:
            used = memory_of(worker.process.pid)
            if used > most and worker.too_large is None:
                worker.too_large = used
                worker.process.kill()

    def _let_go(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._hired.remove(worker)
        _bury(worker)


def _end(workers: list[_Worker]) -> None:
    """End processes; each may clean up behind itself."""
    for worker in workers:
        worker.process.terminate()
    ends = monotonic() + END_S
    for worker in workers:
        worker.process.join(max(0.0, ends - monotonic()))
        _bury(worker)
    workers.clear()


def _bury(worker: _Worker) -> None:
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.line.close()
    worker.process.close()


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _started() -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,))
    with without_interrupts():
        process.start()
    there.close()
    return _Worker(process, here)


def memory_of(pid: int | None) -> int:
    """Memory of a process without files that are mapped; 0 where that is not known."""
    try:
        found = _ANONYMOUS.search(Path("/proc", str(pid), "status").read_text())
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0


def _serve(line: Connection) -> None:
    """What a process does: it works on what it is sent until it is told to end."""
    gc.disable()
    signal.signal(signal.SIGTERM, _leave)
    depend_on_parent()
    become_worker()
    work: Any = None
    while True:
        try:
            kind, value = line.recv()
            if kind == "end":
                return
            if kind == "start":
                work = pickle.loads(value)()
                _look_seldom_for_cycles()
                line.send(("ready", None))
            else:
                line.send(("done", list(work([value]))))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
        except Exception as err:  # noqa: BLE001 - whatever it is, it is raised in the parent
            line.send(("error", _portable(err)))


def _look_seldom_for_cycles() -> None:
    """What was loaded stays, and what is worked on has few cycles; looking took a tenth of all."""
    if gc.isenabled():  # what the work before has left
        gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)
    gc.enable()


def _leave(*_: object) -> None:
    sys.exit(1)


def _portable(err: Exception) -> Exception:
    """The error if it survives pickling, else its text."""
    try:
        pickle.loads(pickle.dumps(err))
    except Exception:  # noqa: BLE001 - any fault of pickling
        return RuntimeError(f"{type(err).__name__}: {err}")
    return err
