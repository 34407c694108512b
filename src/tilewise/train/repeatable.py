"""Sums in one order, so that a run made again is the same to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch.utils import deterministic

MEMORY: Final[Any] = deterministic
"""``fill_uninitialized_memory`` is a property of this module, which types do not know."""


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Have a CPU add up gradients in one order; its threads race where an index comes often.

    On other devices nothing changes: there it costs time, and some operators have no such way.
    """
    if device.type != "cpu":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    is_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    is_filled = MEMORY.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    MEMORY.fill_uninitialized_memory = False  # a pass over all memory
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=is_warning)
        MEMORY.fill_uninitialized_memory = is_filled
