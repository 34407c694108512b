"""The proofreader's stage: it learns what the encoder gets wrong, on pages that it has read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tilewise.models.nano.alphabet import classes_of
from tilewise.models.nano.detect import Detections, Level, candidates, detect
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.proof import Proofreader, clues, proofread
from tilewise.models.nano.reading import read
from tilewise.models.nano.sight import see
from tilewise.models.nano.slots import IGNORE, SMALLEST_PX
from tilewise.records import Page
from tilewise.synth.fonts import Split
from tilewise.synth.pages import make_page
from tilewise.synth.real import RealPage, RealPages
from tilewise.synth.sheet import Glyphs
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.partition import cut
from tilewise.train.draw import number
from tilewise.train.drawn import Drawn, Order
from tilewise.train.loop import Size
from tilewise.train.nano.rendered import drawn, pair
from tilewise.train.objectives import Loss

NEW, AGAIN = 2, 4
"""Pages of a batch: reading one costs far more than a step on it, so they are seen again."""

REAL_SHARE: Final = 0.25
"""Of pages, where there are real ones."""

HELD_SEED: Final = 9003


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """What the encoder found on a page, n characters, and what stands there.

    ``cls`` (n,): true class, 0 where nothing new stands. ``link`` (n,), IGNORE where unknown.
    """

    inputs: tuple[Tensor, Tensor, Tensor]
    cls: Tensor
    link: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A page to be measured on."""

    levels: tuple[Level, ...]
    glyphs: Glyphs


def pages(
    encoder: Encoder, seed: int, real: RealPages | None, split: Split = "train"
) -> Iterator[Held]:
    """Pages that the encoder has read, synthetic and real ones, without end."""
    rng = Random(seed)
    while True:
        if real is not None and rng.random() < REAL_SHARE:
            yield _real(encoder, real[rng.randrange(len(real))], rng)
            continue
        page_rng = Random(rng.randrange(2**60))
        made = make_page(page_rng, split, max_tiles=9)
        if len(made.sheet) >= 20:
            yield _seen(encoder, *drawn(made, page_rng))


def _real(encoder: Encoder, page: RealPage, rng: Random) -> Held:
    pixels = np.repeat(page.without_figures()[..., None], 3, axis=2)
    cfg = TilingConfig(max_tiles=rng.choice((9, 16, 25)), upscale=False)
    return _seen(encoder, pixels, page.glyphs(), cfg)


def _seen(encoder: Encoder, pixels: NDArray[np.uint8], glyphs: Glyphs, cfg: TilingConfig) -> Held:
    tiles = cut(Page(pixels=pixels, name="page"), cfg)
    fit = tiles.fit
    placed = glyphs.moved(fit.width / fit.page_width, fit.left, fit.top)
    return Held(see(encoder, [tiles], has_global=False)[0].levels, placed)


def proof_of(page: Held) -> Proof | None:
    """What to learn from a page; None where nothing was found."""
    found = candidates(page.levels)
    if len(found.chars) < 5:
        return None
    reading = read(found.chars)
    owner = pair(found.chars, page.glyphs)[reading.origin]
    is_known = owner >= 0
    true = np.append(classes_of(page.glyphs.code), 0)[owner]
    cls = np.where(is_known, np.where(true > 0, true, IGNORE), 0)
    link = np.append(page.glyphs.link, 0).astype(np.int64)[owner]
    return Proof(
        clues(found, reading),
        torch.from_numpy(cls),
        torch.from_numpy(np.where(is_known, link, IGNORE)),
    )


def loss_of(model: Proofreader, page: Proof) -> Tensor:
    """Mean over the characters of one page."""
    logits, link = model(*page.inputs)
    named = F.cross_entropy(logits, page.cls, ignore_index=IGNORE)
    if not bool((page.link != IGNORE).any()):
        return named
    return named + 0.5 * F.cross_entropy(link, page.link, ignore_index=IGNORE)


def mistakes(found: Detections, glyphs: Glyphs) -> Counter[str]:
    """Characters (n), wrong ones, lost ones, and ones too many of a page."""
    own = pair(found, glyphs)
    true = classes_of(glyphs.code)
    legible = (true > 0) & (glyphs.height >= SMALLEST_PX)
    hit = own >= 0
    have = np.zeros(len(glyphs), np.bool_)
    have[own[hit]] = True
    right = true[np.maximum(own, 0)]
    return Counter(
        n=int(legible.sum()),
        wrong=int((hit & (found.cls != right) & (right > 0)).sum()),
        lost=int((legible & ~have).sum()),
        more=int((~hit).sum()),
    )


class Proofreading:
    """What pages lose, each counting the same.

    Args:
        model: learns.
    """

    def __init__(self, model: Proofreader) -> None:
        self._model = model

    def __call__(self, batch: Sequence[Proof]) -> Loss:
        """What they lose."""
        each = [loss_of(self._model, page) for page in batch]
        return Loss(torch.stack(each).sum(), float(len(each)))

    def size(self, batch: Sequence[Proof]) -> Size:
        """Characters stand for tokens."""
        return Size(sum(len(page.cls) for page in batch), 0, ())


class ProofPages:
    """Makes the page of a number; it travels to workers.

    Args:
        seed: of the run.
        encoder: reads pages.
        real: real pages of the training split, None for synthetic ones alone.
    """

    def __init__(self, seed: int, encoder: Encoder, real: RealPages | None) -> None:
        self._seed, self._encoder, self._real = seed, encoder, real

    @torch.no_grad()
    def __call__(self, order: Order) -> list[Proof]:
        """One page on which something was found."""
        found = pages(self._encoder, number(self._seed, order.number), self._real)
        return [next(proof for proof in map(proof_of, found) if proof is not None)]


class Replayed:
    """New pages with some that were there before; those are made again behind ``load_state``.

    Args:
        drawn: new pages.
        seed: of which ones come again.
        kept: how many of the last ones may.
    """

    def __init__(self, drawn: Drawn[Proof], seed: int, kept: int) -> None:
        self._drawn, self._seed, self._most = drawn, seed, kept
        self._kept: dict[int, Proof] = {}

    @property
    def worker_s(self) -> float:
        """Processor time of workers."""
        return self._drawn.worker_s

    def __next__(self) -> list[Proof]:
        """The next batch."""
        new = [next(self._drawn) for _ in range(NEW)]
        end = self._drawn.given
        first = max(0, end - self._most)
        self._kept |= dict(zip(range(end - NEW, end), new, strict=True))
        self._kept = {place: page for place, page in self._kept.items() if place >= first}
        places = Random(number(self._seed, end)).sample(range(first, end), min(AGAIN, end - first))
        return [*new, *(self._page(place) for place in places)]

    def state(self) -> dict[str, Any]:
        """Where the row stands, as plain JSON."""
        return self._drawn.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of ``state``."""
        self._drawn.load_state(state)
        self._kept.clear()

    def _page(self, place: int) -> Proof:
        if place not in self._kept:
            self._kept[place] = self._drawn.again(place)
        return self._kept[place]


class HeldPages:
    """Mistakes on held-out pages, in percent of their characters, before and after.

    Args:
        model: learns.
        encoder: reads pages.
        count: of pages.
    """

    def __init__(self, model: Proofreader, encoder: Encoder, count: int) -> None:
        self._model, self._encoder, self._count = model, encoder, count
        self._pages: list[Held] = []

    def __call__(self) -> dict[str, float]:
        """Characters wrong, lost, and too many."""
        if not self._pages:
            self._pages = list(islice(pages(self._encoder, HELD_SEED, None, "test"), self._count))
        before, after = Counter[str](), Counter[str]()
        for page in self._pages:
            before += mistakes(detect(page.levels), page.glyphs)
            after += mistakes(proofread(self._model, page.levels), page.glyphs)
        return {
            f"{when} {kind}": 100 * counts[kind] / max(counts["n"], 1)
            for when, counts in (("before", before), ("after", after))
            for kind in ("wrong", "lost", "more")
        }
