"""Cases that went through the encoder: synthetic pages as pictures, and real pages."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray

from tilewise.models.nano.detect import Detections
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.proof import Proofreader, proofread
from tilewise.models.nano.reading import read
from tilewise.models.nano.sight import see, view
from tilewise.records import Page
from tilewise.synth.degrade import damage_glyphs, damage_pixels, pick_damage
from tilewise.synth.facts import Question
from tilewise.synth.fonts import Split
from tilewise.synth.pages import Made, make_page
from tilewise.synth.questions import questions_about
from tilewise.synth.real import RealPages
from tilewise.synth.real_questions import questions_for
from tilewise.synth.sheet import Glyphs
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.partition import cut
from tilewise.train.nano.cases import Case, make_case, page_config


def rendered_cases(
    encoder: Encoder,
    proof: Proofreader,
    seed: int,
    split: Split = "train",
    *,
    most_tiles: int = 9,
    count: int = 12,
) -> Iterator[Case]:
    """Synthetic pages drawn, damaged, tiled at mixed limits, read by the encoder, without end."""
    rng = Random(seed)
    while True:
        page_rng = Random(rng.randrange(2**60))
        layouts = ("charts", "sheet") if page_rng.random() < 0.15 else ()
        made = make_page(page_rng, split, max_tiles=most_tiles, layouts=layouts)
        if len(made.sheet) < 20:
            continue
        glyphs = made.sheet.glyphs()
        questions = questions_about(made.facts, glyphs, page_rng, split, count)
        pixels, moved, cfg = drawn(made, page_rng)
        case = seen_case(encoder, proof, pixels, moved, questions, cfg)
        if case is not None:
            yield case


def drawn(made: Made, rng: Random) -> tuple[NDArray[np.uint8], Glyphs, TilingConfig]:
    """A page drawn and damaged, where its characters stand, and how to cut it."""
    glyphs = made.sheet.glyphs()
    how = pick_damage(rng, float(glyphs.height.min()))
    pixels = damage_pixels(made.sheet.render(), how)
    moved = damage_glyphs(glyphs, made.sheet.width, made.sheet.height, how)
    return pixels, moved, page_config(rng, rng.choice((4, 9, 16, 16)))


def real_cases(encoder: Encoder, proof: Proofreader, pages: RealPages, seed: int) -> Iterator[Case]:
    """Real pages, drawn at random, without end."""
    rng = Random(seed)
    while True:
        page = pages[rng.randrange(len(pages))]
        questions = questions_for(page, rng)
        rng.shuffle(questions)
        pixels = np.repeat(page.pixels[..., None], 3, axis=2)
        cfg = page_config(rng, rng.choice((9, 16, 25)))
        if not questions:
            continue
        case = seen_case(encoder, proof, pixels, page.glyphs(), questions[:10], cfg)
        if case is not None:
            yield case


def seen_case(
    encoder: Encoder,
    proof: Proofreader,
    pixels: NDArray[np.uint8],
    glyphs: Glyphs,
    questions: list[Question],
    cfg: TilingConfig,
) -> Case | None:
    """Read a page by the encoder and pair what it found with what stands there."""
    tiles = cut(Page(pixels=pixels, name="page"), cfg)
    seen = see(encoder, [tiles], has_global=cfg.has_global)[0]
    with torch.inference_mode():
        found = proofread(proof, seen.levels)
    if len(found) < 10:
        return None
    fit = tiles.fit
    placed = glyphs.moved(fit.width / fit.page_width, fit.left, fit.top)
    overview = view(seen.overview) if seen.overview is not None else None
    return make_case(
        read(found, is_proofread=True),
        pair(found, placed),
        view(seen.local),
        overview,
        fit,
        cfg,
        questions,
    )


def pair(found: Detections, glyphs: Glyphs) -> NDArray[np.int64]:
    """Glyph of every detection, (n,): the nearest within its box, each glyph once; -1 for none."""
    out = np.full(len(found), -1, np.int64)
    order = np.argsort(glyphs.y, kind="stable")
    ys = glyphs.y[order]
    nearest = np.full(len(glyphs), np.inf)
    owner = np.full(len(glyphs), -1, np.int64)
    for i in range(len(found)):
        size = float(found.height[i])
        lo, hi = np.searchsorted(ys, (found.y[i] - 0.45 * size, found.y[i] + 0.45 * size))
        near = order[lo:hi]
        if len(near) == 0:
            continue
        dx = np.abs(glyphs.x[near] - found.x[i])
        k = int(dx.argmin())
        g = near[k]
        if dx[k] < max(3.0, 0.5 * float(glyphs.width[g])) and dx[k] < nearest[g]:
            nearest[g], owner[g] = dx[k], i
    taken = owner >= 0
    out[owner[taken]] = np.flatnonzero(taken)
    return out
