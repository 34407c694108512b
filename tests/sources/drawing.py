"""Pages made of coloured blocks, and what of them is found in pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.sources.making import saved
from tilewise.records import Pixels
from tilewise.sources.pages import open_source
from tilewise.sources.web_options import WebOptions

RED, GREEN, BLUE = (255, 0, 0), (0, 200, 0), (0, 0, 255)
STYLE = "<!doctype html><style>body{margin:0;font:16px sans-serif}</style>"


def options(**more: object) -> WebOptions:
    settings: dict[str, object] = {"width": 400, "scale": 1.0, "allow_private": True}
    return WebOptions(**(settings | more))  # type: ignore[arg-type]


def drawn(source: str | Path | bytes, **more: object) -> Pixels:
    """The one picture of a page."""
    with open_source(source, web=options(**more)) as opened:
        assert opened.count == 1
        return opened.page(1).pixels


def block(colour: tuple[int, int, int], height: int = 40, more: str = "") -> str:
    return f'<div style="height:{height}px;background:rgb{colour};{more}"></div>'


def rows(pixels: Pixels, colour: tuple[int, int, int]) -> list[int]:
    """Rows that are for the most part of one colour."""
    hits: NDArray[np.bool_] = (pixels == np.array(colour)).all(axis=2)
    return np.flatnonzero(hits.mean(axis=1) > 0.5).tolist()


def has(pixels: Pixels, colour: tuple[int, int, int]) -> bool:
    return bool((pixels == np.array(colour)).all(axis=2).any())


def square(colour: tuple[int, int, int], side: int = 40) -> bytes:
    return saved(Image.new("RGB", (side, side), colour), "PNG")
