"""How long does squared deformable convolution take, next to nine calls of ``grid_sample``?

    python benchmarks/deform_conv.py [--repeats 9] [--threads N] [--out benchmarks/results]
    python benchmarks/deform_conv.py --sides 32 --width 16 --repeats 2     # seconds

The usual way without a compiled operator reads the image nine times, once for each point of the
kernel, and takes a 1x1 convolution of what was read. The package convolves once and reads once.
Both, the same with offsets of each point, and an ordinary convolution, which moves nothing, take
turns in one run, forward and backward, float32. Results must agree. Prints a table of medians and
writes it, with machine and spread, to a dated file.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.ixc2_parts.report import machine, spread, table, write
from tilewise.superres.deform import deform_conv2d, squared_deform_conv2d

TOLERANCE: Final = 2e-3
"""Of the largest value: grid_sample rounds positions when it scales them."""

COLUMNS: Final = ("image", "way", "forward, s", "backward, s", "both, s", "nine calls take")

Operator = Callable[[Tensor, Tensor, Tensor], Tensor]


def main(words: Sequence[str] | None = None) -> None:
    """Time all ways at all sizes, print the table and write it down."""
    args = _arguments(words)
    torch.set_num_threads(args.threads or torch.get_num_threads())
    head, rows = machine(), []
    for side in args.sides:
        inputs = _inputs(args.batch, args.width, side, args.reach, args.device)
        _agree(inputs)
        seconds = _timed(inputs, args.repeats)
        nine = _both(seconds["nine grid_sample"])
        for way, times in seconds.items():
            both = _both(times)
            ratio = np.median(nine) / np.median(both)
            parts = [spread([t[i] for t in times], ".4f") for i in range(2)]
            rows.append([f"{side}x{side}", way, *parts, spread(both, ".4f"), f"{ratio:.2f} x"])
    setting = (
        f"Kernel 3x3, {args.width} channels to {args.width}, batch {args.batch}, offsets of "
        f"standard deviation {args.reach} px, float32, {args.device}. {head}. Seconds: median of "
        f"{args.repeats} [fastest to slowest] after one unmeasured, in turns; backward to image, "
        "kernel and offsets (without offsets where nothing is moved)."
    )
    write(args.out, "deform-conv", "# Deformable convolution", setting, table(COLUMNS, rows))


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[72, 144], help="of square images")
    parser.add_argument("--width", type=int, default=64, help="channels in and out")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--reach", type=float, default=2.0, help="of offsets, in px")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0, help="0 leaves torch's choice")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(words)


def _inputs(
    batch: int, width: int, side: int, reach: float, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Image, kernel and squared offset."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, width, side, side, generator=generator)
    weight = torch.randn(width, width, 3, 3, generator=generator) / (9 * width) ** 0.5
    offset = reach * torch.randn(batch, 2, side, side, generator=generator)
    moved, kernel, image = (t.to(device).requires_grad_() for t in (offset, weight, x))
    return image, kernel, moved


def _nine(x: Tensor, weight: Tensor, offset: Tensor) -> Tensor:
    """A reading of the whole image for each point, then all of them against the kernel."""
    rows, cols = x.shape[-2:]
    y = torch.arange(rows, device=x.device)[:, None] + offset[:, 0]
    xx = torch.arange(cols, device=x.device) + offset[:, 1]
    points = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    grids = (
        torch.stack([2 * (xx + j) / (cols - 1) - 1, 2 * (y + i) / (rows - 1) - 1], -1)
        for i, j in points
    )
    columns = torch.cat([F.grid_sample(x, grid, align_corners=True) for grid in grids], 1)
    return F.conv2d(columns, weight.permute(0, 2, 3, 1).flatten(1)[:, :, None, None])


def _squared(x: Tensor, weight: Tensor, offset: Tensor) -> Tensor:
    return squared_deform_conv2d(x, weight, offset, padding=1)


def _per_point(x: Tensor, weight: Tensor, offset: Tensor) -> Tensor:
    return deform_conv2d(x, weight, offset.repeat(1, 9, 1, 1), padding=1)


def _still(x: Tensor, weight: Tensor, offset: Tensor) -> Tensor:
    del offset
    return F.conv2d(x, weight, padding=1)


WAYS: Final[dict[str, Operator]] = {
    "nine grid_sample": _nine,
    "squared": _squared,
    "per point": _per_point,
    "ordinary convolution": _still,
}


def _agree(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    """Stop if two ways of the same give other numbers, or other gradients of image and kernel."""
    found = []
    for way in (_nine, _squared, _per_point):
        out = way(*inputs)
        found.append([out.detach(), *torch.autograd.grad(out.square().sum(), inputs[:2])])
    for others in found[1:]:
        for wanted, other in zip(found[0], others, strict=True):
            off = float((other - wanted).abs().max() / wanted.abs().max())
            if off > TOLERANCE:
                sys.exit(f"The ways differ by {off:.1e} of the largest value.")


def _timed(
    inputs: tuple[Tensor, Tensor, Tensor], repeats: int
) -> dict[str, list[tuple[float, float]]]:
    """Seconds forward and backward of each repeat, of each way; they take turns."""
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(repeats + 1):
        for way, run in WAYS.items():
            began = _now(inputs[0])
            out = run(*inputs)
            made = _now(inputs[0])
            torch.autograd.grad(out, inputs, torch.ones_like(out), allow_unused=True)
            seconds[way].append((made - began, _now(inputs[0]) - made))
    return {way: times[1:] for way, times in seconds.items()}


def _now(x: Tensor) -> float:
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def _both(times: Sequence[tuple[float, float]]) -> list[float]:
    return [sum(pair) for pair in times]


if __name__ == "__main__":
    main()
