"""How much memory does a 4K page take in IXC2-4KHD, next to the same arithmetic done plainly?

    python benchmarks/ixc2_memory.py [--shape quarter] [--max-tiles 55] [--out benchmarks/results]
    python benchmarks/ixc2_memory.py --shape small --max-tiles 6      # seconds instead of minutes

Runs a random model of the real architecture, every width a quarter, from a page's pixels to the
first token: once as the package does, once the plain way (``ixc2_parts/eager.py``), each in a
process of its own. Prints a table of peaks and writes it, with machine and the largest difference
between the logits, to a dated file. Needs Linux, and about 12 GB for the plain way at 55 tiles.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from benchmarks.ixc2_parts.eager import Eager
from benchmarks.ixc2_parts.report import machine, table, write
from benchmarks.ixc2_parts.shapes import SHAPES, described, noise_page, page_prompt, random_reader
from tilewise.models.load import DTYPES

KINDS: Final = ("tilewise", "eager")
COLUMNS: Final = ("", "weights", "peak", "peak beside weights", "seconds")
TOLERANCE: Final = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.02}
"""Largest difference of logits that counts as rounding, in standard deviations of them all."""


def main(words: Sequence[str] | None = None) -> None:
    """Measure both in fresh processes, print the table and write it down."""
    args = _arguments(words)
    if args.child:
        _child(args)
        return
    head = machine()
    with tempfile.TemporaryDirectory() as folder:
        runs = {kind: _measured(args, kind, Path(folder) / f"{kind}.npy") for kind in KINDS}
        logits = [np.load(Path(folder) / f"{kind}.npy") for kind in KINDS]
    said, is_equal = _compared(logits[0], logits[1], TOLERANCE[args.dtype])
    ours, plain = runs.values()
    setting = (
        f"{ours['model']}; {args.dtype}, batch 1. Page {args.width} x {args.height} px, "
        f"{ours['tiles']} tiles of 336 px, prompt {ours['tokens']} tokens, "
        f"{ours['threads']} threads. {head}."
    )
    how = (
        "Peaks are the processes' highest resident memory (VmHWM) from the page's pixels to the "
        "first token, less what was resident before the model was made; one run each, seconds too."
    )
    rows = [[kind, *_row(run)] for kind, run in runs.items()]
    rows.append(["share", "", *(_share(ours, plain, what) for what in ("peak", "beside")), ""])
    write(
        args.out,
        f"ixc2-memory{'' if args.shape == 'quarter' else '-' + args.shape}",
        "# Memory of a 4K page in IXC2-4KHD",
        f"{setting} {how}",
        table(COLUMNS, rows),
        said,
    )
    if not is_equal:
        sys.exit("The logits differ by more than rounding, so the peaks cannot be compared.")


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="quarter")
    parser.add_argument("--max-tiles", type=int, default=55)
    parser.add_argument("--width", type=int, default=3840)
    parser.add_argument("--height", type=int, default=1600)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--logits", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def _measured(args: argparse.Namespace, kind: str, logits: Path) -> dict[str, Any]:
    """What a fresh process of one kind found."""
    words = {
        "--child": kind,
        "--logits": logits,
        "--shape": args.shape,
        "--max-tiles": args.max_tiles,
        "--width": args.width,
        "--height": args.height,
        "--dtype": args.dtype,
    }
    said = [str(word) for pair in words.items() for word in pair]
    done = subprocess.run(
        [sys.executable, __file__, *said], check=True, stdout=subprocess.PIPE, text=True
    )
    print(f"{kind}: {done.stdout.strip()}", file=sys.stderr, flush=True)
    return dict(json.loads(done.stdout))


def _child(args: argparse.Namespace) -> None:
    """Run one kind and print what it took, in bytes and seconds."""
    page = noise_page(args.width, args.height)
    before = _resident_bytes("VmRSS")
    reader = random_reader(SHAPES[args.shape], DTYPES[args.dtype], torch.device("cpu"))
    weights = _resident_bytes("VmRSS") - before
    began = time.perf_counter()
    tiles = reader.tiles(page, args.max_tiles)
    prompt = page_prompt(reader, tiles)
    if args.child == "eager":
        logits = Eager(reader.network).prefill(prompt)[-1]
    else:
        logits = reader.prefill([prompt])[0][0]
    int(logits.argmax())
    took = time.perf_counter() - began
    peak = _resident_bytes("VmHWM") - before
    np.save(args.logits, logits.numpy())
    found = {
        "model": described(reader),
        "tiles": len(tiles.local),
        "tokens": len(prompt),
        "threads": torch.get_num_threads(),
        "weights": weights,
        "peak": peak,
        "beside": peak - weights,
        "seconds": took,
    }
    print(json.dumps(found))


def _resident_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}; this needs Linux.")


def _compared(ours: Any, plain: Any, tolerance: float) -> tuple[str, bool]:
    """What the logits of the last position say, and whether they differ by rounding alone."""
    largest, size = float(np.abs(ours - plain).max()), float(plain.std())
    is_same = int(ours.argmax()) == int(plain.argmax())
    said = (
        f"Logits of the next id: largest difference {largest:.2g} at a standard deviation of "
        f"{size:.2g} and a largest value of {float(np.abs(plain).max()):.2g}; "
        f"{'the same' if is_same else 'another'} most probable id."
    )
    return said, largest <= tolerance * size


def _row(run: dict[str, Any]) -> list[str]:
    sizes = [f"{run[what] / 2**20:,.0f} MiB" for what in ("weights", "peak", "beside")]
    return [*sizes, f"{run['seconds']:.1f}"]


def _share(ours: dict[str, Any], plain: dict[str, Any], what: str) -> str:
    return f"{ours[what] / plain[what]:.2f}"


if __name__ == "__main__":
    main()
