"""How answers are scored: equal text, edits between texts, characters found, intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilewise.models.nano.alphabet import fold

ROUNDS = 1000
"""Times that pages are drawn again for an interval."""


def normal(text: str) -> str:
    """Text as it is compared: white space collapsed, typographic quotes and dashes made plain."""
    return " ".join(fold(text).split())


def edits(said: str, truth: str) -> int:
    """Least number of characters to insert, delete or replace between two texts."""
    ours = np.frombuffer(said.encode("utf-32-le"), np.uint32)
    theirs = np.frombuffer(truth.encode("utf-32-le"), np.uint32)
    steps = np.arange(len(theirs) + 1)
    row = steps
    for done, code in enumerate(ours, 1):
        kept = np.minimum(row[1:] + 1, row[:-1] + (theirs != code))
        row = np.minimum.accumulate(np.concatenate([[done], kept]) - steps) + steps
    return int(row[-1])


def lost_and_invented(found: str, truth: str) -> tuple[int, int]:
    """Characters of the truth that were not found, and found ones not of it; order aside."""
    ours, theirs = (Counter(normal(text).replace(" ", "")) for text in (found, truth))
    return (theirs - ours).total(), (ours - theirs).total()


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some answers are as wanted."""

    right: int
    total: int

    @property
    def value(self) -> float:
        """The share; not a number where nothing was asked."""
        return self.right / self.total if self.total else float("nan")


def share(answers: Sequence[bool]) -> Share:
    """How many are true."""
    return Share(sum(answers), len(answers))


@dataclass(frozen=True, slots=True)
class Ratio:
    """A sum over pages divided by another; the 95 % interval is that of drawing pages again."""

    value: float
    low: float
    high: float
    error: float


def ratio(parts: Sequence[float], wholes: Sequence[float], seed: int = 0) -> Ratio:
    """Sum of ``parts`` by sum of ``wholes``, one of each to a page."""
    over, under = np.asarray(parts, float), np.asarray(wholes, float)
    if not under.sum():
        return Ratio(*[float("nan")] * 4)
    drawn = np.random.default_rng(seed).integers(0, len(over), (ROUNDS, len(over)))
    sums = over[drawn].sum(1) / np.maximum(under[drawn].sum(1), 1e-9)
    low, high = np.percentile(sums, (2.5, 97.5))
    return Ratio(float(over.sum() / under.sum()), float(low), float(high), float(sums.std()))
