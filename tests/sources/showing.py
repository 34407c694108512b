"""Is all the text that a source holds inside its pictures? Asked of the text's own boxes."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pypdfium2.raw as pdfium_c

from tests.sources.office_making import document_of
from tilewise.records import Box, Pixels
from tilewise.sources.pdf import PdfSource

RASTER_DPI: Final = 110
_LEAST_CONTRAST: Final = 40

_BOXES: Final = """() => {
  const found = [];
  // whether the page itself cuts a box off
  const isCut = (node, box) => {
    for (; node && node !== document.body; node = node.parentElement) {
      const edge = node.getBoundingClientRect();
      if (getComputedStyle(node).overflowY === 'visible') continue;
      if (box.top < edge.top - 2 || box.bottom > edge.bottom + 2) return true;
    }
    return false;
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(node.parentElement.tagName)) continue;
    if (!node.parentElement.checkVisibility({visibilityProperty: true})) continue;
    for (const match of node.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      const box = range.getBoundingClientRect();
      const isReached = box.right + scrollX > 0 && box.bottom + scrollY > 0;  // by scrolling
      if (isCut(node.parentElement, box)) continue;
      if (box.width && box.height && isReached)
        found.push([match[0], box.left + scrollX, box.top + scrollY,
                    box.right + scrollX, box.bottom + scrollY]);
    }
  }
  return found;
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word of a page's own text and its box in pixels of the picture."""

    text: str
    box: Box


def pdf_words(source: PdfSource, number: int, size: tuple[int, int]) -> list[Word]:
    """Words of a page's text layer, placed in a picture of ``size``, as PDFium places them."""
    document = document_of(source)
    page = document[number - 1]
    layer = page.get_textpage()
    try:
        text = layer.get_text_range()
        words = []
        for match in re.finditer(r"\S+", text):
            corners = [
                _device(page, size, x, y)
                for index in range(*match.span())
                for left, bottom, right, top in [layer.get_charbox(index)]
                for x, y in ((left, bottom), (right, top))
                if right > left and top > bottom
            ]
            if corners:
                xs, ys = zip(*corners, strict=True)
                words.append(Word(text=match[0], box=Box(min(xs), min(ys), max(xs), max(ys))))
        return words
    finally:
        layer.close()
        page.close()
        document.close()


def _device(page: Any, size: tuple[int, int], x: float, y: float) -> tuple[int, int]:
    col, row = ctypes.c_int(), ctypes.c_int()
    place = (page, 0, 0, *size, 0, x, y, ctypes.byref(col), ctypes.byref(row))
    assert pdfium_c.FPDF_PageToDevice(*place)
    return col.value, row.value


def html_words(url: str, width: int, scale: float) -> list[Word]:
    """Words of a web page where Chromium, asked apart from tilewise, lays them out."""
    from playwright.sync_api import sync_playwright

    from tilewise.sources.browser import _FLAGS, _program

    fonts = [flag for flag in _FLAGS if "font" in flag or "scrollbars" in flag]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_program(playwright), args=fonts)
        tab = browser.new_page(viewport={"width": width, "height": 1024})
        tab.goto(url)
        found = tab.evaluate(_BOXES)
        browser.close()
    return [
        Word(text=text, box=Box(*(round(edge * scale, 1) for edge in box))) for text, *box in found
    ]


def outside(words: list[Word], pixels: Pixels) -> Iterator[str]:
    """Words that are not wholly inside the picture, or where nothing is drawn."""
    height, width = pixels.shape[:2]
    for word in words:
        left, top, right, bottom = word.box
        if left < -1 or top < -1 or right > width + 1 or bottom > height + 1:
            yield f"{word.text} at {word.box} of {width}x{height}"
            continue
        part = pixels[
            max(0, int(top) - 1) : int(bottom) + 2, max(0, int(left) - 1) : int(right) + 2
        ]
        if part.size == 0 or int(part.max()) - int(part.min()) < _LEAST_CONTRAST:
            yield f"{word.text} at {word.box} is not drawn"


def raster(width_pt: float, height_pt: float) -> tuple[int, int]:
    """Pixels of a page at ``RASTER_DPI``."""
    return round(width_pt * RASTER_DPI / 72), round(height_pt * RASTER_DPI / 72)


def coloured_mm2(source: PdfSource) -> float:
    """Area of all that is neither white, black nor grey, on all pages."""
    total = 0
    for number in range(1, source.count + 1):
        pixels = source.page(number, raster).pixels
        total += int((np.ptp(pixels, axis=2) > 50).sum())
    return total * (25.4 / RASTER_DPI) ** 2
