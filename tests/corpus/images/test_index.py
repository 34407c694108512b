"""Images of an archive are kept once, measured once and found by their address."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.corpus.pictures import encoded, picture, png
from tests.goldens import GoldenFile
from tilewise.corpus.crawl.raw import RawImage
from tilewise.corpus.crawl.read import read_pages
from tilewise.corpus.images.ad_urls import ad_word
from tilewise.corpus.images.index import KEYS, ImageIndex, index_images
from tilewise.corpus.images.measure import measure_part
from tilewise.corpus.images.rules import ImageConfig, verdict
from tilewise.corpus.images.scorers import ImageScorers
from tilewise.corpus.images.store import SYNC_ROWS, ImagePart, put_archived
from tilewise.errors import DataError
from tilewise.records import Pixels

PART = "archive-00000"


def _raw(name: str, data: bytes, captured: str = "2024-01-01T00:00:00Z", tag: str = "") -> RawImage:
    url = f"http://a.example/{name}"
    return RawImage(url=url, data=data, captured=captured, robots_tag=tag)


def _stored(
    folder: Path, *raws: RawImage, part: str = PART, is_measured: bool = False
) -> ImageIndex:
    with ImagePart(folder, part, restart=True) as out:
        for raw in raws:
            put_archived(out, raw)
    if is_measured:
        measure_part(folder, part, ImageConfig())
    index_images(folder)
    return ImageIndex(folder)


def test_an_image_is_found_by_its_address_with_its_facts(tmp_path: Path) -> None:
    index = _stored(
        tmp_path, _raw("a.png", png(1)), _raw("b.png", png(2, 100, 100)), is_measured=True
    )
    found = index.lookup("HTTP://A.example:80/a.png#top")
    assert found.facts is not None
    assert (found.facts.width, found.size_bytes, found.reason) == (200, len(png(1)), "")
    assert index.data("http://a.example/a.png") == png(1)
    assert verdict(index.lookup("http://a.example/b.png"), ImageConfig()) == "image_too_small"
    assert index.lookup("http://a.example/c.png").reason == "image_unavailable"
    assert index.data("http://a.example/c.png") is None
    assert (index.has("http://a.example/a.png"), index.has("http://a.example/c.png")) == (
        True,
        False,
    )
    index.close()


def test_the_latest_capture_of_an_address_counts(tmp_path: Path) -> None:
    _stored(tmp_path, _raw("a.png", png(1), "2024-01-02T00:00:00Z"), _raw("a.png", png(2)))
    later = _raw("b.png", png(4), "2024-01-03T00:00:00Z")
    index = _stored(tmp_path, _raw("b.png", png(3)), later, part="archive-00001")
    assert index.data("http://a.example/a.png") == png(1)
    assert index.data("http://a.example/b.png") == png(4)
    index = _stored(tmp_path, _raw("a.png", png(5), "2024-02"), part="archive-00002")
    assert index.data("http://a.example/a.png") == png(5)


def test_bytes_that_are_the_same_are_kept_and_decoded_once(tmp_path: Path) -> None:
    _stored(tmp_path, *(_raw(f"{n}.png", png(1)) for n in range(5)), is_measured=True)
    assert (tmp_path / f"{PART}.bytes").stat().st_size == len(png(1))
    assert len((tmp_path / f"{PART}.facts").read_bytes().splitlines()) == 2


def test_rules_in_the_archive_hold_for_images_in_the_archive(tmp_path: Path) -> None:
    rules = _raw("robots.txt", b"User-agent: *\nDisallow: /private/\n")
    raws = [_raw("private/a.png", png(1)), _raw("a.png", png(2)), rules]
    index = _stored(tmp_path, *raws, _raw("b.png", png(3), tag="noai"))
    assert index.lookup("http://a.example/private/a.png").reason == "image_robots"
    assert index.lookup("http://a.example/a.png").detail == "it was not measured"
    assert index.lookup("http://a.example/b.png").reason == "image_opted_out"
    index = ImageIndex(tmp_path, archive_robots=False)
    assert index.lookup("http://a.example/private/a.png").detail == "it was not measured"


def test_an_index_is_the_same_for_any_order_of_parts_made(tmp_path: Path) -> None:
    def made(order: list[int]) -> bytes:
        folder = tmp_path / "".join(map(str, order))
        for n in order:
            _stored(folder, _raw(f"{n}.png", png(n)), part=f"archive-0000{n}")
        return (folder / KEYS).read_bytes()

    assert made([0, 1, 2]) == made([2, 0, 1])


def test_facts_that_are_there_are_not_found_again(tmp_path: Path) -> None:
    raws = [_raw(f"{n}.png", png(n)) for n in range(4)]
    _stored(tmp_path, *raws, is_measured=True)
    facts = tmp_path / f"{PART}.facts"
    whole = facts.read_bytes()
    assert measure_part(tmp_path, PART, ImageConfig()) == {}
    os.truncate(facts, len(whole) - 7)  # torn by a kill
    assert measure_part(tmp_path, PART, ImageConfig()) == {"measured": 1}
    assert facts.read_bytes() == whole
    assert measure_part(tmp_path, PART, ImageConfig(max_pixels=10)) == {
        "measured": 4, "image_too_many_pixels": 4,
    }  # fmt: skip


def test_scores_come_from_pixels_and_stand_among_the_facts(tmp_path: Path) -> None:
    shapes: list[tuple[int, ...]] = []

    def aesthetic(images: list[Pixels]) -> list[float]:
        shapes.extend(pixels.shape for pixels in images)
        return [pixels.mean() / 25.5 for pixels in images]

    dark, light = (
        encoded(picture(1).point([v // 4 + least for v in range(256)] * 3)) for least in (0, 190)
    )
    _stored(tmp_path, _raw("dark.png", dark), _raw("light.png", light), _raw("no.png", b"no"))
    scorers = ImageScorers(aesthetic=aesthetic, side=100, name="mean")  # type: ignore[arg-type]
    measure_part(tmp_path, PART, ImageConfig(), scorers)
    index_images(tmp_path)
    index = ImageIndex(tmp_path)
    reasons = [verdict(index.lookup(f"http://a.example/{n}.png"), ImageConfig()) for n in
               ("dark", "light", "no")]  # fmt: skip
    assert reasons == ["image_unattractive", None, "image_decode"]
    assert shapes == [(80, 100, 3)] * 2


def test_a_part_of_many_rows_is_whole_after_a_close(tmp_path: Path) -> None:
    count = SYNC_ROWS + 10
    with ImagePart(tmp_path, "web") as part:
        for n in range(count):
            part.put(f"http://a.example/{n}", bytes([n % 256]) * (n % 7))
            part.fail(f"http://a.example/{n}/gone", "image_unavailable", "status 404")
    with ImagePart(tmp_path, "web") as part:
        assert len(part.rows) == 2 * count
        assert all(part.data(part.rows[f"http://a.example/{n}"]) == bytes([n % 256]) * (n % 7)
                   for n in range(count))  # fmt: skip


def test_without_an_index_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no index of images"):
        ImageIndex(tmp_path)
    _stored(tmp_path, _raw("a.png", png()))
    index = ImageIndex(tmp_path)
    os.truncate(tmp_path / f"{PART}.log", 0)
    with pytest.raises(DataError, match="does not fit its parts"):
        index.lookup("http://a.example/a.png")


def test_an_empty_store_has_an_index(tmp_path: Path) -> None:
    assert index_images(tmp_path) == 0
    assert ImageIndex(tmp_path).lookup("http://a.example/a.png").reason == "image_unavailable"


@pytest.mark.golden
def test_every_image_of_the_golden_archive_has_its_verdict(
    golden: GoldenFile, tmp_path: Path
) -> None:
    archive = str(golden("omnicorpus", "golden.warc.gz"))
    raws = [
        raw for raw in read_pages(archive, counts=lambda reason: None) if isinstance(raw, RawImage)
    ]
    index = _stored(tmp_path, *raws, is_measured=True)
    rows = map(json.loads, golden("omnicorpus", "expected_images.jsonl").read_text().splitlines())
    for row in rows:
        if row["reason"] == "image_too_frequent":  # told by counting over documents
            row["reason"] = "ok"
        found = index.lookup(row["url"])
        reason = "image_ad_url" if ad_word(row["url"]) else verdict(found, ImageConfig())
        assert (reason or "ok") == row["reason"], row
        if found.facts is not None and found.facts.width is not None and "width" in row:
            assert (found.facts.width, found.facts.height) == (row["width"], row["height"])
