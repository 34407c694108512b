"""Work on a Ray cluster: in order, whole, whatever dies."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image, ImageDraw, ImageFont

from tilewise.errors import ConfigError, MissingExtraError, WeightsError
from tilewise.runners import ray_pool
from tilewise.runners.ray_pool import RayPool
from tilewise.runners.work import Work

HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = [pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed"), pytest.mark.slow]
quiet = pytest.mark.filterwarnings("ignore")  # what Ray's own code warns of is not ours to mend


@dataclass(frozen=True)
class Doubling:
    """Gives each item twice, with a trace of it in a folder; some items kill their process.

    ``deadly``: items that kill it whenever they are worked on. ``once``: only the first time.
    ``processes``: how many must have begun before one goes on, for a minute at most.
    """

    traces: Path
    deadly: tuple[int, ...] = ()
    once: tuple[int, ...] = ()
    processes: int = 1

    def __call__(self) -> Work[int, str]:
        return self.work

    def work(self, items: Iterable[int]) -> Iterator[str]:
        for item in items:
            trace = self.traces / f"{item}-{os.getpid()}-{time.monotonic_ns()}"
            is_first = not list(self.traces.glob(f"{item}-*"))
            trace.touch()
            if item in self.deadly or (item in self.once and is_first):
                os.kill(os.getpid(), signal.SIGKILL)
            ends = time.monotonic() + 60
            while len(self.seen()) < self.processes and time.monotonic() < ends:
                time.sleep(0.05)
            yield from (f"{item}a", f"{item}b")

    def seen(self) -> set[str]:
        """Processes that have begun."""
        return {trace.name.split("-")[1] for trace in self.traces.iterdir()}


@dataclass(frozen=True)
class Unstartable:
    """Work whose model is missing."""

    def __call__(self) -> Work[int, str]:
        raise WeightsError("no such model")


def lost(item: int, reason: str) -> Iterator[str]:
    yield f"{item} lost: {reason}"


def doubled(count: int) -> list[str]:
    return [f"{item}{letter}" for item in range(count) for letter in "ab"]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray on this machine, with two processors, whatever there are."""
    ray = ray_pool.open_ray()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield ray
    ray.shutdown()


class TestOneMachine:
    """One machine."""

    pytestmark: ClassVar = [*needs_ray, quiet]

    def test_results_are_in_order(self, ray: Any, tmp_path: Path) -> None:
        start = Doubling(tmp_path, processes=2)
        assert list(RayPool(chunk=3)(start, range(20), lost)) == doubled(20)
        assert len(start.seen()) == 2

    def test_items_of_lost_processes_are_run_again(self, ray: Any, tmp_path: Path) -> None:
        start = Doubling(tmp_path, once=(2, 3, 11))
        assert list(RayPool(chunk=3)(start, range(12), lost)) == doubled(12)

    def test_an_item_that_kills_every_process_is_reported(self, ray: Any, tmp_path: Path) -> None:
        got = list(RayPool(chunk=3, attempts=2)(Doubling(tmp_path, deadly=(4,)), range(7), lost))
        told = "4 lost: 2 workers ended while they worked on it; leave it out."
        assert got == [*doubled(4), told, *doubled(7)[10:]]

    def test_an_error_of_the_start_arrives_as_it_is(self, ray: Any) -> None:
        with pytest.raises(WeightsError, match="no such model"):
            list(RayPool()(Unstartable(), range(3), lost))

    def test_processes_that_cannot_be_had_end_the_run(self, ray: Any, tmp_path: Path) -> None:
        pool = RayPool(workers=1, threads=999, start_s=1)
        with pytest.raises(ConfigError, match="no worker of the Ray cluster was ready within 1 s"):
            list(pool(Doubling(tmp_path), range(3), lost))


class TestCommand:
    """The command line, which starts Ray on this machine and ends it."""

    pytestmark: ClassVar = needs_ray

    def test_ray_answers_as_one_process_does_and_leaves_nothing(self, tmp_path: Path) -> None:
        for number in range(4):
            image = Image.new("RGB", (330, 330), "white")
            font = ImageFont.load_default(28)
            ImageDraw.Draw(image).text((30, 60), f"Order {number}", "black", font)
            image.save(tmp_path / f"{number}.png")
        lines = []
        temporary = tempfile.mkdtemp()  # short: Ray's sockets lie deep inside
        for runner in ("local", "ray"):
            words = ["ask", "*.png", "What is the title?", "--out", f"{runner}.jsonl"]
            done = subprocess.run(
                [sys.executable, "-m", "tilewise", *words, "--runner", runner, "--threads", "1"],
                cwd=tmp_path,
                env={**os.environ, "TMPDIR": temporary},
                capture_output=True,
                text=True,
                check=False,
                timeout=600,
            )
            assert done.returncode == 0, done.stderr[-3000:]
            assert done.stderr == "4 files, all answered.\n"
            text = (tmp_path / f"{runner}.jsonl").read_text(encoding="utf-8")
            lines.append([json.loads(line) | {"seconds": None} for line in text.splitlines()])
        assert lines[0] == lines[1]
        Path(temporary).rmdir()  # it is empty


class TestTwoNodes:
    """Two simulated machines, in a process of its own as it connects anew."""

    pytestmark: ClassVar = needs_ray

    def test_a_node_killed_in_the_middle_changes_nothing(self, tmp_path: Path) -> None:
        program = Path(__file__).with_name("two_nodes.py")
        done = subprocess.run(
            [sys.executable, str(program), str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.splitlines()[-1] == "equal, after a node was killed"


def test_no_items_need_no_ray() -> None:
    assert list(RayPool(address="nowhere:1")(Unstartable(), [], lost)) == []


def test_a_missing_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tilewise\[ray\]'"):
        list(RayPool()(Unstartable(), [1], lost))


def test_a_long_path_of_temporary_files_is_left_for_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/short")
    assert ray_pool.short_place() == "/short"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 30)))
    assert ray_pool.short_place() == "/tmp"
