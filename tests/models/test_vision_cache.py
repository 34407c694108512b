"""What the vision side gave is kept whole, within its limit, and found again by what made it."""

from __future__ import annotations

import logging
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.engine.tiny_reader import TinyReader, tiny_page
from tilewise.models.vision_cache import CacheConfig, VisionCache, entries

PARTS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "b": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "c": torch.tensor([], dtype=torch.int16),
    "d": torch.tensor([True, False]),
}


def cache(folder: Path, limit_bytes: int = 1 << 20, identity: str = "model") -> VisionCache:
    return VisionCache(CacheConfig(folder=folder, limit_bytes=limit_bytes), lambda: identity)


def equal(one: dict[str, Tensor] | None, other: dict[str, Tensor]) -> bool:
    return (
        one is not None
        and one.keys() == other.keys()
        and all(one[k].dtype == other[k].dtype and torch.equal(one[k], other[k]) for k in one)
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_put_is_got_bit_for_bit(tmp_path: Path) -> None:
    cache(tmp_path / "new" / "folder").put("k", PARTS)
    assert equal(cache(tmp_path / "new" / "folder").get("k"), PARTS)
    assert cache(tmp_path).get("absent") is None


def test_a_key_depends_on_pixels_plan_and_model(tmp_path: Path) -> None:
    reader, pages = TinyReader(), [tiny_page(20, 12, seed=s) for s in (0, 0, 1)]
    tiles = [reader.tiles(page, 4) for page in pages]
    plans = [reader.plan(20, 12, 4), reader.plan(20, 12, 1)]
    first = cache(tmp_path).key(tiles[0], plans[0])
    assert cache(tmp_path).key(tiles[1], plans[0]) == first
    others = [
        cache(tmp_path).key(tiles[2], plans[0]),
        cache(tmp_path).key(tiles[0], plans[1]),
        cache(tmp_path, identity="other weights").key(tiles[0], plans[0]),
    ]
    assert len({first, *others}) == 4


def test_the_model_is_hashed_once_and_not_before_it_is_needed(tmp_path: Path) -> None:
    asked: list[int] = []
    reader = TinyReader()
    store = VisionCache(CacheConfig(folder=tmp_path), lambda: f"m{asked.append(1)}")  # type: ignore[func-returns-value]
    assert asked == []
    for _ in range(3):
        store.key(reader.tiles(tiny_page(), 4), reader.plan(20, 12, 4))
    assert asked == [1]


def test_damage_at_any_byte_is_found_and_the_entry_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = cache(tmp_path)
    store.put("k", PARTS)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    caplog.set_level(logging.INFO)
    for at in range(0, len(data), 7):
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]):
            path.write_bytes(damaged)
            got = store.get("k")
            assert got is None or equal(got, PARTS), at  # white space in the header may change
            assert path.exists() == (got is not None)
    assert {record.levelno for record in caplog.records} == {logging.INFO}
    assert "is damaged and was removed" in caplog.text


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    store = cache(tmp_path)
    store.put("size", PARTS)
    size = next(entries(tmp_path))[2]
    store = cache(tmp_path, limit_bytes=3 * size)
    for place, name in enumerate(["size", "b", "c"]):
        store.put(name, PARTS)
        os.utime(tmp_path / f"{name}.safetensors", (1000 + place, 1000 + place))
    assert store.get("size") is not None  # used now
    store.put("d", PARTS)
    assert names(tmp_path) == ["c.safetensors", "d.safetensors", "size.safetensors"]
    assert sum(size for _, _, size in entries(tmp_path)) <= 3 * size


def test_what_is_larger_than_the_limit_is_not_kept_and_drives_nothing_out(tmp_path: Path) -> None:
    cache(tmp_path).put("small", PARTS)
    cache(tmp_path, limit_bytes=5000).put("large", {"x": torch.zeros(5000)})
    assert names(tmp_path) == ["small.safetensors"]
    cache(tmp_path, limit_bytes=0).put("other", PARTS)
    assert names(tmp_path) == ["small.safetensors"]


def test_parts_of_killed_runs_are_removed_when_old(tmp_path: Path) -> None:
    (tmp_path / "x.1.part").touch()
    os.utime(tmp_path / "x.1.part", (1000, 1000))
    (tmp_path / "y.2.part").touch()
    cache(tmp_path).put("k", PARTS)
    assert names(tmp_path) == ["k.safetensors", "y.2.part"]


@contextmanager
def files_up_to(size_bytes: int) -> Iterator[None]:
    """A system that lets no file grow beyond this, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_once_and_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = cache(tmp_path)
    with files_up_to(100):
        store.put("k", PARTS)
        store.put("l", PARTS)
    assert names(tmp_path) == []
    assert len(caplog.records) == 1
    store.put("k", PARTS)
    assert equal(store.get("k"), PARTS)


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = cache(tmp_path / "file" / "vision")
    store.put("k", PARTS)
    assert store.get("k") is None


def test_several_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    store = cache(tmp_path)
    store.put("size", PARTS)
    size = next(entries(tmp_path))[2]
    bad: list[str] = []

    def work(seed: int) -> None:
        own = cache(tmp_path, limit_bytes=4 * size)
        for step in range(40):
            name = f"k{(seed * 7 + step) % 9}"
            got = own.get(name)
            if got is None:
                own.put(name, PARTS)
            elif not equal(got, PARTS):
                bad.append(name)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bad == []
    assert not list(tmp_path.glob("*.part"))
