"""Signals that ask a run to end in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Sets an event on the first Ctrl-C or TERM; the second one acts as if this were not here."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread may ask for signals
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {
        kind: signal.getsignal(kind) for kind in kinds
    }

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        restore()

    def restore() -> None:
        for kind, handler in before.items():
            signal.signal(kind, handler)

    for kind in kinds:
        signal.signal(kind, ask)
    try:
        yield asked
    finally:
        restore()
