"""Synthetic pages of the test split, as pictures, with questions and true answers."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from random import Random

import numpy as np

from benchmarks.default_reader_parts.asking import Subject
from tilewise.records import Page
from tilewise.synth.degrade import damage_glyphs, damage_pixels, pick_damage
from tilewise.synth.fonts import faces
from tilewise.synth.pages import TILE, Made, make_page
from tilewise.synth.questions import questions_about

LEAST_CHARACTERS = 20
RATIOS = (0.707, 1.0, 1.0, 1.414, 1.78)


def held_out_page(seed: int, number: int, questions: int) -> Subject:
    """A page of 1 to 16 tiles of all layouts with all damage; one in five in the unseen font."""
    rng = Random(f"held out {seed} {number}")
    is_unseen = number % 5 == 4 and bool(faces("test"))
    made = make_page(rng, "test", max_tiles=16, unseen_font=is_unseen)
    while len(made.sheet) < LEAST_CHARACTERS:
        made = make_page(rng, "test", max_tiles=16, unseen_font=is_unseen)
    return _subject(made, rng, f"made-{seed}-{number}", questions, is_unseen, is_scaled=True)


def sized_page(seed: int, number: int, questions: int, tiles: tuple[int, ...]) -> Subject:
    """A page that fills from the first to the last of ``tiles``; damage leaves its size."""
    rng = Random(f"sized {seed} {number} {tiles}")
    while True:
        area = rng.choice(tiles) * TILE * TILE * rng.uniform(0.8, 1.0)
        width = (area * rng.choice(RATIOS)) ** 0.5
        height = area / width
        if not tiles[0] <= ceil(width / TILE) * ceil(height / TILE) <= tiles[-1]:
            continue
        made = make_page(rng, "test", size=(round(width), round(height)))
        if len(made.sheet) >= 10 * LEAST_CHARACTERS:
            return _subject(made, rng, f"sized-{seed}-{number}", questions, False, is_scaled=False)


def dense_page(width: int, height: int, characters: int, seed: int = 0) -> Subject:
    """An undamaged page of running text with at least so many characters, and a title."""
    rng = Random(f"dense {seed}")
    while True:
        made = make_page(rng, "test", size=(width, height), layouts=("columns",))
        if len(made.sheet) < characters or made.facts.title is None:
            continue
        glyphs = made.sheet.glyphs()
        asked = questions_about(made.facts, glyphs, rng, "test", 40, plain=1.0)
        if any(q.kind == "after" and q.answer is not None for q in asked):
            break
    page = Page(pixels=made.sheet.render(), name="dense")
    return Subject(
        page=page,
        questions=tuple(asked),
        text_px=float(np.median(glyphs.height)),
        text=glyphs.text(),
    )


def _subject(
    made: Made, rng: Random, name: str, questions: int, is_unseen: bool, *, is_scaled: bool
) -> Subject:
    """Ask about a page, then damage it and draw it."""
    glyphs = made.sheet.glyphs()
    asked = questions_about(made.facts, glyphs, rng, "test", questions, plain=0.5)
    how = pick_damage(Random(f"damage {name}"), float(glyphs.height.min()))
    if not is_scaled:
        how = replace(how, scale=1.0)
    moved = damage_glyphs(glyphs, made.sheet.width, made.sheet.height, how)
    is_plain = made.facts.is_single_flow or not any(p.is_chart for p in made.facts.pairs)
    has_order = is_plain and made.facts.has_one_order
    return Subject(
        page=Page(pixels=damage_pixels(made.sheet.render(), how), name=name),
        questions=tuple(asked),
        text_px=float(np.median(moved.height)),
        text=glyphs.text() if has_order else None,
        is_unseen_font=is_unseen,
        source=made.layout,
    )
