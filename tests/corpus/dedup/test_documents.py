"""Deduplication over shards."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus.pages import a_corpus, changed, page, words, write_shards
from tilewise.corpus.dedup.documents import Decision, DedupConfig, deduplicated, find_duplicates
from tilewise.corpus.dedup.facts import captured_us
from tilewise.corpus.dedup.minhash import MinHashConfig, fold, jaccard, shingles
from tilewise.errors import ConfigError, DataError
from tilewise.records import Block, Document, Dropped, WebImage

SMALL = DedupConfig(memory_bytes=1 << 16)


@pytest.fixture(scope="module", autouse=True)
def _without_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda file: None)
        yield


def decided(
    documents: Sequence[Document], folder: Path, cfg: DedupConfig = SMALL, shards: int = 3
) -> dict[str, Decision]:
    """What becomes of each document, by its id."""
    paths = write_shards(folder / "shards", documents, shards)
    found = find_duplicates(paths, folder / "work", cfg)
    return {
        document.id: decision
        for shard in range(shards)
        for document, decision in zip(documents[shard::shards], found.of(shard), strict=True)
    }


def test_of_equal_texts_the_latest_stays(tmp_path: Path) -> None:
    text = " ".join(words(1, 80))
    old = page(text, captured="2020-01-01T00:00:00Z")
    new = page(text.upper() + "!", captured="2021-01-01T00:00:00+00:00")
    unknown = page(text, captured="")
    found = decided([old, new, unknown, page("other words here")], tmp_path)
    assert found[old.id] == found[unknown.id] == Decision("exact", new.id)
    assert found[new.id] == Decision(None)


def test_of_equally_late_ones_the_longer_stays_then_the_smaller_id(tmp_path: Path) -> None:
    text = " ".join(words(1, 80))
    longer = page(text + " ...", url="http://a.example/")
    others = [page(text, url=f"http://b.example/{number}") for number in range(3)]
    found = decided([*others, longer], tmp_path / "longer")
    assert all(found[one.id] == Decision("exact", longer.id) for one in others)
    found = decided(others, tmp_path / "id")
    best = min(one.id for one in others)
    assert {one.id for one in others if found[one.id].level is None} == {best}


def test_of_one_address_the_latest_visit_stays(tmp_path: Path) -> None:
    visits = [
        page(" ".join(words(n, 60)), url=f"http://a.example/x#{n}", captured=f"202{n}-01-01")
        for n in range(3)
    ]
    found = decided(visits, tmp_path)
    assert [found[one.id].level for one in visits] == ["url", "url", None]
    found = decided(visits, tmp_path / "off", DedupConfig(url=False))
    assert all(found[one.id].level is None for one in visits)


def test_a_set_of_images_in_common_counts_where_it_is_asked_for(tmp_path: Path) -> None:
    images = [WebImage(url=f"http://a.example/{n}.png") for n in range(2)]
    one = page("first text", images=images, captured="2021-01-01")
    other = page("second text", images=images[::-1], captured="2020-01-01")
    apart = page("third text", images=images[:1])
    found = decided([one, other, apart], tmp_path, DedupConfig(image_set=True))
    assert found[other.id] == Decision("images", one.id)
    assert found[apart.id].level is None
    assert decided([one, other], tmp_path / "off")[other.id].level is None


def similarity(one: str, other: str) -> float:
    sets = [np.unique(shingles(fold(text), MinHashConfig())) for text in (one, other)]
    return jaccard(*sets)


def test_near_texts_go_and_texts_that_share_a_half_stay(tmp_path: Path) -> None:
    text = words(5, 300)
    base = " ".join(text)
    near = changed(text, [40, 200], "x")
    half = " ".join(text[:150] + words(6, 150))
    assert similarity(base, near) > 0.9
    assert similarity(base, half) < 0.5
    documents = [
        page(base, captured="2020-01-01"), page(near, captured="2021-01-01"),
        page(half, captured="2022-01-01"),
    ]  # fmt: skip
    found = decided(documents, tmp_path)
    assert [found[one.id].level for one in documents] == ["near", None, None]
    assert found[documents[0].id].kept == documents[1].id


def test_candidates_below_the_threshold_are_not_taken_for_near(tmp_path: Path) -> None:
    text = words(5, 400)
    documents = [page(changed(text, range(0, 400, step), f"x{step}")) for step in (9000, 42, 38)]
    below = similarity(text_of(documents[0]), text_of(documents[1]))
    assert 0.75 < below < 0.8
    cfg = DedupConfig(bands=112, rows=1, margin=0.5)
    found = decided(documents, tmp_path, cfg)
    assert all(one.level is None for one in found.values())
    loose = decided(documents, tmp_path / "loose", DedupConfig(threshold=0.7, bands=112, rows=1))
    assert sum(one.level == "near" for one in loose.values()) >= 1


def text_of(document: Document) -> str:
    return document.blocks[0].text


def test_a_chain_of_near_texts_is_one_cluster_with_one_kept(tmp_path: Path) -> None:
    text = words(8, 300)
    chain = [changed(text, range(0, 20 * n, 20), "x") for n in range(10)]
    assert similarity(chain[0], chain[-1]) < 0.8
    assert all(similarity(one, other) > 0.9 for one, other in pairwise(chain))
    documents = [page(one, captured=f"20{10 + n}-01-01") for n, one in enumerate(chain)]
    found = decided(documents, tmp_path)
    kept = documents[-1].id
    assert all(found[one.id] == Decision("near", kept) for one in documents[:-1])


def test_duplicates_of_duplicates_name_the_one_that_is_kept(tmp_path: Path) -> None:
    text = words(9, 200)
    first, second = " ".join(text), changed(text, [100], "x")
    copies = [page(first, captured="2020-01-01"), page(first, captured="2021-01-01")]
    last = page(second, captured="2022-01-01")
    found = decided([*copies, last], tmp_path)
    assert found[copies[0].id] == Decision("exact", last.id)
    assert found[copies[1].id] == Decision("near", last.id)


def test_a_bucket_larger_than_the_limit_is_still_one_cluster(tmp_path: Path) -> None:
    text = words(10, 200)
    alike = [page(changed(text, [n], "x"), captured="2020-01-01") for n in range(60)]
    other = words(11, 200)
    alike += [page(changed(other, [n], "y"), captured="2020-01-01") for n in range(5)]
    found = decided(alike, tmp_path, DedupConfig(bucket=4))
    assert sum(one.level is None for one in found.values()) == 2


def test_documents_without_text_are_not_copies_of_each_other(tmp_path: Path) -> None:
    images = [WebImage(url="http://a.example/a.png")]
    blank = [page("", url=f"http://a.example/{n}", images=images) for n in range(3)]
    short = [page(f"{word} !") for word in ("one", "two")]
    found = decided([*blank, *short], tmp_path)
    assert all(one.level is None for one in found.values())


def test_nothing_to_do_is_done(tmp_path: Path) -> None:
    assert find_duplicates([], tmp_path / "none").documents == 0
    paths = write_shards(tmp_path, [], 2)
    found = find_duplicates(paths, tmp_path / "work")
    assert found.documents == 0
    assert list(found.of(1)) == []


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), shards=st.integers(1, 6))
def test_neither_shards_nor_their_order_change_a_decision(
    tmp_path_factory: pytest.TempPathFactory, seed: int, shards: int
) -> None:
    documents = a_corpus(seed)
    cfg = DedupConfig(memory_bytes=1 << 16, bucket=3)
    once = decided(documents, tmp_path_factory.mktemp("one"), DedupConfig(bucket=3), 1)
    random.Random(seed).shuffle(documents)
    assert decided(documents, tmp_path_factory.mktemp("other"), cfg, shards) == once


@settings(max_examples=4)
@given(seed=st.integers(0, 1000))
def test_decisions_are_those_of_comparing_all_with_all(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    documents = a_corpus(seed)
    cfg = DedupConfig(exact=False, url=False, bands=112, rows=1, margin=0.8, bucket=99)
    found = decided(documents, tmp_path_factory.mktemp("work"), cfg)
    sets = [np.unique(shingles(fold(text_of(one)), cfg.minhash)) for one in documents]
    best = list(range(len(documents)))
    pairs = np.argwhere(np.triu(near(sets), 1)).tolist()
    for _ in documents:
        for one, other in pairs:
            best[one] = best[other] = max(best[one], best[other], key=lambda n: order(documents[n]))
    for number, document in enumerate(documents):
        kept = documents[best[number]]
        assert found[document.id] == (
            Decision(None) if kept is document else Decision("near", kept.id)
        )


def near(sets: list[Any]) -> Any:
    return np.array([[jaccard(one, other) >= 0.8 for other in sets] for one in sets])


def order(document: Document) -> tuple[int, int, int]:
    return captured_us(document.captured), len(text_of(document)), -int(document.id, 16)


def test_a_damaged_shard_is_told_by_its_name(tmp_path: Path) -> None:
    paths = write_shards(tmp_path / "shards", a_corpus(7), 2)
    paths[1].write_bytes(paths[1].read_bytes()[:-9])
    with pytest.raises(DataError, match="part-00001"):
        find_duplicates(paths, tmp_path / "work", SMALL)
    with pytest.raises(DataError, match="part-00009"):
        find_duplicates([tmp_path / "part-00009.jsonl.gz"], tmp_path / "work", SMALL)


def test_an_id_that_is_no_hash_is_told(tmp_path: Path) -> None:
    odd = Document(id="seven", url="", blocks=(Block(kind="text", text="x"),))
    paths = write_shards(tmp_path, [page("a"), odd], 1)
    with pytest.raises(DataError, match="row 2: the id is 'seven'; 32 hex digits"):
        find_duplicates(paths, tmp_path / "work")


def test_decisions_make_dropped_documents(tmp_path: Path) -> None:
    text = " ".join(words(1, 80))
    documents = [page(text, captured="2020-01-01"), page(text, captured="2021-01-01")]
    found = find_duplicates(write_shards(tmp_path, documents, 1), tmp_path / "work", SMALL)
    gone, kept = deduplicated(documents, found.of(0), SMALL)
    assert kept is documents[1]
    assert isinstance(gone, Dropped)
    assert (gone.stage, gone.reason) == ("dedup", "duplicate")
    assert gone.value == f"exact {documents[1].id}"
    assert found.lost == {"exact": 1, "url": 0, "images": 0, "near": 0}
    assert found.state_bytes == 9


@pytest.mark.parametrize("count", [1, 3])
def test_decisions_of_another_run_are_refused(count: int) -> None:
    decisions = [Decision(None)] * 2
    with pytest.raises(DataError, match="not equally many"):
        list(deduplicated([page("text")] * count, decisions, SMALL))


@pytest.mark.parametrize(
    ("cfg", "said"),
    [
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"bands": 20}, "bands is 20 and rows is 7"),
        ({"memory_bytes": 10}, "memory_bytes is 10"),
    ],
)
def test_settings_that_cannot_hold_are_told(cfg: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DedupConfig(**cfg)
