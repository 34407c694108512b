"""A small crawl: a folder of pages with pictures."""

from __future__ import annotations

from pathlib import Path

from tests.corpus.pages import words
from tests.corpus.pictures import png

HOST = "http://small.example"


def write_crawl(folder: Path, pages: int = 6, *, first: int = 0, extra: str = "") -> list[str]:
    """Write pages of made-up words, each with its picture, and one without; their URLs.

    Args:
        folder: of the crawl.
        pages: how many have a picture.
        first: number of the first.
        extra: HTML behind the text of each.
    """
    site = folder / "small.example"
    site.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + pages):
        (site / f"{number}.png").write_bytes(png(number))
        text = " ".join(words(number, 120))
        html = f"<html><head><title>Page {number}</title></head><body><article><h1>{number}</h1>"
        html += f"<p>{text}.</p>{extra}<img src='{number}.png'></article></body></html>"
        (site / f"{number}.html").write_text(html, encoding="utf-8")
    (site / f"bare{first}.html").write_text("<html><body><p>No picture here.</p></body></html>")
    return [f"{HOST}/{number}.html" for number in range(first, first + pages)]
