"""Pages as the decoder sees them: slots, characters in reading order, and questions with targets.

Oracle pages are made straight from the layout, with a reader's mistakes imitated; rendered and
real pages go through the encoder. Both give the same ``Case``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from tilewise.models.nano.alphabet import (
    COPY,
    END,
    NOT_FOUND,
    UNSUPPORTED,
    classes_of,
    encode,
)
from tilewise.models.nano.config import COLUMN, HALF_ROW, TILE
from tilewise.models.nano.detect import Detections, SlotMap, token_inputs
from tilewise.models.nano.pointer import PageMemory, page_memory
from tilewise.models.nano.question import KINDS
from tilewise.models.nano.reading import SAME_WORD, Reading, read
from tilewise.models.nano.visual import View
from tilewise.records import Fit, Plan
from tilewise.synth.degrade import damage_glyphs, pick_damage
from tilewise.synth.facts import Question
from tilewise.synth.fonts import Split
from tilewise.synth.pages import make_page
from tilewise.synth.questions import questions_about
from tilewise.synth.sheet import Glyphs
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.grid import hd_grid
from tilewise.tiling.layout import plan

LONGEST = 150
"""Characters of an answer that are trained; the rest of a whole page is more of the same."""
SMALLEST = 9.0


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question with what the decoder should do: emitted ids and their places in the reading.

    ``start``: index among the page's start places, -1 for NOT_FOUND or UNSUPPORTED, whose id is
    ``special``. ``ids`` and ``chars`` (place in the reading, the same one after a separator):
    what is fed. ``targets``: what should come after each, -100 where nothing is asked.
    """

    question: Question
    start: int
    special: int
    ids: list[int]
    chars: list[int]
    words: list[int]
    targets: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One page and its questions."""

    memory: PageMemory
    local: View
    overview: View | None
    plan: Plan
    asked: list[Asked]
    lost: int


def oracle_cases(
    seed: int, split: Split = "train", *, most_tiles: int = 9, count: int = 12
) -> Iterator[Case]:
    """Cases without pixels, from a seed, without end."""
    rng = Random(seed)
    while True:
        page_rng = Random(rng.randrange(2**60))
        layouts = ("charts", "sheet") if page_rng.random() < 0.2 else ()
        made = make_page(page_rng, split, max_tiles=most_tiles, layouts=layouts)
        if len(made.sheet) < 20:
            continue
        glyphs = made.sheet.glyphs()
        how = pick_damage(page_rng, float(glyphs.height.min()))
        moved = damage_glyphs(glyphs, made.sheet.width, made.sheet.height, how)
        width, height = round(made.sheet.width * how.scale), round(made.sheet.height * how.scale)
        case = oracle_case(
            moved,
            questions_about(made.facts, glyphs, page_rng, split, count),
            width,
            height,
            page_rng,
        )
        if case is not None:
            yield case


def page_config(rng: Random, max_tiles: int = 16) -> TilingConfig:
    """Tiling of one training page: mostly with global view and newlines."""
    return TilingConfig(
        tile=TILE,
        max_tiles=max_tiles,
        upscale=False,
        has_global=rng.random() < 0.75,
        has_newline=rng.random() < 0.85,
    )


def oracle_case(
    glyphs: Glyphs, questions: list[Question], width: int, height: int, rng: Random
) -> Case | None:
    """One page from its layout; None where too little of it can be asked."""
    cfg = page_config(rng)
    fit = hd_grid(width, height, cfg)
    scale = fit.width / width
    placed = glyphs.moved(scale, fit.left, fit.top)
    found, index = imitate(placed, fit.canvas_width, fit.canvas_height, rng)
    if len(found) < 10:
        return None
    local = view_of(slots_of(found))
    overview = None
    if cfg.has_global:
        overview = view_of(slots_of(_overview(glyphs, width, height, rng)))
    return make_case(read(found), index, local, overview, fit, cfg, questions)


def imitate(
    glyphs: Glyphs, width: int, height: int, rng: Random
) -> tuple[Detections, NDArray[np.int64]]:
    """Detections of a reader that errs a little, and the glyph of each."""
    noise = np.random.default_rng(rng.randrange(2**31))
    n = len(glyphs)
    classes = classes_of(glyphs.code)
    drop, swap = (0.0, 0.0) if rng.random() < 0.4 else (rng.uniform(0, 0.012), rng.uniform(0, 0.02))
    keep = (classes > 0) & (glyphs.height >= SMALLEST) & (noise.random(n) >= drop)
    keep &= (glyphs.x >= 0) & (glyphs.x < width) & (glyphs.y >= 0) & (glyphs.y < height)
    index = np.flatnonzero(keep)
    cls = classes[index].copy()
    wrong = noise.random(len(index)) < swap
    cls[wrong] = noise.integers(1, 95, wrong.sum())
    link = np.full((len(index), 3), 0.02, np.float32)
    told = glyphs.link[index].copy()
    flip = noise.random(len(index)) < swap * 0.3
    told[flip] = noise.integers(0, 3, flip.sum())
    link[np.arange(len(index)), told] = 0.96
    jitter = noise.normal(0, 1, (3, len(index))).astype(np.float32)
    found = Detections(
        cls, noise.uniform(0.85, 1.0, len(index)).astype(np.float32),
        np.clip(glyphs.x[index] + 0.4 * jitter[0], 0, width - 0.1).astype(np.float32),
        np.clip(glyphs.y[index] + 0.5 * jitter[1], 0, height - 0.1).astype(np.float32),
        (glyphs.height[index] * np.exp(0.04 * jitter[2])).astype(np.float32), link, width, height,
    )  # fmt: skip
    return found, index


def _overview(glyphs: Glyphs, width: int, height: int, rng: Random) -> Detections:
    """The global view: the whole page squeezed to one tile; only what stays legible is seen."""
    sx, sy = TILE / width, TILE / height
    seen = glyphs.moved(1.0, 0.0, 0.0)
    small = Glyphs(
        seen.code, seen.x * np.float32(sx), seen.y * np.float32(sy),
        seen.height * np.float32(min(sx, sy)), seen.width, seen.link, seen.brk,
    )  # fmt: skip
    return imitate(small, TILE, TILE, rng)[0]


def slots_of(found: Detections) -> SlotMap:
    """Slots of a canvas that say just what was found."""
    rows, cols = found.canvas_height // HALF_ROW, found.width // COLUMN
    cls = np.ones((2, rows, cols), np.int64)
    prob = np.zeros((2, rows, cols), np.float32)
    r = np.clip(found.y // HALF_ROW, 0, rows - 1).astype(np.int64)
    c = np.clip(found.x // COLUMN, 0, cols - 1).astype(np.int64)
    cls[0, r, c], prob[0, r, c] = found.cls, found.prob
    return SlotMap(
        cls, prob, np.zeros((3, rows, cols), np.float32), np.zeros((3, rows, cols), np.float32)
    )


def view_of(slots: SlotMap) -> View:
    """Slots → what their visual tokens are made of."""
    index, weight = token_inputs(slots)
    return View(index, weight, slots.cls.shape[1] // 2, slots.cls.shape[2] // 7)


def make_case(
    reading: Reading,
    glyph_of: NDArray[np.int64],
    local: View,
    overview: View | None,
    fit: Fit,
    cfg: TilingConfig,
    questions: list[Question],
) -> Case | None:
    """Join a page that was read with its questions; ``glyph_of`` (n,) unsorted, -1 for none."""
    memory = page_memory(reading)
    glyph = glyph_of[reading.origin]
    place = np.full(int(glyph_of.max(initial=-1)) + 2, -1, np.int64)
    place[glyph[glyph >= 0]] = np.flatnonzero(glyph >= 0)
    asked, lost = [], 0
    for question in questions:
        one = _ask(question, reading, memory, glyph, place)
        if one is None:
            lost += 1
        else:
            asked.append(one)
    return Case(memory, local, overview, plan(fit.grid, cfg), asked, lost) if asked else None


def _ask(
    question: Question,
    reading: Reading,
    memory: PageMemory,
    glyph: NDArray[np.int64],
    place: NDArray[np.int64],
) -> Asked | None:
    if question.answer is None:
        special = UNSUPPORTED if question.kind == "unsupported" else NOT_FOUND
        return Asked(question, -1, special, [], [], [], [])
    first = place[question.start] if question.start < len(place) else -1
    at = int(np.searchsorted(memory.places.char, first))
    if first < 0 or at >= len(memory.places.char) or memory.places.char[at] != first:
        return None
    ids, chars, words, targets = _copy(question, reading, glyph, place, int(first))
    return Asked(question, at, 0, ids, chars, words, targets)


def _copy(
    question: Question,
    reading: Reading,
    glyph: NDArray[np.int64],
    place: NDArray[np.int64],
    first: int,
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Emitted ids with their places, and what should follow each."""
    wanted = {
        int(g) for g in range(question.start, min(question.stop, len(place))) if place[g] >= 0
    }
    last = max(wanted)
    space = encode(" " if question.kind != "all" else "\n")[0]
    from_class = encode("!")[0] - 1
    ids: list[int] = []
    chars: list[int] = []
    words: list[int] = []
    targets: list[int] = []
    at, count = first, 0
    while True:
        ids.append(from_class + int(reading.chars.cls[at]))
        chars.append(at)
        words.append(count)
        if len(ids) > LONGEST:
            targets.append(-100)
            break
        nxt = at + 1
        if glyph[at] == last:
            targets.append(END)
            break
        if nxt >= len(reading) or int(glyph[nxt]) not in wanted or glyph[nxt] < glyph[at]:
            targets.append(-100)
            break
        gap = int(reading.gap[at])
        if gap == SAME_WORD:
            targets.append(COPY)
        else:
            mark = space if gap >= 3 else encode(" ")[0]
            targets.append(mark)
            count += 1
            ids.append(mark)
            chars.append(at)
            words.append(count)
            targets.append(COPY)
        at = nxt
    return ids, chars, words, targets


def kind_index(question: Question) -> int:
    """Index of a question's kind."""
    return KINDS.index(question.kind)
