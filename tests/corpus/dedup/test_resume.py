"""Deduplication goes on after any end, to the same bytes, wherever it runs."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.pages import a_corpus, page, write_shards
from tilewise.corpus.dedup.documents import DedupConfig, find_duplicates
from tilewise.corpus.dedup.steps import open_array
from tilewise.corpus.over import RunnerMap
from tilewise.errors import ConfigError, DataError
from tilewise.runners.ray_pool import RayPool

SMALL = DedupConfig(memory_bytes=1 << 16)


@pytest.fixture(scope="module", autouse=True)
def _without_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda file: None)
        yield


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def backwards(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
    """Runs parts in another order, as other workers would."""
    return [function(item) for item in items[::-1]][::-1]


def test_the_same_bytes_lie_on_disk_in_whatever_order_parts_run(tmp_path: Path) -> None:
    paths = write_shards(tmp_path / "shards", a_corpus(1), 4)
    find_duplicates(paths, tmp_path / "one", SMALL)
    find_duplicates(paths, tmp_path / "other", SMALL, backwards)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


@pytest.mark.slow
def test_processes_leave_the_same_bytes(tmp_path: Path) -> None:
    paths = write_shards(tmp_path / "shards", a_corpus(1), 4)
    find_duplicates(paths, tmp_path / "one", SMALL)
    for workers in (1, 3):
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            find_duplicates(paths, tmp_path / str(workers), SMALL, pool.map)
        assert contents(tmp_path / "one") == contents(tmp_path / str(workers))


@pytest.mark.slow
def test_processes_of_ray_leave_the_same_bytes(tmp_path: Path) -> None:
    paths = write_shards(tmp_path / "shards", a_corpus(1), 4)
    find_duplicates(paths, tmp_path / "one", SMALL)
    find_duplicates(paths, tmp_path / "ray", SMALL, RunnerMap(RayPool(workers=2)))
    assert contents(tmp_path / "one") == contents(tmp_path / "ray")


RUN = """
import sys
from pathlib import Path
from tilewise.corpus.dedup.documents import DedupConfig, find_duplicates
shards = [Path(name) for name in sys.argv[2:]]
print("ready", flush=True)
find_duplicates(shards, Path(sys.argv[1]), DedupConfig(memory_bytes=1 << 16))
"""


@pytest.mark.slow
def test_a_run_killed_at_random_points_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    documents = [one for seed in range(20) for one in a_corpus(seed)]
    paths = write_shards(tmp_path / "shards", list({one.id: one for one in documents}.values()), 6)
    find_duplicates(paths, tmp_path / "whole", SMALL)
    command = [sys.executable, "-c", RUN, str(tmp_path / "work"), *map(str, paths)]
    kills = 0
    for seed in range(20):
        run = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert run.stdout is not None
        run.stdout.readline()
        try:
            run.wait(random.Random(seed).uniform(0.0, 0.4))
        except subprocess.TimeoutExpired:
            run.kill()
            kills += 1
        run.wait()
        run.stdout.close()
    assert kills
    find_duplicates(paths, tmp_path / "work", SMALL)
    assert contents(tmp_path / "work") == contents(tmp_path / "whole")


class StopError(Exception):
    """Ends a run as a kill would."""


def stopping_after(parts: int) -> Callable[..., Iterable[Any]]:
    """A ``map`` that ends so many parts into the run."""
    left = [parts]

    def run(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        for item in items:
            if not left[0]:
                raise StopError
            left[0] -= 1
            yield function(item)

    return run


def test_a_run_stopped_anywhere_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    paths = write_shards(tmp_path / "shards", a_corpus(2), 3)
    find_duplicates(paths, tmp_path / "whole", SMALL)
    whole = contents(tmp_path / "whole")
    for parts in range(1, 40, 6):
        work = tmp_path / str(parts)
        try:
            find_duplicates(paths, work, SMALL, stopping_after(parts))
        except StopError:
            (work / "facts" / ".facts-00000.npy.1.tmp").write_bytes(b"half")
        find_duplicates(paths, work, SMALL)
        assert contents(work) == whole


def count_calls(calls: list[Any]) -> Callable[..., Iterable[Any]]:
    def run(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        for item in items:
            before = item.step.folder.marker(item.part).is_file()
            stamp = item.step.folder.marker(item.part).stat().st_mtime_ns if before else 0
            yield function(item)
            after = item.step.folder.marker(item.part).stat().st_mtime_ns
            if after != stamp:
                calls.append((item.step.name, item.part))

    return run


def test_what_is_done_is_not_done_again_and_a_torn_file_is(tmp_path: Path) -> None:
    paths = write_shards(tmp_path / "shards", a_corpus(3), 3)
    work, calls = tmp_path / "work", list[Any]()
    find_duplicates(paths, work, SMALL)
    before = contents(work)
    find_duplicates(paths, work, SMALL, count_calls(calls))
    assert calls == []
    torn = work / "facts" / "signatures-00001.npy"
    torn.write_bytes(torn.read_bytes()[:-5])
    changed_byte = bytearray((work / "near" / "near-00000.npy").read_bytes())
    changed_byte[-1] ^= 1
    (work / "near" / "near-00000.npy").write_bytes(changed_byte)
    find_duplicates(paths, work, SMALL, count_calls(calls))
    assert calls == [("facts", 1), ("near", 0)]
    assert contents(work) == before


def test_other_settings_and_other_shards_do_what_depends_on_them(tmp_path: Path) -> None:
    documents = a_corpus(4)
    paths = write_shards(tmp_path / "shards", documents, 3)
    work, calls = tmp_path / "work", list[Any]()
    find_duplicates(paths, work, SMALL)
    find_duplicates(paths, work, DedupConfig(memory_bytes=1 << 16, threshold=0.5),
                    count_calls(calls))  # fmt: skip
    assert "facts" not in {name for name, _ in calls}
    assert "near" in {name for name, _ in calls}
    write_shards(tmp_path / "shards", [*documents, page("one more")], 3)
    calls.clear()
    again = find_duplicates(paths, work, SMALL, count_calls(calls))
    assert ("facts", len(documents) % 3) in calls
    assert again.documents == len(documents) + 1


def test_signatures_of_two_kinds_are_never_compared(tmp_path: Path) -> None:
    paths = write_shards(tmp_path / "shards", a_corpus(5), 2)
    find_duplicates(paths, tmp_path / "work", SMALL)
    (tmp_path / "work" / "facts" / "kind.txt").write_text("rensa 0.4.1\n")
    with pytest.raises(ConfigError, match=r"tilewise-numpy-\d.*Unicode.*rensa 0\.4\.1"):
        find_duplicates(paths, tmp_path / "work", SMALL)


def test_a_file_cut_short_or_of_another_run_is_one_clear_error(tmp_path: Path) -> None:
    paths = write_shards(tmp_path / "shards", a_corpus(6), 2)
    found = find_duplicates(paths, tmp_path / "work", SMALL)
    path = found.step.path("decisions", 0)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"decisions-00000\.npy is damaged or cut short; remove"):
        list(found.of(0))
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot be read .*; remove"):
        open_array(path)
    path.unlink()
    with pytest.raises(DataError, match="No such file"):
        open_array(path)
