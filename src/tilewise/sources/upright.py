"""Which way is up, from the shapes of letters.

Every connected piece of ink of a letter's size is looked at in its four turns by a small network
that was trained to tell a letter the right way up from its other turns (Latin letters and digits;
``scripts/build_upright.py``). One letter says little: "o" is the same in every turn, "n" is a "u"
upside down. The mean over hundreds of letters says a lot, and where it does not, as with other
scripts or pictures, nothing is turned.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilewise.records import Pixels
from tilewise.sources.components import Boxes, Ink, grey, ink_of, pieces

SIDE: Final = 16
"""Side in pixels of the square that a letter is scaled to."""

_LEAST_PX, _MOST_PX = 8, 80
_LEAST_SIDE_PX: Final = 3
_WINDOW_PX: Final = 640
_WINDOWS: Final = 6
_OVERVIEW_PX: Final = 1600
_MAX_LETTERS: Final = 1200
_LEAST_LOG: Final = -4.0

Letters = NDArray[np.float32]


class Upright(NamedTuple):
    """Quarter turns, anticlockwise, that put a page upright, and how sure that is.

    ``margin``: mean log-probability of this turn over that of the next best, per letter.
    ``letters``: number of pieces that were looked at.
    """

    quarters: int
    margin: float
    letters: int


def measure_upright(pixels: Pixels) -> Upright:
    """Find the turn that makes most letters look upright; lines should be level within 3 degrees.

    Args:
        pixels: (height, width, 3).
    """
    letters = sample_letters(pixels)
    if not len(letters):
        return Upright(0, 0.0, 0)
    turned = np.stack([np.rot90(letters, k, axes=(1, 2)) for k in range(4)], 1)
    logits = _score(turned.reshape(-1, SIDE * SIDE)).reshape(-1, 4)
    logits -= logits.max(1, keepdims=True)
    each = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    logs = np.maximum(each, _LEAST_LOG).mean(0)  # no piece outweighs many
    order = np.argsort(logs)
    return Upright(int(order[-1]), float(logs[order[-1]] - logs[order[-2]]), len(letters))


def sample_letters(pixels: Pixels) -> Letters:
    """Letters from the busiest windows of a page, and large ones from an overview.

    Returns:
        (n, SIDE, SIDE), ink is 1; n is at most ``_MAX_LETTERS``.
    """
    height, width = pixels.shape[:2]
    factor = max(1, -(-max(height, width) // _OVERVIEW_PX))
    overview = ink_of(grey(pixels, factor))
    found = [_letters(overview)]
    if factor > 1:
        for left, top in _busiest(overview, factor):
            window = pixels[top : top + _WINDOW_PX, left : left + _WINDOW_PX]
            found.append(_letters(ink_of(grey(window))))
    letters = np.concatenate(found)
    if len(letters) > _MAX_LETTERS:
        chosen = np.random.default_rng(0).choice(len(letters), _MAX_LETTERS, replace=False)
        letters = letters[chosen]
    return letters


def _busiest(overview: Ink, factor: int) -> list[tuple[int, int]]:
    """Corners, in pixels of the page, of the windows that hold most edges of ink."""
    cell = max(1, _WINDOW_PX // factor)
    edges = overview[:, 1:] != overview[:, :-1]
    rows, cols = max(1, edges.shape[0] // cell), max(1, edges.shape[1] // cell)
    counts = [
        (int(edges[r * cell : (r + 1) * cell, c * cell : (c + 1) * cell].sum()), r, c)
        for r in range(rows)
        for c in range(cols)
    ]
    best = sorted(counts, reverse=True)[:_WINDOWS]
    return [(c * cell * factor, r * cell * factor) for count, r, c in best if count]


def _letters(ink: Ink) -> Letters:
    boxes = _of_letter_size(pieces(ink), ink.shape)
    if len(boxes) > _MAX_LETTERS:
        chosen = np.random.default_rng(0).choice(len(boxes), _MAX_LETTERS, replace=False)
        boxes = boxes[chosen]
    out = np.zeros((len(boxes), SIDE, SIDE), np.float32)
    for index, (left, top, right, bottom) in enumerate(boxes):
        out[index] = _scaled(ink[top:bottom, left:right])
    return out


def _of_letter_size(boxes: Boxes, shape: tuple[int, ...]) -> Boxes:
    sides = boxes[:, 2:] - boxes[:, :2]
    longer, shorter = sides.max(1), sides.min(1)
    is_inside = (boxes[:, :2] > 0).all(1) & (boxes[:, 2] < shape[1]) & (boxes[:, 3] < shape[0])
    is_letter = (longer >= _LEAST_PX) & (longer <= _MOST_PX) & (shorter >= _LEAST_SIDE_PX)
    return boxes[is_inside & is_letter & (longer <= 5 * shorter)]


def _scaled(ink: Ink) -> Letters:
    """One letter, its longer side ``SIDE`` px, in the middle of a square."""
    height, width = ink.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(ink.astype(np.uint8) * np.uint8(255))
    small = np.asarray(image.resize(size, Image.Resampling.BOX), np.float32) / 255
    out = np.zeros((SIDE, SIDE), np.float32)
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    out[top : top + size[1], left : left + size[0]] = small
    return out


def _score(letters: Letters) -> NDArray[np.float64]:
    """How upright each looks: a network of one hidden layer on (n, SIDE * SIDE)."""
    weights = _weights()
    hidden = np.maximum(letters @ weights["w1"] + weights["b1"], 0)
    scores: NDArray[np.float64] = (hidden @ weights["w2"]).astype(np.float64)
    return scores


@cache
def _weights() -> dict[str, NDArray[np.float32]]:
    """Weights inside the package: w1 (256, n), b1 (n), w2 (n)."""
    path = files("tilewise") / "assets" / "upright.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}
