"""What does squared alignment with packing attention gain, on pairs whose truth is known?

    python benchmarks/sdan_claims.py PHOTOS [--seeds 3] [--minutes 25] [--out benchmarks/results]
    python benchmarks/sdan_claims.py PHOTOS --seeds 1 --minutes 0.5      # seconds

Small networks of one size learn from the same made-up pairs in the same order: without alignment,
with squared windows, with points that move alone, and with squared windows but no attention. First
the probe's term alone trains the alignment (warm-up), then both terms train all of it. Each run
gets the same number of steps, which the first seconds of a run set from the processor minutes that
there are. Held-out pairs are measured now and then:

- error of offsets: between d(x, misaligned) - d(x, aligned) and the true flow, in input pixels, as
  kernels can absorb a constant shift;
- PSNR without a reference (P0) against the aligned truth.

Prints tables and writes them, with machine and spread, to a dated file.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from torch import Tensor

from benchmarks.ixc2_parts.report import machine, spread, table, write
from tilewise.superres.config import SdanConfig
from tilewise.superres.losses import Pairs, SdanLossConfig, colour_matched, pairs_loss
from tilewise.superres.metrics import psnr
from tilewise.superres.pairs import CameraConfig, Pair, camera_pair
from tilewise.superres.photos import Photos, photo_paths
from tilewise.superres.sdan import Enlarged, Sdan, enlarged_and_moved, reference_of
from tilewise.train.superres.made import LEAST_PHOTO

SCALE: Final = 4
SIZES: Final = SdanConfig(scale=SCALE, width=24, blocks=4, block=4, has_skip=True)
"""Block 4: packed channels stay few, as the crops are small."""

WAYS: Final = {
    "no alignment": replace(SIZES, alignment="none"),
    "squared, packing attention": SIZES,
    "squared, no attention": replace(SIZES, attention="none"),
    "per point, packing attention": replace(SIZES, alignment="per_point"),
}
WARMUP: Final = 0.75
"""Share of a run's steps in which the probe's term alone counts."""

CROP: Final = 40
POOL: Final = 120
"""Pairs of a seed."""

BATCH: Final = 4
BORDER: Final = 4
"""Of input pixels that are not measured."""

MARKS: Final = 6
"""Times that a run is measured."""

LOSS: Final = SdanLossConfig(border=16, smoothness=0.0, dropout=0.25)
LR: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A run after some steps: error of offsets in input pixels, None without alignment; PSNR."""

    step: int
    error: float | None
    p0: float
    oracle: float


class Held(NamedTuple):
    """Pairs that are measured: batches of one, in the colours of the inputs, and true flows."""

    pairs: list[Pairs]
    flows: list[Tensor]


def main(words: Sequence[str] | None = None) -> None:
    """Train all ways with all seeds, print the tables and write them down."""
    args = _arguments(words)
    torch.set_num_threads(1)
    head, began = machine(), time.process_time()
    paths = photo_paths(args.photos)
    learned, apart = Photos(paths[1::2], LEAST_PHOTO), Photos(paths[::2], LEAST_PHOTO)
    held = _held(apart, args.held)
    steps = args.steps or _steps(learned, args.minutes * 60 / (len(WAYS) * args.seeds))
    print(f"{steps} steps a run, {args.seeds} seeds; data ready in "
          f"{time.process_time() - began:.0f} s", flush=True)  # fmt: skip
    found: dict[str, list[list[Mark]]] = {way: [] for way in WAYS}
    for seed in range(args.seeds):
        pool = _pool(learned, seed)
        for way, runs in found.items():
            runs.append(_run(way, seed, steps, pool, held))
    bicubic = [psnr(_plain(enlarged_and_moved(p.own, SCALE, None)), _plain(_aligned(p)))
               for p in held.pairs]  # fmt: skip
    setting = (
        f"Scale {SCALE}, {SIZES.width} channels, {SIZES.blocks} blocks, crops of {CROP} px in "
        f"batches of {BATCH}, {steps} steps of which the first {WARMUP:.0%} train the probe's term "
        f"alone, Adam {LR:g}; {POOL} pairs a seed of {len(learned)} photographs to learn from, "
        f"{len(apart)} others to measure on ({len(held.pairs)} pairs); "
        f"{args.seeds} seeds: median [least to most]. "
        f"Bicubic against the aligned truth: {np.mean(bicubic):.2f} dB. {head}. "
        f"{(time.process_time() - began) / 60:.0f} processor minutes in all."
    )
    still = float(np.mean([flow[..., _in(), _in()].norm(dim=1).mean() for flow in held.flows]))
    blocks = ["# SDAN's claims on made-up pairs", f"`python benchmarks/sdan_claims.py`. {setting}"]
    blocks += ["Behind the last step:", _last(found)]
    blocks += [f"Error of offsets by step, input pixels (without offsets {still:.3f}):",
               _course(found)]  # fmt: skip
    blocks += ["Steps to an error, or more than there were:", _reached(found, still)]
    write(args.out, "sdan-claims", *blocks)


def _run(way: str, seed: int, steps: int, pool: Sequence[Pair], held: Held) -> list[Mark]:
    """Train a network from a seed, and measure it now and then."""
    torch.manual_seed(seed)
    network = Sdan(WAYS[way])
    optimiser = torch.optim.Adam(network.parameters(), lr=LR, betas=(0.9, 0.99))
    marks, warmup = [_measured(network, held, 0)], round(WARMUP * steps)
    due = {round(part * steps / MARKS) for part in range(1, MARKS + 1)}
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = LR * (1.0 if step < 0.7 * steps else 0.2)
        pairs = _batch(pool, step)
        is_warm = step >= warmup
        if not is_warm and network.align is None:
            continue  # it has no probe: the same steps of the image term as the others
        total = _loss(network, pairs, is_warm=is_warm, seed=seed, step=step)
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step + 1 in due:
            marks.append(_measured(network, held, step + 1))
            print(f"{way}, seed {seed}: {marks[-1]}", flush=True)
    return marks


def _loss(network: Sdan, pairs: Pairs, *, is_warm: bool, seed: int, step: int) -> Tensor:
    """Both terms; while warming up the probe's alone, for which nothing is enlarged."""
    generator = torch.Generator().manual_seed(1000 * seed + step)
    drops = torch.rand(len(pairs.x), generator=generator) < LOSS.dropout
    if is_warm:
        return pairs_loss(network, pairs, LOSS, drops).total
    assert network.align is not None
    target = colour_matched(pairs.target, pairs.own)
    small = reference_of(target, *pairs.own.shape[-2:])
    reference = torch.where(drops.view(-1, 1, 1, 1), pairs.own, small)
    probe = _aligned_only(network, pairs.x, reference).probe
    assert probe is not None
    return (probe - reference)[..., _in(), _in()].abs().mean()


def _aligned_only(network: Sdan, x: Tensor, reference: Tensor) -> Enlarged:
    """Probe and offsets without the body, which is most of the work."""
    assert network.align is not None
    features = torch.relu(network.head(x))
    moves = network.align.find(features, reference)
    probe = network.align.probe(network.align.move(features, moves))
    return Enlarged(reference, probe, None, moves.window)


@torch.no_grad()
def _measured(network: Sdan, held: Held, step: int) -> Mark:
    errors, p0, oracle = [], [], []
    for pairs, flow in zip(held.pairs, held.flows, strict=True):
        truth = _aligned(pairs)
        image = network(pairs.x).image
        p0.append(psnr(_plain(image), _plain(truth)))
        if network.align is None:
            oracle.append(psnr(_plain(image), _plain(pairs.target)))
            continue
        size = pairs.own.shape[-2:]
        off, still = (
            _aligned_only(network, pairs.x, reference_of(target, *size)).offset
            for target in (pairs.target, truth)
        )
        assert off is not None
        assert still is not None
        error = (off - still - flow)[..., _in(), _in()].norm(dim=1).mean()
        errors.append(float(error))
        moved = network(pairs.x, reference_of(pairs.target, *size)).image
        oracle.append(psnr(_plain(moved), _plain(pairs.target)))
    error = float(np.mean(errors)) if errors else None
    return Mark(step=step, error=error, p0=float(np.mean(p0)), oracle=float(np.mean(oracle)))


def _pool(photos: Photos, seed: int) -> list[Pair]:
    """The pairs of a seed, which come round again and again: making one takes as long as a step."""
    return [_pair(photos, (seed, place), has_flow=False) for place in range(POOL)]


def _batch(pool: Sequence[Pair], step: int) -> Pairs:
    """The batch of a step, the same for all ways."""
    return _joined([pool[(step * BATCH + place) % len(pool)] for place in range(BATCH)])


def _pair(photos: Photos, key: tuple[int, ...], *, has_flow: bool) -> Pair:
    number = int(np.random.default_rng(key).integers(len(photos)))
    return camera_pair(photos[number], SCALE, CROP, CameraConfig(), key, has_flow=has_flow)


def _joined(made: Sequence[Pair]) -> Pairs:
    x, target, aligned = (
        torch.stack([getattr(pair, name) for pair in made]) for name in ("x", "target", "aligned")
    )
    return Pairs(x, target, x, aligned)


def _held(photos: Photos, count: int) -> Held:
    pairs, flows = [], []
    for place in range(count):
        made = _pair(photos, (77, place), has_flow=True)
        one = _joined([made])
        matched = (colour_matched(t, one.own) for t in (one.target, _aligned(one)))
        target, aligned = matched
        pairs.append(one._replace(target=target, aligned=aligned))
        assert made.flow is not None
        flows.append(made.flow[None])
    return Held(pairs, flows)


def _aligned(pairs: Pairs) -> Tensor:
    assert pairs.aligned is not None
    return pairs.aligned


def _steps(photos: Photos, seconds: float) -> int:
    """Steps that fit into so many seconds, by a trial of both kinds."""
    network = Sdan(SIZES)
    spent, pool = [], [_pair(photos, (99, place), has_flow=False) for place in range(BATCH)]
    for is_warm in (False, True):
        began = 0.0
        for step in range(4):
            if step == 1:  # the first one warms up
                began = time.process_time()
            pairs = _batch(pool, step)
            _loss(network, pairs, is_warm=is_warm, seed=0, step=step).backward()
        spent.append((time.process_time() - began) / 3)
    return max(MARKS, round(seconds / (WARMUP * spent[0] + (1 - WARMUP) * spent[1])))


def _in() -> slice:
    return slice(BORDER, -BORDER)


def _plain(image: Tensor) -> np.ndarray:
    cut = BORDER * SCALE
    return image[0, :, cut:-cut, cut:-cut].clamp(0, 1).permute(1, 2, 0).numpy()


def _last(found: dict[str, list[list[Mark]]]) -> str:
    rows = []
    for way, runs in found.items():
        ends = [marks[-1] for marks in runs]
        errors = [mark.error for mark in ends if mark.error is not None]
        count = sum(w.numel() for w in Sdan(WAYS[way]).parameters())
        rows.append(
            [
                way,
                f"{count:,}",
                spread(errors) if errors else "-",
                spread([mark.p0 for mark in ends], ".2f"),
                spread([mark.oracle for mark in ends], ".2f"),
            ]
        )
    head = (
        "way",
        "parameters",
        "error of offsets, px",
        "P0 against the aligned truth, dB",
        "P2 against the target, dB (no alignment: P0)",
    )
    return table(head, rows)


def _course(found: dict[str, list[list[Mark]]]) -> str:
    steps = [mark.step for mark in next(iter(found.values()))[0]]
    for runs in found.values():
        steps = max(steps, [mark.step for mark in runs[0]], key=len)
    rows = []
    for way, runs in found.items():
        columns = list(zip(*runs, strict=True))
        values = [[mark.error for mark in marks if mark.error is not None] for marks in columns]
        if any(values):
            rows.append([way, *(f"{np.median(one):.3f}" for one in values)])
    return table(["way", *map(str, steps)], rows)


def _reached(found: dict[str, list[list[Mark]]], still: float) -> str:
    """The first measured step at which a share of what is off is left, for each seed."""
    rows = []
    for way, runs in found.items():
        if runs[0][-1].error is None:
            continue
        row = [way]
        for share in (0.9, 0.75, 0.5):
            firsts = []
            for marks in runs:
                good = [m.step for m in marks if m.error is not None and m.error <= share * still]
                firsts.append(str(good[0]) if good else f"> {marks[-1].step}")
            row.append(", ".join(firsts))
        rows.append(row)
    return table(("way", *(f"{share:.0%} of it" for share in (0.9, 0.75, 0.5))), rows)


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    said = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    said.add_argument("photos", type=Path, help="a folder of photographs")
    said.add_argument("--seeds", type=int, default=3)
    said.add_argument("--minutes", type=float, default=25.0, help="processor minutes in all")
    said.add_argument("--steps", type=int, help="of a run, instead of --minutes")
    said.add_argument("--held", type=int, default=16, help="pairs that are measured")
    said.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    return said.parse_args(words)


if __name__ == "__main__":
    main()
