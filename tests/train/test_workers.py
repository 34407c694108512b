"""Processes that work: in order, with clear errors, and gone when they should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.train.tasks import double, fail_at
from tilewise.errors import ConfigError, DataError
from tilewise.train.workers import Workers


def test_results_come_in_order_and_errors_are_those_of_the_work() -> None:
    with Workers(fail_at, 2) as workers:
        results = workers.map(range(5))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(DataError, match="three is bad"):
            next(results)
    with pytest.raises(DataError, match="are closed"):
        workers.give(1)()
    with Workers(double, 0) as workers:
        assert list(workers.map(range(5))) == [0, 2, 4, 6, 8]
    with pytest.raises(ConfigError, match="0 or more"):
        Workers(double, -1)


def test_a_worker_that_dies_or_hangs_is_one_clear_error_and_nobody_stays() -> None:
    before = set(children(os.getpid()))  # other tests may keep a program that decodes pages
    with Workers(fail_at, 2) as workers:
        with pytest.raises(DataError, match="was ended from outside"):
            list(workers.map([4, 5, 6]))
        with pytest.raises(DataError, match="was ended from outside"):
            workers.give(1)()
    with Workers(fail_at, 1, timeout_s=0.5) as workers:
        assert workers._pool is not None
        list(Workers(fail_at, 0).map([1]))
        waiting = workers.give(7)
        with pytest.raises(DataError, match="has not answered"):
            waiting()
    assert set(children(os.getpid())) <= before


def children(parent: int) -> list[int]:
    """Processes of a process, without the one that keeps count of shared resources."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == parent and b"resource_tracker" not in line:
            found.append(int(entry.name))
    return found


PROGRAM = """
import sys, time
from tests.train.tasks import double
from tilewise.train.workers import Workers

if __name__ == "__main__":
    with Workers(double, 2) as workers:
        print(list(workers.map(range(9)))[-1], flush=True)
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            print("stopped", flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "run.py"
    script.write_text(PROGRAM)
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root), str(root / "src")])
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "16"
    workers = children(process.pid)
    assert len(workers) == 2
    if how is signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: to all of them
    else:
        process.send_signal(how)
    out, err = process.communicate(timeout=30)
    if how is signal.SIGINT:
        assert (out.strip(), err, process.returncode) == ("stopped", "", 0)
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
        time.sleep(0.1)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
