"""Folders of stages: what goes when a stage begins again, and what stays."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tilewise.corpus.dedup.steps import write_array
from tilewise.corpus.images.index import index_images
from tilewise.corpus.images.measure import measure_part
from tilewise.corpus.images.rules import ImageConfig
from tilewise.corpus.images.store import ImagePart
from tilewise.corpus.stage_files import RowWriter, StageFolder
from tilewise.errors import ConfigError


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_a_kill_left_half_written_is_swept_and_nothing_else(tmp_path: Path) -> None:
    whole = {"done-00003.json", "fetched-00007.log", "note.tmp"}
    for name in whole | {".done-00003.json.815.tmp", ".part-00001.jsonl.gz.9.tmp"}:
        (tmp_path / name).write_bytes(b"x")
    StageFolder(tmp_path).sweep()
    assert _names(tmp_path) == whole
    StageFolder(tmp_path / "nowhere").sweep()


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow beyond a page: writes are cut short there, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def _array(folder: Path) -> None:
    write_array(folder / "facts.npy", np.arange(40_000))


def _rows(folder: Path) -> None:
    with RowWriter(folder / "part-00000.jsonl.gz") as file:
        for n in range(40_000):
            file.write({"n": n * n * n})
        file.commit()


def _index(folder: Path) -> None:
    index_images(folder)


def _facts(folder: Path) -> None:
    measure_part(folder, "a", ImageConfig())


def _image(folder: Path) -> None:
    with ImagePart(folder, "b") as part:
        part.put("http://a.example/", bytes(9_000))


@pytest.mark.parametrize("write", [_array, _rows, _index, _facts, _image])
def test_a_full_disk_is_one_sentence_and_the_same_goes_on(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    with ImagePart(tmp_path, "a") as part:
        for n in range(200):
            part.put(f"http://a.example/{n}.png", b"no image %d" % n)
    with small_files(), pytest.raises(ConfigError, match="the same command goes on") as told:
        write(tmp_path)
    assert "room" in str(told.value)
    assert not list(tmp_path.glob(".*"))
    write(tmp_path)


def test_shards_that_are_no_more_go(tmp_path: Path) -> None:
    for name in ("done-00001.json", "part-00001.jsonl.gz", "done-00002.json", ".x.1.tmp"):
        (tmp_path / name).write_bytes(b"x")
    StageFolder(tmp_path).clear(shards_from=2)
    assert _names(tmp_path) == {"done-00001.json", "part-00001.jsonl.gz"}
