"""What does squared alignment with packing attention gain, on pairs whose truth is known?

    python benchmarks/sdan_claims.py PHOTOS [--seeds 3] [--steps 3000] [--processes 2]
    python benchmarks/sdan_claims.py PHOTOS --seeds 1 --steps 8 --pairs 16 --held 4    # seconds

Small networks of one size learn from the same made-up pairs for the same number of steps: without
alignment, with squared windows, with points that move alone, and with squared windows but no
attention. A seed draws the weights, the order of the pairs and how they are turned. Nothing that
is learned from knows what a real pair would not: the aligned truth and the flow are of held-out
pairs and for measuring alone. Those are measured at even steps:

- error of offsets: between d(x, misaligned) - d(x, aligned) and the true flow, in input pixels, as
  kernels can absorb a constant shift;
- share found: of the true flow, by least squares through zero; noise of offsets leaves it as it is;
- PSNR without a reference (P0) against the aligned truth, and with the target as reference (P2)
  against the target.

Runs are kept in a folder (--kept) as they end, and not made again. Prints tables and writes them,
with machine and spread, to a dated file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from torch import Tensor

from benchmarks.ixc2_parts.report import machine, write
from benchmarks.sdan_parts.tables import Mark, tables
from tilewise.superres.attention import PackingAttention
from tilewise.superres.config import SdanConfig
from tilewise.superres.losses import Pairs, SdanLossConfig, colour_matched, drawn_drops, pairs_loss
from tilewise.superres.pairs import CameraConfig, Pair, camera_pair
from tilewise.superres.photos import Photos, photo_paths
from tilewise.superres.sdan import Sdan, enlarged_and_moved, reference_of
from tilewise.train.superres.made import LEAST_PHOTO

SCALE: Final = 2
SIZES: Final = SdanConfig(scale=SCALE, width=16, blocks=2, block=4, has_skip=True)
"""Block 4: packed channels stay few, as the crops are small."""

WAYS: Final = {
    "no alignment": replace(SIZES, alignment="none"),
    "squared, packing attention": SIZES,
    "squared, no attention": replace(SIZES, attention="none"),
    "per point, packing attention": replace(SIZES, alignment="per_point"),
}

CAMERAS: Final = CameraConfig(shift=3.0, parallax=1.0, step=2.5)
"""Shifts of two pixels of the input at most and of 1.2 in the mean: what finds the offsets sees 4
pixels round a place."""

TRIES: Final = 12
"""Places drawn for a crop, of which the one with the most detail is taken: flat ones tell nothing
of shifts."""

CROP: Final = 32
BATCH: Final = 8
BORDER: Final = 4
"""Of input pixels that are not measured."""

MARKS: Final = 8
"""Times that a run is measured."""

LOSS: Final = SdanLossConfig(
    border=8, smoothness=0.01, dropout=0.1, unmoved=0.5, pin=0.0, has_colour_match=False
)
"""Colours are matched when the pairs are made. The error of offsets needs no pin: it is of a
difference."""

LR: Final = 3e-3
WARMUP: Final = 50
"""Steps over which the rate rises."""

HELD: Final = "held pairs.pt"
LEARNED: Final = "learned pairs.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is run: a way, a seed, steps, the folder of pairs and where its marks are kept."""

    way: str
    seed: int
    steps: int
    pairs: Path
    kept: Path

    @property
    def file(self) -> Path:
        """Of its marks."""
        name = self.way.replace(",", "").replace(" ", "-")
        return self.kept / f"{name}-{self.seed}-{self.steps}.json"


class Made(NamedTuple):
    """Pairs as they are learned from or measured, in the colours of the inputs; flows if asked."""

    x: Tensor
    target: Tensor
    aligned: Tensor
    flow: Tensor


def main(words: Sequence[str] | None = None) -> None:
    """Train all ways with all seeds, print the tables and write them down."""
    args = _arguments(words)
    torch.set_num_threads(1)
    head, began = machine(), time.perf_counter()
    with TemporaryDirectory() as folder:
        kept = args.kept or Path(folder) / "runs"
        kept.mkdir(parents=True, exist_ok=True)
        paths = photo_paths(args.photos)
        learned, apart = Photos(paths[1::2], LEAST_PHOTO), Photos(paths[::2], LEAST_PHOTO)
        held = _made(apart, args.held, 77, has_flow=True)
        torch.save(tuple(held), Path(folder) / HELD)
        torch.save(tuple(_made(learned, args.pairs, 0, has_flow=False)), Path(folder) / LEARNED)
        print(f"pairs ready in {time.perf_counter() - began:.0f} s", flush=True)
        runs = [
            Run(way=way, seed=seed, steps=args.steps, pairs=Path(folder), kept=kept)
            for seed in range(args.seeds)
            for way in WAYS
        ]
        with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as workers:
            marks = list(workers.map(_marks, runs))
    found = {way: [m for m, run in zip(marks, runs, strict=True) if run.way == way] for way in WAYS}
    plain = [_psnr(one[None], wanted[None]) for one, wanted in zip(_bicubic(held), held.aligned,
                                                                  strict=True)]  # fmt: skip
    flow = held.flow[..., _in(), _in()].norm(dim=1)
    spent = sum(one[-1].used_s for runs_of in found.values() for one in runs_of) / 60
    setting = (
        f"Scale {SCALE}, {SIZES.width} channels, {SIZES.blocks} blocks, crops of {CROP} px in "
        f"batches of {BATCH}, {args.steps} steps with Adam {LR:g}, a fifth of it behind 70%; "
        f"{args.pairs} pairs of {len(learned)} photographs to learn from, {args.held} pairs of "
        f"{len(apart)} others to measure on; {args.seeds} seeds: median [least to most]. True "
        f"shifts are {float(flow.mean()):.3f} px of the input in the mean, {float(flow.max()):.1f} "
        f"at most. Bicubic against the aligned truth: {np.mean(plain):.2f} dB. {head}; "
        f"{args.processes} processes. {spent:.0f} processor minutes of training."
    )
    sizes = {way: sum(w.numel() for w in Sdan(cfg).parameters()) for way, cfg in WAYS.items()}
    blocks = ["# SDAN's claims on made-up pairs", f"`python benchmarks/sdan_claims.py`. {setting}"]
    write(args.out, "sdan-claims", *blocks, *tables(found, sizes, float(flow.mean())))


def _marks(run: Run) -> list[Mark]:
    """The marks of a run, from its file if it has been made."""
    if run.file.is_file():
        return [Mark(**mark) for mark in json.loads(run.file.read_text(encoding="utf-8"))]
    torch.set_num_threads(1)
    marks = _trained(run)
    text = json.dumps([asdict(mark) for mark in marks], indent=1)
    run.file.write_text(text, encoding="utf-8")
    return marks


def _trained(run: Run) -> list[Mark]:
    """Train a network from a seed, and measure it now and then."""
    pool, held = _read(run.pairs / LEARNED), _read(run.pairs / HELD)
    torch.manual_seed(run.seed)
    network = Sdan(WAYS[run.way])
    optimiser = torch.optim.Adam(network.parameters(), lr=LR, betas=(0.9, 0.99))
    generator = torch.Generator().manual_seed(1000 + run.seed)
    due = {round(part * run.steps / MARKS) for part in range(1, MARKS + 1)}
    marks, used = [_measured(network, held, 0, 0.0)], 0.0
    for step in range(1, run.steps + 1):
        began = time.process_time()
        for group in optimiser.param_groups:
            group["lr"] = LR * min(1.0, step / WARMUP) * (1.0 if step <= 0.7 * run.steps else 0.2)
        pairs, drops = _batch(pool, generator)
        lost = pairs_loss(network, pairs, LOSS, drops)
        lost.check()
        optimiser.zero_grad()
        lost.total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        used += time.process_time() - began
        if step in due:
            marks.append(_measured(network, held, step, used))
            print(f"{run.way}, seed {run.seed}: {marks[-1]}", flush=True)
    return marks


def _batch(pool: Made, generator: torch.Generator) -> tuple[Pairs, Tensor]:
    """Pairs, turned over at random, and which of them lose their reference: alike for all ways."""
    chosen = torch.randint(len(pool.x), (BATCH,), generator=generator)
    turns = torch.randint(2, (2,), generator=generator).tolist()
    axes = [axis for axis, is_turned in zip((-2, -1), turns, strict=True) if is_turned]
    x, target = (part[chosen].flip(axes) for part in (pool.x, pool.target))
    return Pairs(x, target, x), drawn_drops(BATCH, LOSS, generator)


@torch.no_grad()
def _measured(network: Sdan, held: Made, step: int, used_s: float) -> Mark:
    """A mark; pairs go through one by one, as attention looks at them one by one too."""
    images, moved, found = [], [], []
    for x, target, aligned in zip(held.x, held.target, held.aligned, strict=True):
        images.append(network(x[None]).image)
        if network.align is None:
            continue
        made, still = (
            network(x[None], reference_of(one[None], *x.shape[-2:])) for one in (target, aligned)
        )
        moved.append(made.image)
        found.append(_window(made.offset) - _window(still.offset))
    p0 = _mean_psnr(images, held.aligned)
    if network.align is None:
        return Mark(step=step, used_s=used_s, p0=p0, oracle=_mean_psnr(images, held.target))
    off, true = (part[..., _in(), _in()] for part in (torch.cat(found), held.flow))
    layers = [m for m in network.modules() if isinstance(m, PackingAttention)]
    return Mark(
        step=step,
        used_s=used_s,
        p0=p0,
        oracle=_mean_psnr(moved, held.target),
        error=float((off - true).norm(dim=1).mean()),
        share=float((off * true).sum() / true.square().sum()),
        gains=[float(layer.gain.detach()) for layer in layers],
    )


def _window(offset: Tensor | None) -> Tensor:
    """The shift of windows, that of their points in the mean."""
    assert offset is not None
    return offset.unflatten(1, (-1, 2)).mean(1)


def _made(photos: Photos, count: int, seed: int, *, has_flow: bool) -> Made:
    """Pairs of a seed, which come round again and again: making one takes as long as a step."""
    made = [_pair(photos, (seed, place), has_flow=has_flow) for place in range(count)]
    x = torch.stack([pair.x for pair in made])
    target = colour_matched(torch.stack([pair.target for pair in made]), x)
    if not has_flow:
        return Made(x, target, torch.empty(0), torch.empty(0))
    aligned = colour_matched(torch.stack([pair.aligned for pair in made]), x)
    return Made(x, target, aligned, torch.stack([_known(pair) for pair in made]))


def _pair(photos: Photos, key: tuple[int, ...], *, has_flow: bool) -> Pair:
    number = int(np.random.default_rng(key).integers(len(photos)))
    photo = photos[number]
    return camera_pair(photo, SCALE, CROP, CAMERAS, key, tries=TRIES, has_flow=has_flow)


def _known(pair: Pair) -> Tensor:
    assert pair.flow is not None
    return pair.flow


@lru_cache(maxsize=2)
def _read(path: Path) -> Made:
    """Once in each process."""
    return Made(*torch.load(path))


def _in() -> slice:
    return slice(BORDER, -BORDER)


def _bicubic(held: Made) -> Tensor:
    return enlarged_and_moved(held.x, SCALE, None)


def _mean_psnr(images: Sequence[Tensor], wanted: Tensor) -> float:
    return float(np.mean([_psnr(one, true[None]) for one, true in zip(images, wanted,
                                                                     strict=True)]))  # fmt: skip


def _psnr(image: Tensor, wanted: Tensor) -> float:
    cut = slice(BORDER * SCALE, -BORDER * SCALE)
    off = (image.clamp(0, 1) - wanted.clamp(0, 1))[..., cut, cut].square().mean()
    return float(-10 * torch.log10(off))


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    said = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    path = partial(said.add_argument, type=Path)
    path("photos", help="a folder of photographs")
    said.add_argument("--seeds", type=int, default=3)
    said.add_argument("--steps", type=int, default=3000, help="of a run")
    said.add_argument("--pairs", type=int, default=1000, help="pairs that are learned from")
    said.add_argument("--held", type=int, default=32, help="pairs that are measured")
    said.add_argument("--processes", type=int, default=2)
    path("--kept", help="a folder where runs are kept, to go on from")
    path("--out", default=Path("benchmarks/results"))
    return said.parse_args(words)


if __name__ == "__main__":
    main()
