"""Stage 2: the proofreader learns what the encoder gets wrong, on pages that it has read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from default_model.clock import Clock, ramp_down, say
from default_model.muon import Muon
from default_model.rendered import drawn, pair
from default_model.state import resume, save
from tilewise.models.nano.alphabet import classes_of
from tilewise.models.nano.config import EncoderConfig, ProofConfig
from tilewise.models.nano.detect import Detections, Level, candidates, detect
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.proof import Proofreader, clues, proofread
from tilewise.models.nano.reading import read
from tilewise.models.nano.sight import fused, see
from tilewise.models.nano.slots import IGNORE, SMALLEST_PX
from tilewise.records import Page
from tilewise.synth.fonts import Split
from tilewise.synth.pages import make_page
from tilewise.synth.real import read_real_pages
from tilewise.synth.sheet import Glyphs
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.partition import cut

PEAK_LR = 2e-3
KEPT = 400
"""Pages kept to be seen again: reading one costs far more than a step on it."""


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
    encoder: Encoder, seed: int, real: Path | None, split: Split = "train", *, unseen: bool = False
) -> Iterator[Held]:
    """Pages that the encoder has read, synthetic and real ones, without end."""
    rng = Random(seed)
    found = _real(encoder, real, seed) if real is not None else None
    while True:
        if found is not None and rng.random() < 0.25:
            yield next(found)
            continue
        page_rng = Random(rng.randrange(2**60))
        made = make_page(page_rng, split, max_tiles=9, unseen_font=unseen)
        if len(made.sheet) >= 20:
            yield _seen(encoder, *drawn(made, page_rng))


def _real(encoder: Encoder, folder: Path, seed: int) -> Iterator[Held]:
    rng = Random(seed)
    while True:
        for page in read_real_pages(folder, "train"):
            if rng.random() < 0.3:
                pixels = np.repeat(page.without_figures()[..., None], 3, axis=2)
                cfg = TilingConfig(max_tiles=rng.choice((9, 16, 25)), upscale=False)
                yield _seen(encoder, pixels, page.glyphs(), cfg)


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


def _shares(name: str, counts: Counter[str]) -> str:
    n = max(counts["n"], 1)
    return f"{name} " + " ".join(
        f"{k} {100 * counts[k] / n:.2f} %" for k in ("wrong", "lost", "more")
    )


@torch.inference_mode()
def report(model: Proofreader, held: list[Held]) -> str:
    """Mistakes on held-out pages, before and after."""
    before, after = Counter[str](), Counter[str]()
    for page in held:
        before += mistakes(detect(page.levels), page.glyphs)
        after += mistakes(proofread(model, page.levels), page.glyphs)
    return f"held {_shares('before', before)}; {_shares('after', after)}"


def train_proof(work: Path, minutes: float, seed: int, real: Path | None) -> None:
    """Train for ``minutes`` CPU-minutes on what ``work``/encoder.pt reads; resumable."""
    torch.set_num_threads(int(os.environ.get("TILEWISE_THREADS", "1")))
    torch.manual_seed(seed)
    encoder = Encoder(EncoderConfig())
    encoder.load_state_dict(torch.load(work / "encoder.pt", weights_only=True)["model"])
    eyes = fused(encoder.eval())
    model = Proofreader(ProofConfig())
    optimizer = Muon(model, PEAK_LR)
    state_file = work / "proof.pt"
    before = resume(state_file, model, optimizer, minutes)
    step = before.step
    clock = Clock(minutes, before.used_min)
    held = list(islice(pages(eyes, 9003, None, "test"), 30))
    stream, rng = pages(eyes, seed * 1000 + step, real), Random(seed + step)
    kept: list[Proof] = []
    mean_loss, last_said = 0.5, clock.used_min
    while clock.share < 1.0:
        with torch.no_grad():
            new = [p for p in map(proof_of, islice(stream, 2)) if p is not None]
        kept = (kept + new)[-KEPT:]
        group = [*new, *rng.sample(kept, min(4, len(kept)))]
        optimizer.groups[0]["lr_factor"] = min(1.0, (step + 1) / 30) * ramp_down(clock.share, 0.3)
        optimizer.zero_grad()
        for page in group:
            loss = loss_of(model, page) / len(group)
            loss.backward()
            mean_loss += 0.01 * (float(loss.detach()) * len(group) - mean_loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if clock.used_min - last_said > 2.0 or clock.share >= 1.0:
            last_said = clock.used_min
            model.eval()
            say(work, "proof", clock, f"step {step} loss {mean_loss:.3f}; {report(model, held)}")
            model.train()
            save(state_file, model, optimizer, clock, step)
