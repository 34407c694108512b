"""Work in processes of a Ray cluster, or of this machine; a lost process's items are run again."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Any, Final, Generic

from tilewise.errors import ConfigError, MissingExtraError
from tilewise.runners.work import Item, OnLost, Result, Start, Work

_log = logging.getLogger(__name__)

LOCAL: Final = "local"
"""Ray's address of a cluster that is started on this machine and ends with the run."""

CHUNK: Final = 4
"""Items sent to a process at a time, unless another number is given."""

MOST_PLACE_BYTES: Final = 21
"""Longest path of a folder for temporary files: Ray adds 82 bytes to make the path of a socket,
which may have 103 on macOS and 107 on Linux."""

WAIT_S: Final = 5.0
"""How long one look at what is under way takes at most."""


@dataclass(frozen=True, slots=True)
class _Chunk(Generic[Item]):
    """Items that one process works on in one go: the first one's place, and earlier attempts."""

    first: int
    items: tuple[Item, ...]
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RayPool:
    """A runner (see ``runners.work.Runner``) over a number of processes.

    ``address``: of a running cluster, ``"auto"`` for the one on this machine; None starts one here
    for the time of the run. ``workers``: processes, as many as the cluster has processors for if
    None. ``threads``: processors of each. ``chunk``: items sent to a process at a time; it may load
    one while it works on another. ``attempts``: how often an item may lose its process.
    ``start_s``: how long to wait for a process where there is none.
    """

    address: str | None = None
    workers: int | None = None
    threads: int | None = None
    chunk: int = CHUNK
    attempts: int = 3
    start_s: float = 300.0

    def __call__(
        self, start: Start[Item, Result], items: Sequence[Item], on_lost: OnLost[Item, Result]
    ) -> Iterator[Result]:
        """Run work over items.

        Args:
            start: makes the work ready, once in each process; sent there by pickling.
            items: what to work on, pickled too.
            on_lost: results of an item that ``attempts`` processes died of.

        Yields:
            Results in the order of the items.

        Raises:
            MissingExtraError: Ray is not installed.
            ConfigError: no cluster at the address, or no process can be had.
            Whatever ``start`` or the work raises.
        """
        if not items:
            return
        ray = open_ray()
        with connected(ray, self.address):
            run = _Run(ray, self, start, items, on_lost)
            try:
                yield from run.results()
            finally:
                run.end()


class _Worker(Generic[Item, Result]):
    """What lives in each process."""

    def __init__(self, start: Start[Item, Result]) -> None:
        self._start = start
        self._work: Work[Item, Result] | None = None

    def ready(self) -> None:
        """Make the work ready; here and not before, so that its errors arrive as they are."""
        self._work = self._start()

    def run(self, items: Sequence[Item]) -> list[Result]:
        """Work on some items."""
        assert self._work is not None
        return list(self._work(items))


class _Run(Generic[Item, Result]):
    """One run: chunks that wait, processes, and what each is doing."""

    def __init__(
        self,
        ray: Any,
        pool: RayPool,
        start: Start[Item, Result],
        items: Sequence[Item],
        on_lost: OnLost[Item, Result],
    ) -> None:
        self._ray, self._pool, self._on_lost = ray, pool, on_lost
        self._start = ray.put(start)
        self._count = len(items)
        self._most = self._workers()
        size = max(1, min(pool.chunk, -(-len(items) // self._most)))
        self._waiting = deque(_chunks(items, size))
        self._ahead = 4 * size * self._most
        self._actors: list[Any] = []
        self._idle: deque[Any] = deque()
        self._busy: dict[Any, tuple[Any, _Chunk[Item] | None]] = {}
        self._done: dict[int, tuple[int, list[Result]]] = {}
        self._lost = 0

    def results(self) -> Iterator[Result]:
        """Keep every process busy; give results in order."""
        at, since = 0, monotonic()
        while at < self._count:
            self._hire()
            self._hand_out(at)
            ready, _ = self._ray.wait(list(self._busy), timeout=WAIT_S)
            for ref in ready:
                self._take(ref)
            while at in self._done:
                length, results = self._done.pop(at)
                at += length
                yield from results
            is_working = any(chunk is not None for _, chunk in self._busy.values())
            since = monotonic() if ready or is_working else since
            if monotonic() - since > self._pool.start_s:
                raise ConfigError(
                    f"no worker of the Ray cluster was ready within {self._pool.start_s:.0f} s; "
                    "ask for fewer --workers or --threads, or give another --address."
                )

    def end(self) -> None:
        """Let the processes go."""
        for actor in self._actors:
            self._ray.kill(actor)

    def _workers(self) -> int:
        """Processes that there is work and room for."""
        processors = int(self._ray.cluster_resources().get("CPU", 0))
        room = max(1, processors // (self._pool.threads or 1))
        return min(self._pool.workers or room, self._count)

    def _hire(self) -> None:
        """Have as many processes as wanted, those that are starting included."""
        while len(self._actors) < self._most:
            kind = self._ray.remote(num_cpus=self._pool.threads or 1)(_Worker)
            actor = kind.remote(self._start)
            self._actors.append(actor)
            self._busy[actor.ready.remote()] = (actor, None)

    def _hand_out(self, at: int) -> None:
        """Give each idle process a chunk, none too far beyond the next result that is wanted."""
        while self._idle and self._waiting and self._waiting[0].first < at + self._ahead:
            actor, chunk = self._idle.popleft(), self._waiting.popleft()
            self._busy[actor.run.remote(chunk.items)] = (actor, chunk)

    def _take(self, ref: Any) -> None:
        """Take what a process has finished, or find that it is lost."""
        actor, chunk = self._busy.pop(ref)
        errors = self._ray.exceptions
        try:
            results = self._ray.get(ref)
        except errors.RayTaskError as err:
            raise err.cause from err
        except (errors.RayActorError, errors.WorkerCrashedError, errors.ObjectLostError) as err:
            self._lose(actor, chunk, str(err).partition("\n")[0])
            return
        self._idle.append(actor)
        if chunk is not None:
            self._done[chunk.first] = (len(chunk.items), results)

    def _lose(self, actor: Any, chunk: _Chunk[Item] | None, reason: str) -> None:
        """Put a lost process's items back, one by one: the others need not go with the bad one."""
        self._ray.kill(actor)
        self._actors.remove(actor)
        self._lost += 1
        _log.info("a worker was lost: %s", reason)
        if chunk is None:
            if self._lost > self._pool.attempts * self._most:
                raise ConfigError(
                    f"{self._lost} workers of the Ray cluster ended while they loaded ({reason}); "
                    "ask for fewer --workers, so that each has more memory."
                )
            return
        again = [
            _Chunk(chunk.first + place, (item,), chunk.attempts + 1)
            for place, item in enumerate(chunk.items)
        ]
        if len(again) == 1 and again[0].attempts >= self._pool.attempts:
            told = f"{again[0].attempts} workers ended while they worked on it; leave it out."
            self._done[chunk.first] = (1, list(self._on_lost(chunk.items[0], told)))
            return
        self._waiting.extendleft(reversed(again))


def _chunks(items: Sequence[Item], size: int) -> Iterator[_Chunk[Item]]:
    rest, first = iter(items), 0
    while taken := tuple(islice(rest, size)):
        yield _Chunk(first, taken)
        first += len(taken)


def open_ray() -> Any:
    """Ray, which tells nobody that it is used."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change
    os.environ.setdefault("RAY_worker_niceness", "0")  # else its processes give way to all others
    try:
        import ray  # noqa: PLC0415 - an extra
        import ray.exceptions  # noqa: PLC0415
    except ImportError as err:
        raise MissingExtraError(
            "Ray is not installed; pip install 'tilewise[ray]', or leave out --runner ray."
        ) from err
    return ray


@contextmanager
def connected(ray: Any, address: str | None, *, is_quiet: bool = True) -> Iterator[None]:
    """A connection to a cluster, of its own unless this process has one; no files stay behind."""
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": not is_quiet, "logging_level": logging.ERROR}
    folder = None
    if address is None:
        folder = tempfile.mkdtemp(prefix="tw-ray-", dir=short_place())
        quiet |= {"include_dashboard": False, "_temp_dir": folder}
    try:
        try:
            ray.init(address=address or LOCAL, **quiet)
        except (OSError, RuntimeError, ValueError) as err:
            where = f"at {address}" if address else "on this machine"
            said = str(err).partition("\n")[0]
            raise ConfigError(
                f"there is no Ray cluster {where} ({said}); check --address, or leave it out to "
                "use this machine."
            ) from err
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def short_place() -> str:
    """The folder for temporary files, or where its path is too long for Ray's sockets, /tmp."""
    place = tempfile.gettempdir()
    return place if len(os.fsencode(place)) <= MOST_PLACE_BYTES else "/tmp"
