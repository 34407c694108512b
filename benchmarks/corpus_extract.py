"""Main bodies of web pages: how right and how fast beside trafilatura and resiliparse?

    python benchmarks/corpus_extract.py PAGES.warc.gz [--checks extraction_checks.jsonl]
        [--rounds 5] [--out benchmarks/results]

Every extractor gets the same pages, those with an image, in one process, in turn, round after
round; a rate is the median of the rounds in processor time. trafilatura and resiliparse get text
that was decoded before, ours gets the bytes.

F1 is of words (CJK letters count one each), as multisets, mean over pages. What is right is known
where pages were made by a script (the text of their ``main`` or ``article``), and on manuals by
the names that their templates give to navigation: the body without these. Checks are strings that
must and must not be found, by people: recall is the share of the first that is there, precision
the share of what is there that must be. Images: the share of pages of checks whose images are
found in order, and none besides.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any
from urllib.parse import urljoin

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import trafilatura
from lxml import etree
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from benchmarks.machine import processor
from tilewise.corpus.crawl.raw import RawPage
from tilewise.corpus.crawl.read import read_pages
from tilewise.corpus.extract.charset import decode
from tilewise.corpus.extract.page import ExtractConfig, extract
from tilewise.records import Document

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "omnicorpus"
STRESS_BYTES, STRESS_DEPTH = 500_000, 1000
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|[^\W_]+")
FURNITURE = (
    "//nav|//footer|//aside|//script|//style|//noscript|//head|//body/header|//*[@id='comments']|"
    "//*[@id='ad-slot']|//*[contains(concat(' ',@class,' '),' sidebar widget ')]|"
    "//div[@class='navheader' or @class='navfooter' or @class='toc' or @id='banner'"
    " or @id='SearchFrame' or @id='DonationFrame' or @class='relatedtopics']|"
    "//ul[starts-with(@class,'docnav')]|//p[@id='title']"
)


@dataclass(frozen=True)
class Page:
    """A page, its text, what is right, and whether it was made by a script."""

    raw: RawPage
    text: str
    truth: Counter[str]
    is_made: bool
    is_stress: bool


@dataclass(frozen=True)
class Extractor:
    """A way to the text of a page; ``images`` gives their addresses, None if it has none."""

    name: str
    run: Callable[[Page], Any]
    text: Callable[[Any], str]
    images: Callable[[Any, str], list[str]] | None = None


@dataclass
class Result:
    """What came out of one extractor."""

    usual_s: list[float] = field(default_factory=list)
    all_s: list[float] = field(default_factory=list)
    f1: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    there: int = 0
    wrong: int = 0
    in_order: int = 0


def main() -> None:
    """Time all, score all, print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", nargs="?", default=str(GOLDEN / "golden.warc.gz"))
    parser.add_argument("--checks", type=Path, default=GOLDEN / "extraction_checks.jsonl")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    machine = processor()
    pages = [page for page in _pages(args.archive) if page.truth]
    checks = [json.loads(line) for line in args.checks.read_text().splitlines()]
    extractors = _extractors()
    results = {one.name: Result() for one in extractors}
    _time(pages, extractors, results, args.rounds)
    for one in extractors:
        _score(pages, checks, one, results[one.name])
    text = _report(args, pages, checks, results, machine)
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{date.today().isoformat()}-corpus-extract.md").write_text(text)


def _pages(archive: str) -> list[Page]:
    pages = []
    for raw in read_pages(archive, counts=lambda _: None):
        if not isinstance(raw, RawPage) or b"<img" not in raw.html.lower():
            continue
        text = decode(raw.html, raw.content_type).text
        tree = etree.fromstring(text.encode(), etree.HTMLParser(encoding="utf-8", huge_tree=True))
        depth = max(text.count(f"<{tag}>" * STRESS_DEPTH) for tag in ("div", "b"))
        made = tree.xpath("//main|//article")
        for one in tree.xpath(FURNITURE):
            if one.getparent() is not None:
                one.drop_tree() if hasattr(one, "drop_tree") else _drop(one)
        body = (made or tree.xpath("//body") or [tree])[0]
        is_stress = depth > 0 or len(raw.html) > STRESS_BYTES
        words = _words(" ".join(body.itertext()))
        pages.append(Page(raw, text, words, bool(made), is_stress))
    return pages


def _drop(element: Any) -> None:
    """Take an element away and leave what follows it."""
    parent, before = element.getparent(), element.getprevious()
    if element.tail:
        if before is None:
            parent.text = (parent.text or "") + " " + element.tail
        else:
            before.tail = (before.tail or "") + " " + element.tail
    parent.remove(element)


def _words(text: str) -> Counter[str]:
    return Counter(WORD.findall(text.lower()))


def _extractors() -> list[Extractor]:
    cfg = ExtractConfig(needs_image=False)  # all of the work on all of the pages
    options: dict[str, Any] = {"include_comments": False}
    return [
        Extractor("tilewise", lambda page: extract(page.raw, cfg), _own_text, _own_images),
        Extractor(
            f"trafilatura {version('trafilatura')}",
            lambda page: trafilatura.extract(page.text, url=page.raw.url, **options),
            _as_text,
        ),
        Extractor(
            "trafilatura, fast",
            lambda page: trafilatura.extract(page.text, url=page.raw.url, fast=True, **options),
            _as_text,
        ),
        Extractor(
            "trafilatura, images, XML",
            lambda page: trafilatura.extract(
                page.text, url=page.raw.url, include_images=True, output_format="xml", **options
            ),
            _xml_text,
            _xml_images,
        ),
        Extractor(
            f"resiliparse {version('resiliparse')}, main content",
            lambda page: extract_plain_text(HTMLTree.parse(page.text), main_content=True),
            _as_text,
        ),
    ]


def _own_text(document: Any) -> str:
    if not isinstance(document, Document):
        return ""
    captions = dict.fromkeys(image.caption for image in document.images)
    return "\n".join([*(block.text for block in document.blocks), *captions])


def _own_images(document: Any, _: str) -> list[str]:
    return [image.url for image in document.images] if isinstance(document, Document) else []


def _as_text(text: Any) -> str:
    return text or ""


def _xml_text(xml: Any) -> str:
    return " ".join(etree.fromstring(xml.encode()).itertext()) if xml else ""


def _xml_images(xml: Any, url: str) -> list[str]:
    found = etree.fromstring(xml.encode()).iter("graphic") if xml else []
    return [urljoin(url, one.get("src") or "") for one in found]


def _time(
    pages: Sequence[Page], extractors: Sequence[Extractor], results: dict[str, Result], rounds: int
) -> None:
    for _ in range(rounds):
        for one in extractors:
            usual = stress = 0.0
            for page in pages:
                began = process_time()
                one.run(page)
                taken = process_time() - began
                if page.is_stress:
                    stress += taken
                else:
                    usual += taken
            results[one.name].usual_s.append(usual)
            results[one.name].all_s.append(usual + stress)


def _score(
    pages: Sequence[Page], checks: Sequence[dict[str, Any]], one: Extractor, result: Result
) -> None:
    by_url = {check["url"]: check for check in checks}
    for page in pages:
        out = one.run(page)
        text = one.text(out)
        result.f1[page.is_made].append(_f1(_words(text), page.truth))
        check = by_url.get(page.raw.url)
        if check is None:
            continue
        result.there += sum(part in text for part in check["must_contain"])
        result.wrong += sum(part in text for part in check["must_not_contain"])
        if one.images and "images_in_order" in check:
            result.in_order += one.images(out, page.raw.url) == check["images_in_order"]


def _f1(found: Counter[str], truth: Counter[str]) -> float:
    return 2 * sum((found & truth).values()) / max(sum(found.values()) + sum(truth.values()), 1)


def _report(
    args: argparse.Namespace,
    pages: Sequence[Page],
    checks: Sequence[dict[str, Any]],
    results: dict[str, Result],
    machine: str,
) -> str:
    usual = [page for page in pages if not page.is_stress]
    size = sum(len(page.raw.html) for page in usual)
    must = sum(len(check["must_contain"]) for check in checks)
    with_images = sum("images_in_order" in check for check in checks)
    base = next(result for name, result in results.items() if "XML" in name)
    rows = [
        "| extractor | pages/s | against trafilatura with images | pages/s with stress pages "
        "| F1, made pages | F1, manuals | F1, all | checks: precision | recall | images in order |",
        "| --- " * 10 + "|",
    ]
    for name, result in results.items():
        usual_s, all_s = statistics.median(result.usual_s), statistics.median(result.all_s)
        f1 = [statistics.mean(result.f1[made]) for made in (True, False)]
        both = statistics.mean(result.f1[True] + result.f1[False])
        precision = result.there / max(result.there + result.wrong, 1)
        images = f"{result.in_order} of {with_images}" if _has_images(name) else ""
        rows.append(
            f"| {name} | {len(usual) / usual_s:,.0f} "
            f"| {statistics.median(base.usual_s) / usual_s:.2f} | {len(pages) / all_s:,.0f} "
            f"| {f1[0]:.4f} | {f1[1]:.4f} | {both:.4f} "
            f"| {precision:.3f} | {result.there / must:.3f} | {images} |"
        )
    made = sum(page.is_made for page in pages)
    return (
        "# Main bodies of web pages\n\n"
        f"{Path(args.archive).name}: {len(pages)} pages with an image, {made} made by a script and "
        f"{len(pages) - made} from manuals; {len(pages) - len(usual)} of them stress pages; the "
        f"others have {size / 1e6:.2f} MB. {len(checks)} pages of checks. {machine}; one process, "
        f"one thread, processor time, median of {args.rounds} rounds in turn. How F1 is computed "
        "is told at the top of benchmarks/corpus_extract.py.\n\n" + "\n".join(rows) + "\n"
    )


def _has_images(name: str) -> bool:
    return name == "tilewise" or "XML" in name


if __name__ == "__main__":
    main()
