"""What a page's print is like: height of small letters, blur, noise, traces of JPEG.

Lines of print are looked for among connected pieces of ink. The small letters of a line (its
x-height) reach from where the ink of its rows rises most to where it falls most, which holds where
letters touch too. Blur is told from how wide their edges are, for their height: the stems of small
letters are thinner than the blur, so that a line of ink is measured there rather than an edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilewise.records import Pixels
from tilewise.sources.components import grey, ink_of
from tilewise.superres.edges import edge_widths, noise_level, sigma_of
from tilewise.superres.lines import Line, find_lines
from tilewise.superres.traces import jpeg_quality

Floats = NDArray[np.float32]

CROP: Final = 448
"""Side of the squares that a large page is measured in, in px."""

CROPS: Final = 4
"""So many of them, those with the most edges."""

WHOLE: Final = CROPS * CROP * CROP
"""A page of no more pixels is measured as a whole."""

HANDY: Final = 9
"""Height of small letters, in px, at which blur is measured on larger ones too."""

RESOLVED: Final = 0.12
"""Blur by height from which on that of pictures made smaller is believed."""

LEAST_EDGES: Final = 8

LEAST_LETTERS: Final = 20
"""Where lines are shorter together than so many small letters are high, there is no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageMeasure:
    """What was measured on a page; lengths in px of the page.

    ``x_height``: median height of small letters over lines of print, weighted by their length,
    None where no text was found; ``lines`` is how many there were. ``edge``: median width of the
    edges of letters (their step by their slope), ``blur``: standard deviation of the Gaussian that
    makes such edges, both None without text. ``noise``: standard deviation in grey levels of
    paper. ``jpeg``: quality of a compression whose traces are seen, None without.
    """

    x_height: float | None
    lines: int
    edge: float | None
    blur: float | None
    noise: float
    jpeg: int | None

    @property
    def has_text(self) -> bool:
        """Whether lines of print were found."""
        return self.x_height is not None


class _Part(NamedTuple):
    """A square of a page: its levels as floats, where its ink is, and lines found on it."""

    levels: Floats
    ink: NDArray[np.bool_]
    lines: list[Line]


def measure(pixels: Pixels) -> PageMeasure:
    """Measure a page's print. A page of over 0.8 Mpx is measured in four squares full of edges.

    Args:
        pixels: uint8 (height, width, 3), any content.

    Returns:
        The measures; ``x_height``, ``edge`` and ``blur`` are None where there is no print.
    """
    picture = grey(pixels)
    parts = [_looked_at(picture.crop(box)) for box in _boxes(picture)]
    lines = [line for part in parts for line in part.lines]
    noise = float(np.median([noise_level(part.levels, part.ink) for part in parts]))
    jpeg = jpeg_quality(np.asarray(picture))
    height = _x_height(lines)
    if height is None:
        return PageMeasure(x_height=None, lines=0, edge=None, blur=None, noise=noise, jpeg=jpeg)
    edge, blur = _blur(parts, height, noise)
    return PageMeasure(
        x_height=height, lines=len(lines), edge=edge, blur=blur, noise=noise, jpeg=jpeg
    )


def _boxes(picture: Image.Image) -> list[tuple[int, int, int, int]]:
    """Where to measure: everywhere, or in the squares with the most edges."""
    width, height = picture.size
    if width * height <= WHOLE:
        return [(0, 0, width, height)]
    small = np.asarray(picture.reduce(2), np.int16)
    steps = np.abs(np.diff(small, axis=1)) > 24
    side = CROP // 2
    rows, cols = max(1, height // CROP), max(1, width // CROP)
    full = np.zeros((rows * side, cols * side), np.bool_)
    part = steps[: rows * side, : cols * side]
    full[: part.shape[0], : part.shape[1]] = part
    counts = full.reshape(rows, side, cols, side).sum((1, 3)).ravel()
    best = np.argsort(-counts, kind="stable")[:CROPS]
    corners = [(int(at % cols) * CROP, int(at // cols) * CROP) for at in best]
    return [(x, y, min(x + CROP, width), min(y + CROP, height)) for x, y in corners]


def _looked_at(picture: Image.Image) -> _Part:
    levels = np.asarray(picture, np.float32)
    ink = ink_of(picture)
    return _Part(levels, ink, find_lines(levels, ink))


def _blur(parts: list[_Part], height: float, noise: float) -> tuple[float, float]:
    """Width of edges and blur. Large type is made small first, where noise hides wide edges less.

    Where that shows no blur to speak of, the page's own pixels tell how sharp it is.
    """
    factor = max(1, round(height / HANDY))
    if factor > 1:
        edge = _edge(parts, height, noise, factor)
        blur = sigma_of(edge, height / factor)
        if blur * factor > RESOLVED * height:
            return factor * edge, factor * blur
    edge = _edge(parts, height, noise, 1)
    return edge, sigma_of(edge, height)


def _edge(parts: list[_Part], height: float, noise: float, factor: int) -> float:
    widths = []
    for part in parts:
        levels = part.levels
        if factor > 1:
            levels = np.asarray(Image.fromarray(levels).reduce(factor), np.float32)
        lines = [line.reduced(factor) for line in part.lines]
        widths.append(edge_widths(levels, lines, height / factor, noise / factor))
    found = np.concatenate(widths)
    return float(np.median(found)) if len(found) >= LEAST_EDGES else 1.0


def _x_height(lines: list[Line]) -> float | None:
    """The middle height, or None where lines are too few, or too unlike each other, to be print."""
    length = sum(line.length / line.x_height for line in lines)
    if length < LEAST_LETTERS:
        return None
    heights = np.array([line.x_height for line in lines])
    weights = np.array([line.length / line.x_height for line in lines])
    order = np.argsort(heights)
    reach = np.cumsum(weights[order]) / weights.sum()
    return float(heights[order][int(np.searchsorted(reach, 0.5))])
