"""The program that stands between tilewise and a program it starts; run by path, never imported.

It sets limits, starts the program in a session of its own, and kills all of that session when
the program ends, when time is up, or when tilewise itself is gone (its end of standard input
closes), in which case it also removes the working folder.

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
from typing import Any

OVER_TIME = 124
"""Exit status when time was up, as that of timeout(1)."""

_STEP_S = 0.02


def main() -> int:
    """Run the order in the first argument, JSON; return the program's exit status."""
    order: dict[str, Any] = json.loads(sys.argv[1])

    def limit() -> None:
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_AS, order["memory_bytes"])
        _limit(resource.RLIMIT_FSIZE, order["file_bytes"])
        _limit(resource.RLIMIT_CPU, int(order["cpu_seconds"]) + 1)

    program = subprocess.Popen(
        order["argv"],
        cwd=order["folder"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=limit,  # this process has one thread
    )
    ends = time.monotonic() + order["seconds"]
    is_watched = True
    try:
        while program.poll() is None and time.monotonic() < ends and is_watched:
            readable, _, _ = select.select([0], [], [], _STEP_S)
            is_watched = not readable  # nothing is ever written: readable means closed
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
    is_over_time = program.poll() is None and is_watched
    code = program.wait()
    if not is_watched:
        shutil.rmtree(order["folder"], ignore_errors=True)
    return OVER_TIME if is_over_time else code & 0xFF


def _limit(which: int, value: int) -> None:
    """Lower a limit, as far as the one that is there allows."""
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


if __name__ == "__main__":
    sys.exit(main())
