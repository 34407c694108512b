"""Counts of images over documents, and addresses once each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.pages import page, write_shards
from tilewise.corpus.dedup.image_urls import distinct_image_urls
from tilewise.corpus.dedup.steps import bounds
from tilewise.corpus.images.frequency import image_frequency
from tilewise.errors import DataError
from tilewise.records import WebImage

HASHES = st.lists(st.integers(0, 5).map(lambda n: f"{n:016x}"), max_size=4)


def picture(number: int, p_hash: str | None, dropped: str | None = None) -> WebImage:
    return WebImage(
        url=f"http://a.example/{number}.png", p_hash=p_hash, d_hash=p_hash, dropped=dropped
    )


@settings(max_examples=10)
@given(hashes=st.lists(HASHES, min_size=1, max_size=12), shards=st.integers(1, 4))
def test_an_image_is_counted_once_for_each_document(
    tmp_path_factory: pytest.TempPathFactory, hashes: list[list[str]], shards: int
) -> None:
    folder = tmp_path_factory.mktemp("images")
    documents = [
        page(f"text {n}", images=[picture(i, one) for i, one in enumerate(each)])
        for n, each in enumerate(hashes)
    ]
    paths = write_shards(folder, documents, shards)
    counts = image_frequency(paths, folder / "work", memory_bytes=1 << 16)
    expected = Counter(one for each in hashes for one in set(each))
    for number in range(7):
        assert counts("p", f"{number:016x}") == expected[f"{number:016x}"]
        assert counts("d", f"{number:016x}") == expected[f"{number:016x}"]


def test_the_two_hashes_are_counted_apart_and_dropped_images_not(tmp_path: Path) -> None:
    images = [
        WebImage(url="a", p_hash="0" * 16, d_hash="1" * 16),
        WebImage(url="b", p_hash=None, d_hash=None),
        picture(3, "2" * 16, dropped="image_too_small"),
    ]
    paths = write_shards(tmp_path, [page("text", images=images)], 1)
    counts = image_frequency(paths, tmp_path / "work")
    assert [counts("p", "0" * 16), counts("d", "0" * 16)] == [1, 0]
    assert [counts("p", "1" * 16), counts("d", "1" * 16)] == [0, 1]
    assert counts("p", "2" * 16) == 0


@given(key=st.integers(0, 2**64 - 1), parts=st.integers(1, 1000))
def test_a_key_lies_in_the_part_that_is_asked_for_it(key: int, parts: int) -> None:
    low, high = bounds((key * parts) >> 64, parts)
    assert low <= key < high


@pytest.mark.parametrize("parts", [1, 3, 7, 1000])
def test_parts_meet_without_a_gap(parts: int) -> None:
    edges = [bounds(part, parts) for part in range(parts)]
    assert edges[0][0] == 0
    assert edges[-1][1] == 2**64
    assert all(one[1] == other[0] for one, other in pairwise(edges))
    for low, _ in edges:
        assert bounds((low * parts) >> 64, parts)[0] == low


def backwards(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
    return [function(item) for item in items[::-1]][::-1]


def test_the_same_bytes_lie_on_disk_in_whatever_order_parts_run(tmp_path: Path) -> None:
    documents = [page(f"t{n}", images=[picture(n % 7, f"{n % 5:016x}")]) for n in range(30)]
    paths = write_shards(tmp_path / "shards", documents, 4)
    for work, run in (("one", map), ("other", backwards)):
        image_frequency(paths, tmp_path / work, run)
        distinct_image_urls(paths, tmp_path / work, run)
    one, other = (
        {p.name: p.read_bytes() for p in sorted((tmp_path / work).rglob("*.npy"))}
        for work in ("one", "other")
    )
    assert one == other
    assert len(one) >= 4


def test_a_torn_file_is_made_again_and_a_missing_one_told(tmp_path: Path) -> None:
    documents = [page(f"t{n}", images=[picture(n, "0" * 16)]) for n in range(3)]
    paths = write_shards(tmp_path / "shards", documents, 1)
    counts = image_frequency(paths, tmp_path / "work")
    path = counts.counts.step.path("counts", 0)
    path.write_bytes(path.read_bytes()[:-3])
    assert image_frequency(paths, tmp_path / "work")("p", "0" * 16) == 3
    paths[0].unlink()
    with pytest.raises(DataError, match="cannot be read"):
        image_frequency(paths, tmp_path / "work")


def test_every_address_is_there_once_and_a_host_in_one_part(tmp_path: Path) -> None:
    urls = [f"http://h{n % 5}.example/{n % 11}é.png" for n in range(60)]
    documents = [
        page(
            f"t{n}", images=[WebImage(url=url + "#top"), WebImage(url="x", dropped="image_ad_url")]
        )
        for n, url in enumerate(urls)
    ]
    paths = write_shards(tmp_path, documents, 3)
    found = distinct_image_urls(paths, tmp_path / "work", memory_bytes=1 << 12)
    parts = [list(found.of(part)) for part in range(found.parts)]
    every = [url for part in parts for url in part]
    assert sorted(every) == sorted(set(urls))
    assert found.count == len(every)
    hosts = [host for part in parts for host in {url.split("/")[2] for url in part}]
    assert len(hosts) == len(set(hosts))
    assert found.parts > 1
