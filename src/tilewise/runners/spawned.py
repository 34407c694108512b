"""How processes that work for this one begin and end: without Ctrl-C, and never without it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back. Processes started meanwhile never see it: this one ends them in order."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_workers: Final[set[int]] = set()


def become_worker() -> None:
    """Called in a process that works for another, which sees its end and has its work done anew."""
    _workers.add(os.getpid())


def is_worker() -> bool:
    """Whether this process works for another, so that it may be ended."""
    return os.getpid() in _workers


def depend_on_parent() -> None:
    """Called in a new process: it leaves Ctrl-C to its parent, and ends when that does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # nobody is left to take a result
