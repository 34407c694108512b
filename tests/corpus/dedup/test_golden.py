"""Duplicates of the golden corpus, found among pages read and extracted as a run does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corpus.pages import write_shards
from tests.goldens import GoldenFile
from tilewise.corpus.crawl.raw import RawPage
from tilewise.corpus.crawl.read import read_pages
from tilewise.corpus.dedup.documents import DedupConfig, find_duplicates
from tilewise.corpus.extract.page import ExtractConfig, extract
from tilewise.corpus.filters.preliminary import TextFilterConfig, filter_text
from tilewise.records import Document

pytestmark = pytest.mark.golden


def documents(archive: Path) -> Iterator[Document]:
    """The pages that come as far as deduplication."""
    for page in read_pages(str(archive), counts=lambda reason: None):
        if isinstance(page, RawPage):
            made = extract(page, ExtractConfig())
            kept = filter_text(made, TextFilterConfig()) if isinstance(made, Document) else made
            if isinstance(kept, Document):
                yield kept


def test_every_duplicate_is_found_with_the_page_that_is_kept(
    golden: GoldenFile, tmp_path: Path
) -> None:
    rows = golden("omnicorpus", "expected.jsonl").read_text().splitlines()
    expected = {row["url"]: row for row in map(json.loads, rows)}
    pages = list(documents(golden("omnicorpus", "golden.warc.gz")))
    urls = {page.id: page.url for page in pages}
    paths = write_shards(tmp_path / "shards", pages, 3)
    for cfg in (DedupConfig(), DedupConfig(bands=14, rows=8)):
        found = find_duplicates(paths, tmp_path / "work", cfg)
        for shard in range(3):
            for page, decision in zip(pages[shard::3], found.of(shard), strict=True):
                kept = urls[decision.kept] if decision.level else None
                assert kept == expected[page.url].get("duplicate_of"), page.url
        assert sum(found.lost.values()) == sum(r["stage"] == "dedup" for r in expected.values())
