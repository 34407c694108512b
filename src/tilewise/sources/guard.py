"""The program that stands between tilewise and a program it starts; run by path, never imported.

It sets limits, starts the program in a session of its own, watches what it and its children use,
and kills all of that session when the program ends, when it has used too much, or when tilewise
itself is gone (its end of standard input closes), in which case it also removes the working folder.
What happened goes to standard output as one line of JSON.

Standard library only: it starts with ``python -I -S``.
"""

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MOST_WAITING = 3
"""Time spent waiting for a processor that others hold does not count, up to so many limits."""

_STEP_S = 0.02
_SAMPLE_S = 0.1  # looking at a few files of /proc takes about 0.3 ms
_STALLED_CPU_S = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Run the order in the first argument, JSON; print the verdict."""
    order: dict[str, Any] = json.loads(sys.argv[1])

    def limit() -> None:
        _limit(resource.RLIMIT_CORE, 0)
        # what is written to, not what is reserved: threads reserve address space that they never
        # use, the more the busier the machine is
        _limit(resource.RLIMIT_DATA, order["memory_bytes"])
        _limit(resource.RLIMIT_FSIZE, order["file_bytes"])
        _limit(resource.RLIMIT_CPU, int(order["cpu_seconds"]) + 1)

    program = subprocess.Popen(
        order["argv"],
        cwd=order["folder"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        start_new_session=True,
        preexec_fn=limit,  # this process has one thread
    )
    watch = _Watch(program.pid, order)
    stopped = ""
    is_watched = True
    try:
        while program.poll() is None and not stopped and is_watched:
            readable, _, _ = select.select([0], [], [], _STEP_S)
            is_watched = not readable  # nothing is ever written: readable means closed
            stopped = watch.verdict()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
    code = program.wait()
    if not is_watched:
        shutil.rmtree(order["folder"], ignore_errors=True)
        return 0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = max(watch.cpu_seconds, used.ru_utime + used.ru_stime)
    if code != 0 and not stopped and cpu_seconds >= order["cpu_seconds"]:
        stopped = "processor"
    peak_bytes = max(watch.peak_bytes, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    verdict = {
        "code": code,
        "stopped": stopped,
        "peak_bytes": peak_bytes,
        "cpu_seconds": cpu_seconds,
    }
    sys.stdout.write(json.dumps(verdict))
    return 0


class _Watch:
    """What a program and its children use; without /proc only the time that goes by."""

    def __init__(self, pid: int, order: dict[str, Any]) -> None:
        self.peak_bytes = 0
        self.cpu_seconds = 0.0
        self._pid, self._order = pid, order
        self._began = self._sampled = self._moved = time.monotonic()
        self._waited_s = 0.0
        self._last_s = 0.0  # used and waited together when something last moved

    def verdict(self) -> str:
        """Why the program must be stopped: memory, processor, time, stalled; empty: it need not."""
        now = time.monotonic()
        if now - self._sampled >= _SAMPLE_S:
            self._sampled = now
            self._sample(now)
        limit_s, stall_s = self._order["seconds"], self._order["stall_seconds"]
        if self.peak_bytes > self._order["memory_bytes"]:
            return "memory"
        if self.cpu_seconds > self._order["cpu_seconds"]:
            return "processor"
        if (
            now - self._began - self._waited_s > limit_s
            or now - self._began > MOST_WAITING * limit_s
        ):
            return "time"
        is_stalled = Path("/proc/self/schedstat").exists() and now - self._moved > stall_s
        return "stalled" if is_stalled else ""

    def _sample(self, now: float) -> None:
        memory_bytes, cpu_s, waited_s = 0, 0.0, 0.0
        for pid in _family(self._pid):
            with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
                base = Path("/proc", str(pid))
                memory_bytes += int((base / "statm").read_text().split()[1]) * _PAGE_BYTES
                fields = (base / "stat").read_text().rpartition(")")[2].split()
                cpu_s += sum(map(int, fields[11:15])) / _TICKS  # with children that have ended
                waited_s += int((base / "schedstat").read_text().split()[1]) / 1e9
        self.peak_bytes = max(self.peak_bytes, memory_bytes)
        self.cpu_seconds = max(self.cpu_seconds, cpu_s)
        self._waited_s = max(self._waited_s, waited_s)
        if self.cpu_seconds + self._waited_s > self._last_s + _STALLED_CPU_S:
            self._last_s, self._moved = self.cpu_seconds + self._waited_s, now


def _family(pid: int) -> list[int]:
    """A process and all that descend from it, as far as this system tells."""
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError, ValueError):
            for task in Path("/proc", str(each), "task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _limit(which: int, value: int) -> None:
    """Lower a limit, as far as the one that is there allows."""
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


if __name__ == "__main__":
    sys.exit(main())
