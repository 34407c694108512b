"""Work in processes of this machine: in order, whole, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tilewise.errors import ConfigError, DataError
from tilewise.runners.processes import Processes, ProcessLimits
from tilewise.runners.work import Work


@dataclass(frozen=True)
class Doubling:
    """Gives each item twice, with a trace of it in a folder; some items kill their process.

    ``deadly``: items that kill it whenever they are worked on. ``once``: only the first time.
    """

    traces: Path
    deadly: tuple[int, ...] = ()
    once: tuple[int, ...] = ()

    def __call__(self) -> Work[int, str]:
        return self.work

    def work(self, items: Iterable[int]) -> Iterator[str]:
        for item in items:
            is_first = not list(self.traces.glob(f"{item}-*"))
            (self.traces / f"{item}-{os.getpid()}-{time.monotonic_ns()}").touch()
            if item in self.deadly or (item in self.once and is_first):
                os.kill(os.getpid(), signal.SIGKILL)
            yield from (f"{item}a", f"{item}b")


@dataclass(frozen=True)
class Failing:
    """Work that cannot start, or cannot be done."""

    is_startable: bool

    def __call__(self) -> Work[int, str]:
        if not self.is_startable:
            raise ConfigError("no such setting")
        return self.work

    def work(self, items: Iterable[int]) -> Iterator[str]:
        raise DataError(f"{list(items)} is damaged")
        yield ""


@dataclass(frozen=True)
class Hungry:
    """Takes 300 MB for item 1."""

    def __call__(self) -> Work[int, int]:
        return self.work

    def work(self, items: Iterable[int]) -> Iterator[int]:
        for item in items:
            held = bytearray(b"x") * (300_000_000 if item == 1 else 1)
            if item == 1:
                time.sleep(30)
            yield len(held)


def lost(item: int, reason: str) -> Iterator[str]:
    yield f"{item} lost: {reason}"


def doubled(count: int) -> list[str]:
    return [f"{item}{letter}" for item in range(count) for letter in "ab"]


def processes_of(traces: Path) -> set[str]:
    return {trace.name.split("-")[1] for trace in traces.iterdir()}


def test_results_are_in_order(tmp_path: Path) -> None:
    with Processes(2) as pool:
        assert list(pool(Doubling(tmp_path), range(9), lost)) == doubled(9)


def test_a_process_stays_for_the_next_call(tmp_path: Path) -> None:
    with Processes(1) as pool:  # of two, one may do all while the other starts
        assert list(pool(Doubling(tmp_path), range(9), lost)) == doubled(9)
        first = processes_of(tmp_path)
        assert list(pool(Doubling(tmp_path), range(9), lost)) == doubled(9)
    assert len(first) == 1
    assert processes_of(tmp_path) == first


def test_items_of_lost_processes_are_run_again(tmp_path: Path) -> None:
    with Processes(2) as pool:
        assert list(pool(Doubling(tmp_path, once=(0, 3)), range(6), lost)) == doubled(6)


def test_an_item_that_kills_every_process_is_reported(tmp_path: Path) -> None:
    with Processes(1, ProcessLimits(attempts=2)) as pool:
        got = list(pool(Doubling(tmp_path, deadly=(1,)), range(3), lost))
    told = "1 lost: 2 workers ended while they worked on it, the last one with exit status -9."
    assert got == [*doubled(1), told, "2a", "2b"]


def test_a_process_that_takes_too_much_memory_is_ended() -> None:
    limits = ProcessLimits(attempts=1, memory_bytes=200_000_000)
    with Processes(1, limits) as pool:
        got = list(pool(Hungry(), range(3), lost))
    assert got[0] == got[2] == 1
    assert "of 191 allowed" in str(got[1])


def test_a_process_is_replaced_after_some_items(tmp_path: Path) -> None:
    with Processes(1, ProcessLimits(recycle=2)) as pool:
        assert list(pool(Doubling(tmp_path), range(4), lost)) == doubled(4)
    assert len(processes_of(tmp_path)) == 2


@pytest.mark.parametrize(("is_startable", "kind"), [(False, ConfigError), (True, DataError)])
def test_an_error_arrives_as_it_is(is_startable: bool, kind: type[Exception]) -> None:
    with Processes(1) as pool, pytest.raises(kind, match=r"no such|is damaged"):
        list(pool(Failing(is_startable), range(2), lost))


def test_no_items_need_no_process() -> None:
    with Processes(1) as pool:
        assert list(pool(Failing(False), [], lost)) == []


PROGRAM = """
import sys, time
from pathlib import Path
from tests.runners.test_processes import Doubling, lost
from tilewise.runners.processes import Processes

if __name__ == "__main__":
    with Processes(2) as pool:
        for result in pool(Doubling(Path(sys.argv[1])), range(2), lost):
            print(result, flush=True)
        time.sleep(60)
"""


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    program, traces = tmp_path / "program.py", tmp_path / "traces"
    program.write_text(PROGRAM)
    traces.mkdir()
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    run = subprocess.Popen(
        [sys.executable, str(program), str(traces)], stdout=subprocess.PIPE, env=env
    )
    assert run.stdout is not None
    with run.stdout:
        for _ in range(4):
            run.stdout.readline()
        run.kill()
        run.wait(30)
    ends = time.monotonic() + 30
    while time.monotonic() < ends and any(map(_is_alive, processes_of(traces))):
        time.sleep(0.05)
    assert not [pid for pid in processes_of(traces) if _is_alive(pid)]


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path("/proc", pid, "status").read_text()
