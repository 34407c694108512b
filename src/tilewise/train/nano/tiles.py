"""Training tiles for the encoder: synthetic pages, and real ones by their text layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilewise.models.nano.config import TILE
from tilewise.models.nano.sight import LARGER, SMALL_PX
from tilewise.models.nano.slots import SlotTargets, slot_targets
from tilewise.synth.degrade import damage_glyphs, damage_pixels, pick_damage
from tilewise.synth.fonts import Split
from tilewise.synth.pages import make_page
from tilewise.synth.real import RealPages
from tilewise.synth.sheet import Glyphs
from tilewise.train.draw import number
from tilewise.train.drawn import Order

DENSE = ("letter", "letter", "columns", "tables", "mixed")
DENSE_SHARE = 0.65

FULL = 0.3
"""Share of a tile under its characters' boxes from which on it is always taken: training costs the
same for an empty tile, and teaches nothing."""

SMALL_SHARE = 0.5
LARGE_SHARE = 0.4
ANY_SHARE = 0.08
"""Shares of pages with small type that are enlarged, with large type that are halved, and of any
that are halved or quartered, as the reader looks at them (tilewise.models.nano.sight)."""


REAL_SHARE = 0.3
"""Of tiles, where there are real pages."""

CHUNK = 8
"""Batches made together and shuffled: a page gives up to four tiles, which are alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One tile (336, 336) uint8 grey and the targets of its slots."""

    pixels: NDArray[np.uint8]
    targets: SlotTargets


def grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB or grey page → grey."""
    return pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))


def cut_tiles(pixels: NDArray[np.uint8], glyphs: Glyphs, rng: Random, most: int) -> list[Tile]:
    """Place a page on a canvas at a random offset and cut up to ``most`` tiles that hold text."""
    height, width = pixels.shape
    reach = TILE - 1 if rng.random() < 0.3 else 24
    dx, dy = rng.randint(0, reach), rng.randint(0, reach)
    cols, rows = -(-(width + dx) // TILE), -(-(height + dy) // TILE)
    canvas = np.full(
        (rows * TILE, cols * TILE), pixels[0, 0] if rng.random() < 0.3 else 255, np.uint8
    )
    canvas[dy : dy + height, dx : dx + width] = pixels
    places = [(r, c) for r in range(rows) for c in range(cols)]
    rng.shuffle(places)
    out: list[Tile] = []
    for r, c in places:
        x, y = glyphs.x + dx - c * TILE, glyphs.y + dy - r * TILE
        near = (x > -8) & (x < TILE + 8) & (y > -8) & (y < TILE + 8)
        covered = float((glyphs.width[near] * glyphs.height[near]).sum()) / TILE**2
        if rng.random() > max(0.03, covered / FULL):
            continue
        targets = slot_targets(
            glyphs.code[near], x[near], y[near], glyphs.height[near], glyphs.link[near], TILE, TILE
        )
        out.append(
            Tile(canvas[r * TILE : (r + 1) * TILE, c * TILE : (c + 1) * TILE].copy(), targets)
        )
        if len(out) == most:
            break
    return out


def synthetic_tiles(seed: int, *, unseen_font: bool = False, test: bool = False) -> Iterator[Tile]:
    """Tiles of synthetic pages without end, from a seed."""
    rng = Random(seed)
    while True:
        page_rng = Random(rng.randrange(2**60))
        split: Split = "test" if test else "train"
        if page_rng.random() < DENSE_SHARE:
            size = page_rng.choice(((660, 660), (1000, 330), (660, 1000), (660, 330)))
            made = make_page(page_rng, split, size=size, unseen_font=unseen_font, layouts=DENSE)
        else:
            made = make_page(page_rng, split, max_tiles=4, unseen_font=unseen_font)
        if len(made.sheet) < 12:
            continue
        glyphs = made.sheet.glyphs()
        how = pick_damage(page_rng, float(glyphs.height.min()))
        pixels = grey(damage_pixels(made.sheet.render(), how))
        moved = damage_glyphs(glyphs, made.sheet.width, made.sheet.height, how)
        scale = level_scale(moved, page_rng)
        yield from cut_tiles(resized(pixels, scale), moved.moved(scale, 0.0, 0.0), page_rng, 4)


def level_scale(glyphs: Glyphs, rng: Random) -> float:
    """Scale at which the reader might look at a page with these characters."""
    roll = rng.random()
    if roll < ANY_SHARE:
        return rng.choice((0.5, 0.25))
    if float(np.median(glyphs.height)) < SMALL_PX and roll < SMALL_SHARE:
        return LARGER
    if float(glyphs.height.max()) > 34.0 and roll < LARGE_SHARE:
        return 0.5
    return 1.0


def resized(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """A grey page at another scale, as the reader makes it."""
    if scale == 1.0:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def real_tiles(pages: RealPages, seed: int) -> Iterator[Tile]:
    """Tiles of real pages without end, drawn and scaled a little at random."""
    rng = Random(seed)
    while True:
        page = pages[rng.randrange(len(pages))]
        glyphs = page.glyphs()
        scale = rng.uniform(0.8, 1.1) if rng.random() < 0.5 else 1.0
        if float(np.median(glyphs.height)) * scale < 12:
            scale = 1.0
        if float(np.median(glyphs.height)) < SMALL_PX and rng.random() < SMALL_SHARE:
            scale = LARGER
        pixels = resized(page.without_figures(), scale)
        yield from cut_tiles(pixels, glyphs.moved(scale, 0.0, 0.0), rng, 2)


def mixed_tiles(seed: int, real: RealPages | None, count: int) -> list[Tile]:
    """Synthetic and, where there are some, real tiles (three in ten), shuffled."""
    rng = Random(seed + 1)
    made = synthetic_tiles(seed)
    found = real_tiles(real, seed) if real is not None else None
    tiles = [
        next(found if found is not None and rng.random() < REAL_SHARE else made)
        for _ in range(count)
    ]
    rng.shuffle(tiles)
    return tiles


class TileBatches:
    """Makes a chunk of batches of tiles by its number; it travels to workers.

    Args:
        seed: of the run.
        real: real pages of the training split, None for synthetic ones alone.
        tiles: of a batch.
    """

    def __init__(self, seed: int, real: RealPages | None, tiles: int) -> None:
        self._seed, self._real, self._tiles = seed, real, tiles

    def __call__(self, order: Order) -> list[list[Tile]]:
        """``CHUNK`` batches."""
        drawn = mixed_tiles(number(self._seed, order.number), self._real, CHUNK * self._tiles)
        return [drawn[at : at + self._tiles] for at in range(0, len(drawn), self._tiles)]
