"""Workers that read damaged files, each watched for crashes, time and memory."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any, Final, NamedTuple

from tests.fuzz.family import Waiting, family_pss

ROOT: Final = Path(__file__).parents[2]

SHARES: Final = {
    "images": 5000,
    "pdf": 2000,
    "office parts": 1000,
    "bytes": 600,
    "addresses": 500,
    "djvu": 200,
    "videos": 500,
    "libreoffice": 400,
    "chromium": 300,
}
"""How about 10,000 files are shared among groups of readers."""

CHEAP: Final = ("images", "pdf", "office parts", "bytes", "addresses", "djvu", "videos")
"""Groups that start no LibreOffice and no Chromium."""

LIMIT_S: Final = 20.0
LIMIT_BYTES: Final = 2 << 30

_POLL_S: Final = 0.1
_CASES_PER_WORKER: Final = 400


class Case(NamedTuple):
    """One damaged file: it follows from the three."""

    group: str
    number: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a case.

    ``fault`` is empty, or "wrong" (an error that no user should see), "crash", "time" or "memory".
    ``seconds`` leaves out what was spent waiting for a processor; ``peak_bytes`` is of the worker
    with the programs it started.
    """

    case: Case
    said: str
    fault: str
    seconds: float
    peak_bytes: int


def shared_out(count: int, seed: int, groups: Iterable[str] = SHARES) -> list[Case]:
    """About ``count`` cases over groups, in proportion to ``SHARES``, at least one of each."""
    chosen = {group: SHARES[group] for group in groups}
    whole = sum(chosen.values())
    return [
        Case(group, number, seed)
        for group, share in chosen.items()
        for number in range(max(1, round(count * share / whole)))
    ]


def run(cases: Iterable[Case], jobs: int = 1) -> Iterator[Result]:
    """Work all cases off in so many processes, and give results as they come."""
    waiting: Queue[Case | None] = Queue()
    done: Queue[Result | None] = Queue()
    for case in cases:
        waiting.put(case)
    threads = [threading.Thread(target=_work, args=(waiting, done)) for _ in range(jobs)]
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.start()
    left = len(threads)
    while left:
        result = done.get()
        if result is None:
            left -= 1
        else:
            yield result
    for thread in threads:
        thread.join()


def _work(waiting: Queue[Case | None], done: Queue[Result | None]) -> None:
    worker: _Worker | None = None
    try:
        while (case := waiting.get()) is not None:
            if worker is None or worker.cases >= _CASES_PER_WORKER:
                if worker is not None:
                    worker.end()
                worker = _Worker()
            result = worker.result(case)
            if result.fault in ("crash", "time", "memory"):
                worker.end()
                worker = None
            done.put(result)
    finally:
        if worker is not None:
            worker.end()
        done.put(None)


class _Worker:
    """A process of ``tests.fuzz.worker`` in a session and with a temporary folder of its own."""

    def __init__(self) -> None:
        self.cases = 0
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, closed in end()
        path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        more = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TMPDIR": self._folder.name}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=self._folder.name,
            env=os.environ | more,
            start_new_session=True,
        )

    def result(self, case: Case) -> Result:
        """Work one case off; the first one of a process also pays for its imports."""
        self.cases += 1
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # both are pipes
        assert stdout is not None
        stdin.write(json.dumps(case._asdict()).encode() + b"\n")
        stdin.flush()
        waiting = Waiting(self._process.pid)
        began, waited, peak = time.monotonic(), waiting.total_s(), 0

        def spent() -> float:
            return max(0.0, time.monotonic() - began - (waiting.total_s() - waited))

        while not select.select([stdout], [], [], _POLL_S)[0]:
            peak = max(peak, family_pss(self._process.pid))
            seconds = spent()
            if seconds > LIMIT_S or peak > LIMIT_BYTES:
                fault = "time" if seconds > LIMIT_S else "memory"
                return self._result(case, {"said": self._where()}, fault, seconds, peak)
        line = stdout.readline()
        seconds = spent()
        if not line:
            code = self._process.wait()
            said = f"exit status {code}: {self._tail()}"
            return self._result(case, {"said": said}, "crash", seconds, peak)
        answer: dict[str, Any] = json.loads(line)
        peak = max(peak, answer["peak"])
        fault = "wrong" if answer["is_wrong"] else "memory" if peak > LIMIT_BYTES else ""
        return self._result(case, answer, fault, seconds, peak)

    def end(self) -> None:
        """End the process and all that it started, and remove its folder."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(OSError):
                stream.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()
        self._folder.cleanup()

    def _result(
        self, case: Case, answer: dict[str, Any], fault: str, seconds: float, peak: int
    ) -> Result:
        return Result(case=case, said=answer["said"], fault=fault, seconds=seconds, peak_bytes=peak)

    def _where(self) -> str:
        """Where a worker that is over a limit stands: faulthandler prints it on SIGABRT."""
        self._process.send_signal(signal.SIGABRT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        return self._tail()

    def _tail(self) -> str:
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 4000))
        return self._log.read().decode(errors="replace")
