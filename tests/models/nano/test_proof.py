"""The proofreader begins as what the encoder said, and learns to drop, to correct and to divide."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models.nano.making import sheet_of
from tests.models.nano.test_detect import dense, targets_of
from tilewise.models.nano.alphabet import CLASSES, class_of
from tilewise.models.nano.config import ProofConfig
from tilewise.models.nano.detect import Level, SlotMap, candidates, detect, slot_map
from tilewise.models.nano.encoder import LINKS
from tilewise.models.nano.proof import FEATURES, Company, Proofreader, clues, proofread
from tilewise.models.nano.reading import read

TEXT = ((20, 40, "Depth: 14.5 m"), (20, 80, "Keeper: Olaf Brandt"), (360, 40, "Lot 7"))


@pytest.fixture
def proof() -> Proofreader:
    torch.manual_seed(0)
    return Proofreader(ProofConfig(width=16, heads=2, layers=1, stretch=8)).eval()


def slots_of(*runs: tuple[float, float, str]) -> SlotMap:
    return slot_map(dense(targets_of(sheet_of(*runs).glyphs(), 672, 336)))[0]


def test_untrained_it_repeats_the_encoder(proof: Proofreader) -> None:
    slots = slots_of(*TEXT)
    with torch.no_grad():
        judged = read(proofread(proof, [Level(slots)]), is_proofread=True)
    assert judged.text() == read(detect([Level(slots)])).text()


def test_it_keeps_what_detection_keeps_of_a_character_named_twice(proof: Proofreader) -> None:
    slots = slots_of((100, 40, "a"))
    (row,), (col,) = np.nonzero(slots.prob[0] > 0.5)
    slots.cls[:, row, col + 1] = slots.cls[:, row, col]
    slots.prob[0, row, col + 1] = 0.6
    slots.place[:, row, col + 1] = slots.place[:, row, col] - np.array([1, 0, 0])
    with torch.no_grad():
        assert len(proofread(proof, [Level(slots)])) == 1


def test_blank_canvas_gives_nothing(proof: Proofreader) -> None:
    with torch.no_grad():
        assert len(proofread(proof, [Level(slots_of())])) == 0


def test_clues_have_the_promised_shapes_and_are_finite() -> None:
    found = candidates([Level(slots_of(*TEXT))])
    cls, prob, numbers = clues(found, read(found.chars))
    n = len(found.chars)
    assert cls.shape == prob.shape == (n, 4)
    assert numbers.shape == (n, FEATURES)
    assert bool(torch.isfinite(numbers).all())


@pytest.mark.parametrize("n", [1, 7, 8, 9, 40])
def test_company_reaches_one_stretch_each_way_and_no_further(n: int) -> None:
    torch.manual_seed(1)
    layer = Company(16, 2, 8)
    x = torch.randn(n, 16)
    changed = x.clone()
    changed[0] += 1.0
    moved = (layer(x) - layer(changed)).abs().amax(1) > 1e-6
    assert moved.tolist() == [i < 16 for i in range(n)]


def test_it_learns_to_drop_correct_and_divide(proof: Proofreader) -> None:
    """A wrong class, a character that is none and a lost space, put right by training."""
    slots = slots_of((20, 40, "5weet tea"))
    with torch.no_grad():
        found = candidates([Level(slots)])
    reading = read(found.chars)
    inputs = clues(found, reading)
    want = inputs[0][:, 0].clone()
    want[0] = class_of("S")
    want[7] = 0
    link = torch.from_numpy(reading.chars.link.argmax(1))
    link[1] = 1
    optimizer = torch.optim.Adam(proof.parameters(), lr=1e-2)
    for _ in range(150):
        logits, follows = proof(*inputs)
        loss = torch.nn.functional.cross_entropy(logits, want)
        loss = loss + torch.nn.functional.cross_entropy(follows, link)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        text = read(proofread(proof, [Level(slots)]), is_proofread=True).text()
    assert text == "Sw eet te"
    assert logits.shape == (8, CLASSES)
    assert follows.shape == (8, LINKS)
