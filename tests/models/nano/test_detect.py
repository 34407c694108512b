"""A perfect encoder's output gives back every character once, at its place."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch

from tests.models.nano.making import sheet_of
from tilewise.models.nano.alphabet import CLASSES
from tilewise.models.nano.config import COLUMN, HALF_ROW, SLOT_COLUMNS, SLOT_ROWS, TOKEN_SLOTS
from tilewise.models.nano.detect import (
    Detections,
    Level,
    SlotMap,
    assemble,
    detect,
    slot_map,
    token_inputs,
)
from tilewise.models.nano.encoder import Dense
from tilewise.models.nano.slots import SlotTargets, slot_targets
from tilewise.synth.pages import LAYOUTS, make_page
from tilewise.synth.sheet import Glyphs

TILE = 336


def targets_of(glyphs: Glyphs, width: int, height: int) -> SlotTargets:
    return slot_targets(glyphs.code, glyphs.x, glyphs.y, glyphs.height, glyphs.link, width, height)


def dense(targets: SlotTargets) -> Dense:
    """Encoder outputs that say just what the targets say, as one big tile."""
    rows, cols = targets.char.shape
    char = torch.zeros(1, CLASSES, rows, cols)
    char.scatter_(1, torch.from_numpy(targets.char.clip(min=0))[None, None], 20.0)
    link = torch.zeros(1, 3, rows, cols)
    link.scatter_(1, torch.from_numpy(targets.link.clip(min=0))[None, None], 10.0)
    return Dense(char, link, torch.from_numpy(targets.place)[None])


def as_rows(found: Detections) -> list[tuple[int, int, int]]:
    x, y = np.rint(found.x * 4), np.rint(found.y * 4)
    return sorted(zip(found.cls.tolist(), x.tolist(), y.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(18))
def test_every_character_of_a_page_is_found_once_at_its_place(seed: int) -> None:
    made = make_page(Random(seed), max_tiles=4, layouts=(list(LAYOUTS)[seed % 9],))
    width, height = (-(-side // TILE) * TILE for side in (made.sheet.width, made.sheet.height))
    glyphs = made.sheet.glyphs()
    targets = targets_of(glyphs, width, height)
    found = detect([Level(slot_map(dense(targets))[0])])
    rows, cols = np.nonzero(targets.char > 0)
    assert len(rows) >= 0.97 * (glyphs.width >= COLUMN).sum()  # narrower ones share columns
    dx, dy, size = targets.place[:, rows, cols]
    wanted = Detections(
        targets.char[rows, cols],
        np.ones(len(rows), np.float32),
        (cols + 0.5 + dx) * COLUMN,
        (rows + 0.5 + dy) * HALF_ROW,
        16 * np.exp(size),
        np.zeros((len(rows), 3), np.float32),
        width,
        height,
    )
    missed = set(as_rows(wanted)) - set(as_rows(found))
    assert not set(as_rows(found)) - set(as_rows(wanted))
    assert len(as_rows(found)) == len(set(as_rows(found)))
    assert len(missed) <= 0.015 * len(rows)  # double letters of condensed type


def test_place_height_and_link_come_back() -> None:
    glyphs = sheet_of((20.3, 40, "Depth: 14.5 m"), size=21).glyphs()
    found = detect([Level(slot_map(dense(targets_of(glyphs, 672, 336)))[0])])
    order = np.argsort(found.x)
    assert np.allclose(found.x[order], glyphs.x, atol=1e-3)
    assert np.allclose(found.y[order], glyphs.y, atol=1e-3)
    assert np.allclose(found.height[order], 21, atol=1e-3)
    assert found.link[order].argmax(1).tolist() == glyphs.link.tolist()
    assert (found.prob > 0.99).all()


def test_one_character_named_by_two_slots_is_found_once() -> None:
    glyphs = sheet_of((100, 40, "a")).glyphs()
    slots = slot_map(dense(targets_of(glyphs, 336, 336)))[0]
    (row,), (col,) = np.nonzero(slots.prob[0] > 0.5)
    slots.cls[:, row, col + 1] = slots.cls[:, row, col]
    slots.prob[0, row, col + 1] = 0.6
    slots.place[:, row, col + 1] = slots.place[:, row, col] - np.array([1, 0, 0])
    found = detect([Level(slots)])
    assert len(found) == 1
    assert found.prob[0] > 0.9


def test_blank_slots_give_nothing() -> None:
    found = detect([Level(slot_map(dense(targets_of(sheet_of().glyphs(), 336, 336)))[0])])
    assert len(found) == 0
    assert found.link.shape == (0, 3)
    assert (found.width, found.canvas_height) == (336, 336)


def test_tiles_assemble_to_the_slots_of_the_whole_canvas() -> None:
    glyphs = sheet_of((300, 330, "Across a corner"), width=672, height=672).glyphs()
    whole = slot_map(dense(targets_of(glyphs, 672, 672)))[0]
    parts = [
        _part(whole, np.s_[..., r : r + SLOT_ROWS, c : c + SLOT_COLUMNS])
        for r in (0, SLOT_ROWS)
        for c in (0, SLOT_COLUMNS)
    ]
    joined = assemble(parts, 2)
    for name in ("cls", "prob", "link", "place"):
        assert np.array_equal(getattr(joined, name), getattr(whole, name))
        assert getattr(joined, name).dtype == getattr(whole, name).dtype


def _part(whole: SlotMap, at: tuple[object, ...]) -> SlotMap:
    return SlotMap(*(getattr(whole, name)[at] for name in ("cls", "prob", "link", "place")))


def test_tokens_are_made_of_their_own_fourteen_slots() -> None:
    glyphs = sheet_of((100, 60, "word")).glyphs()
    slots = slot_map(dense(targets_of(glyphs, 672, 336)))[0]
    found = detect([Level(slots)])
    index, weight = token_inputs(slots)
    assert index.shape == weight.shape == (12 * 24, 2 * TOKEN_SLOTS)
    tokens, places = found.token_slots()
    for token, place, cls in zip(tokens, places, found.cls, strict=True):
        at = int(weight[token, :TOKEN_SLOTS].argmax())
        assert weight[token].max() > 0.99
        held = index[token][weight[token] > 0.9].tolist()
        assert cls * TOKEN_SLOTS + place in held
        assert index[token, at] // TOKEN_SLOTS in found.cls
    busy = np.unique(tokens)
    quiet = np.setdiff1d(np.arange(len(weight)), busy)
    assert float(weight[quiet].max()) < 0.01
