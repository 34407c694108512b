"""How fast does IXC2-4KHD read a 4K page on a GPU, next to the same arithmetic done plainly?

    python benchmarks/ixc2_gpu.py [--repeats 5] [--new-tokens 128] [--out benchmarks/results]
    python benchmarks/ixc2_gpu.py --shape small --max-tiles 6       # what it does without a GPU

Runs the released shape with random bfloat16 weights on a page of 3840 x 2160 px at 55 tiles: the
package and the plain way (``ixc2_parts/eager.py``) by turns on the same weights. Prints time to
the first token, tokens a second, peak memory and the ratios of each turn, and writes them, with
machine and spread, to a dated file. Without CUDA it runs a small shape in float32 on the CPU.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor

from benchmarks.ixc2_parts.eager import Eager
from benchmarks.ixc2_parts.report import machine, spread, table, write
from benchmarks.ixc2_parts.shapes import SHAPES, described, noise_page, page_prompt, random_reader
from tilewise.models.ixc2.model import Ixc2Reader
from tilewise.models.units import Prompt

COLUMNS: Final = ("", "first token, ms", "tokens a second", "peak, prefill", "peak, decoding")
ON_CPU: Final = (
    "**There was no CUDA device.** A small shape ran in float32 on the CPU instead, with few "
    "tiles: that the program works is shown, how fast the model is on a GPU is not. Peaks are of "
    "the GPU's memory alone; `benchmarks/ixc2_memory.py` measures them on the CPU."
)

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one run took: seconds, tokens a second, bytes (0 without a GPU), and what it said."""

    first_s: float
    rate: float
    prefill_bytes: int
    decode_bytes: int
    logits: Tensor
    ids: list[int]


def main(words: Sequence[str] | None = None) -> None:
    """Time both by turns, print the table and write it down."""
    args = _arguments(words)
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if has_gpu else "cpu")
    shape = args.shape or ("full" if has_gpu else "small")
    head = machine()
    dtype = torch.bfloat16 if has_gpu else torch.float32
    reader = random_reader(SHAPES[shape], dtype, device)
    page = noise_page(args.width, args.height)
    began = time.perf_counter()
    tiles = reader.tiles(page, args.max_tiles or (55 if has_gpu else 2))
    cut_s = time.perf_counter() - began
    prompt = page_prompt(reader, tiles)
    runs: dict[str, list[Turn]] = {"tilewise": [], "eager": []}
    for repeat in range(args.repeats + 1):  # the first sets up what is set up once
        for kind, turns in runs.items():
            turn = _turn(kind, reader, prompt, args.new_tokens)
            if repeat:
                turns.append(turn)
    setting = (
        f"{described(reader)}; {str(dtype)[6:]}, batch 1. Page {args.width} x {args.height} px, "
        f"{len(tiles.local)} tiles of 336 px, prompt {len(prompt)} tokens, then "
        f"{args.new_tokens} chosen greedily. {head}."
    )
    how = (
        f"Median of {args.repeats} turns [lowest to highest] after one unmeasured; both run in "
        "every turn, and a ratio is of one turn. The first token counts from the page's tiles in "
        f"main memory; cutting the page takes {cut_s * 1000:.0f} ms before. Peaks are all that "
        "torch had allocated, weights included."
    )
    write(
        args.out,
        "ixc2-gpu" if has_gpu else "ixc2-gpu-on-cpu",
        "# IXC2-4KHD on a GPU",
        *([] if has_gpu else [ON_CPU]),
        f"{setting} {how}",
        table(COLUMNS, [*(_row(kind, turns) for kind, turns in runs.items()), _ratios(runs)]),
        _compared(runs["tilewise"][0], runs["eager"][0]),
    )


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, help="default: full on a GPU, else small")
    parser.add_argument("--max-tiles", type=int, help="default: 55 on a GPU, else 2")
    parser.add_argument("--width", type=int, default=3840)
    parser.add_argument("--height", type=int, default=2160)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(words)


def _turn(kind: str, reader: Ixc2Reader, prompt: Prompt, count: int) -> Turn:
    """From tiles to the first token, then ``count`` more."""
    device = reader.network.newline.device
    _restart_peak(device)
    began = time.perf_counter()
    with torch.inference_mode():
        logits, step = _begun(kind, reader, prompt)
        token = logits.argmax(-1, keepdim=True)
        ids = [int(token)]  # waits for the GPU
        first_s, prefill_bytes = time.perf_counter() - began, _peak_bytes(device)
        _restart_peak(device)
        began = time.perf_counter()
        for _ in range(count):
            token = step(token)[-1].argmax(-1, keepdim=True)
            ids.append(int(token))
        took = time.perf_counter() - began
    return Turn(
        first_s=first_s,
        rate=count / took,
        prefill_bytes=prefill_bytes,
        decode_bytes=_peak_bytes(device),
        logits=logits.cpu(),
        ids=ids,
    )


def _begun(kind: str, reader: Ixc2Reader, prompt: Prompt) -> tuple[Tensor, Step]:
    """Logits (vocabulary,) of the first new id, and what takes an id (1,) and gives the next."""
    if kind == "eager":
        plain = Eager(reader.network)
        return plain.prefill(prompt)[-1].clone(), plain.decode  # lets the others go
    logits, cache = reader.prefill([prompt])
    return logits[0], lambda token: reader.decode(token, cache)


def _restart_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)


def _peak_bytes(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def _row(kind: str, turns: Sequence[Turn]) -> list[str]:
    peaks = [max(t.prefill_bytes for t in turns), max(t.decode_bytes for t in turns)]
    return [
        kind,
        spread([t.first_s * 1000 for t in turns], ".1f"),
        spread([t.rate for t in turns], ".1f"),
        *(f"{peak / 1e9:.2f} GB" if peak else "–" for peak in peaks),
    ]


def _ratios(runs: dict[str, list[Turn]]) -> list[str]:
    """Ours over eager, turn by turn; of peaks, of all turns."""
    pairs = list(zip(runs["tilewise"], runs["eager"], strict=True))
    peaks = [
        statistics.median(ours / plain for ours, plain in sizes) if all(sizes[0]) else 0.0
        for sizes in (
            [(a.prefill_bytes, b.prefill_bytes) for a, b in pairs],
            [(a.decode_bytes, b.decode_bytes) for a, b in pairs],
        )
    ]
    return [
        "ratio",
        spread([ours.first_s / plain.first_s for ours, plain in pairs], ".2f"),
        spread([ours.rate / plain.rate for ours, plain in pairs], ".2f"),
        *(f"{peak:.2f}" if peak else "–" for peak in peaks),
    ]


def _compared(ours: Turn, plain: Turn) -> str:
    largest = float((ours.logits - plain.logits).abs().max())
    same = next(
        (i for i, (a, b) in enumerate(zip(ours.ids, plain.ids, strict=True)) if a != b),
        len(ours.ids),
    )
    return (
        f"Logits of the first id: largest difference {largest:.2g} at a standard deviation of "
        f"{float(plain.logits.std()):.2g}; of {len(ours.ids)} ids the first {same} are the same."
    )


if __name__ == "__main__":
    main()
