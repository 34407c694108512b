"""Text filters of a corpus: how many documents a second, on one core?

    python benchmarks/corpus_text.py PAGES.warc.gz [--rounds 9] [--most-chars 20000]
        [--out benchmarks/results]

Documents are the main bodies of the archive's pages with an image, up to a length that is usual on
the web. Each filter judges every document once a round; a document's time is the least of the
rounds in processor time, since other work on the machine only adds to it, and the rate is
documents over the sum of their times. Medians of whole rounds stand beside it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import processor
from tilewise.corpus.crawl.raw import RawPage
from tilewise.corpus.crawl.read import read_pages
from tilewise.corpus.extract.page import ExtractConfig, extract
from tilewise.corpus.filters.config import FullFilterConfig
from tilewise.corpus.filters.detailed import filter_full
from tilewise.corpus.filters.preliminary import TextFilterConfig, filter_text, measure_text
from tilewise.records import Document

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "omnicorpus" / "golden.warc.gz"


def main() -> None:
    """Measure and write a table."""
    parser = argparse.ArgumentParser(description="documents a second of the text filters")
    parser.add_argument("pages", nargs="?", default=str(GOLDEN))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--most-chars", type=int, default=20_000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    usual = [page for page in documents(given.pages) if chars(page) <= given.most_chars]
    cfg, full = TextFilterConfig(), FullFilterConfig()
    measured = [measure_text(page, cfg) for page in usual]
    rows = [
        row("filter_text", usual, lambda page: filter_text(page, cfg), given.rounds),
        row("filter_full", measured, lambda page: filter_full(page, full), given.rounds),
    ]
    size = statistics.mean(map(chars, usual))
    lines = [
        f"# Text filters, {date.today().isoformat()}",
        "",
        f"{processor()}; one process. {len(usual)} documents of {Path(given.pages).name}, "
        f"{size:,.0f} characters on average, {given.rounds} rounds.",
        "",
        "| filter | documents/s, least times | documents/s, median round | spread of rounds |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
    ]
    print("\n".join(lines))
    if given.out is not None:
        (given.out / f"{date.today().isoformat()}-corpus-text.md").write_text("\n".join(lines))


def documents(pages: str) -> list[Document]:
    """The main bodies of an archive's pages."""
    found = []
    for one in read_pages(pages, counts=lambda reason: None):
        if isinstance(one, RawPage):
            page = extract(one, ExtractConfig())
            if isinstance(page, Document):
                found.append(page)
    return found


def chars(page: Document) -> int:
    """Characters of text."""
    return sum(len(block.text) for block in page.blocks)


def row(
    name: str, pages: Sequence[Document], judge: Callable[[Document], object], rounds: int
) -> str:
    """Rates of one filter."""
    judge(pages[0])  # loads models and lists
    least = [float("inf")] * len(pages)
    whole = []
    for _ in range(rounds):
        spent = 0.0
        for place, page in enumerate(pages):
            began = process_time()
            judge(page)
            took = process_time() - began
            least[place] = min(least[place], took)
            spent += took
        whole.append(len(pages) / spent)
    spread = f"{min(whole):,.0f} to {max(whole):,.0f}"
    best, middle = len(pages) / sum(least), statistics.median(whole)
    return f"| {name} | {best:,.0f} | {middle:,.0f} | {spread} |"


if __name__ == "__main__":
    main()
