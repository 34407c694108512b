"""Work for processes that start quickly: this loads nothing heavy."""

from __future__ import annotations

import os
import signal
import time

from tilewise.errors import DataError


def double(number: int) -> int:
    return 2 * number


def fail_at(number: int) -> int:
    if number == 3:
        raise DataError("three is bad")
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 7:
        time.sleep(60)
    return number
