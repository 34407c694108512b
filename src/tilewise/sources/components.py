"""Ink of a page, and the connected pieces of it: letters, mostly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tilewise.records import Pixels

Ink = NDArray[np.bool_]
Boxes = NDArray[np.int32]

_BAND_PIXELS = 1 << 21
_CELL = 24
_FAINT = 40


def grey(pixels: Pixels, factor: int = 1) -> Image.Image:
    """Luminance of a page, reduced by a whole factor, band by band to spare memory."""
    height, width = pixels.shape[:2]
    out = np.empty((-(-height // factor), -(-width // factor)), np.uint8)
    rows = max(1, _BAND_PIXELS // width // factor) * factor
    for top in range(0, height, rows):
        band = Image.fromarray(pixels[top : top + rows]).convert("L").reduce(factor)
        out[top // factor : top // factor + band.height] = np.asarray(band)
    return Image.fromarray(out)


def ink_of(image: Image.Image) -> Ink:
    """Where a grey picture differs from the paper around it, dark on light or light on dark.

    Paper is the median of cells of 24 px, smoothed, so that shadows and coloured panels count as
    paper.

    Returns:
        (height, width), True is ink.
    """
    values = np.asarray(image, np.uint8)
    height, width = values.shape
    rows, cols = max(1, height // _CELL), max(1, width // _CELL)
    tall, wide = min(_CELL, height), min(_CELL, width)  # a strip may be thinner than a cell
    cells = values[: rows * tall, : cols * wide].reshape(rows, tall, cols, wide)
    medians = np.median(cells, axis=(1, 3)).astype(np.uint8)
    paper = Image.fromarray(medians).filter(ImageFilter.MedianFilter(5))
    paper = paper.resize((width, height), Image.Resampling.BILINEAR)
    apart = np.abs(values.astype(np.int16) - np.asarray(paper, np.int16))
    strong = float(np.percentile(apart, 99.5))
    ink: Ink = apart > max(_FAINT, 0.4 * strong)
    return ink


def pieces(ink: Ink) -> Boxes:
    """Boxes of the connected pieces of ink, corners included.

    Runs of ink are joined to those that touch them in the row below by passing the least number
    along until nothing changes; the runs of one piece end with one number.

    Returns:
        (n, 4): left, top, right, bottom; right and bottom exclusive.
    """
    width = ink.shape[1]
    edges = np.diff(np.pad(ink, ((0, 0), (1, 1))).astype(np.int8), axis=1).ravel()
    starts = np.flatnonzero(edges == 1)
    stops = np.flatnonzero(edges == -1)
    step = width + 1  # places in a row of edges
    if not len(starts):
        return np.empty((0, 4), np.int32)
    first = np.searchsorted(stops, starts + step)  # runs below that end at or after our start
    last = np.searchsorted(starts, stops + step, side="right")  # and start at or before our end
    counts = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(starts)), counts)
    below = np.arange(len(above)) - np.repeat(np.cumsum(counts) - counts, counts)
    below += np.repeat(first, counts)
    owner = _joined(len(starts), above, below)
    _, owner = np.unique(owner, return_inverse=True)
    rows = starts // step
    boxes = np.empty((int(owner.max()) + 1, 4), np.int32)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int32).max, -1
    np.minimum.at(boxes[:, 0], owner, starts % step)
    np.minimum.at(boxes[:, 1], owner, rows)
    np.maximum.at(boxes[:, 2], owner, stops % step)
    np.maximum.at(boxes[:, 3], owner, rows + 1)
    return boxes


def _joined(count: int, above: NDArray[np.intp], below: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each run the least number of a run that it is connected to."""
    owner = np.arange(count)
    while True:
        least = np.minimum(owner[above], owner[below])
        if (owner[above] == least).all() and (owner[below] == least).all():
            return owner
        np.minimum.at(owner, owner[above], least)
        np.minimum.at(owner, owner[below], least)
        while (owner[owner] != owner).any():
            owner = owner[owner]
