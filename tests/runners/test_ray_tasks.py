"""Tasks of a Ray cluster keep within the memory that they are given."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from tilewise.runners.processes import ProcessLimits
from tilewise.runners.ray_tasks import RayTasks
from tilewise.runners.work import Work

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
]


@dataclass(frozen=True)
class Hungry:
    """Takes 900 MB for item 1."""

    def __call__(self) -> Work[int, str]:
        return self.work

    def work(self, items: Iterable[int]) -> Iterator[str]:
        for item in items:
            held = bytearray(b"x") * (900_000_000 if item == 1 else 1)
            if item == 1:
                time.sleep(30)
            yield f"{item} took {len(held)}"


def lost(item: int, reason: str) -> Iterator[str]:
    yield f"{item} lost: {reason}"


def test_a_task_beyond_its_memory_is_ended_and_told_and_the_others_are_done() -> None:
    tasks = RayTasks(workers=1, limits=ProcessLimits(memory_bytes=500 << 20, attempts=2))
    found = list(tasks(Hungry(), [0, 1, 2], lost))
    assert found[0] == "0 took 1"
    assert found[1].startswith("1 lost: 2 workers ended")
    assert found[2] == "2 took 1"
