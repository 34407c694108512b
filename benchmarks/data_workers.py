"""Do workers keep a device busy while pages are decoded, cut and written as ids?

    python benchmarks/data_workers.py [--pages 24] [--workers 0 1 2] [--step-s 0.5] [--out FOLDER]

Pages of A4 at 200 dpi, saved as JPEG, become examples of InternLM-XComposer2-4KHD at HD-25, one to
a pack. A stand-in for the device takes a pack and is busy for so many seconds without this
machine's processors, as a GPU would be. Prints, for each number of workers, seconds to prepare a
page (as fast as packs can be taken), and the share of time in which the device is busy. The first
packs, while workers start, are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from benchmarks.ixc2_parts.report import machine, table, write
from tilewise.train.data import DataConfig, Packs, open_packs
from tilewise.train.family import plain_family

WARM = 4  # packs before the clock runs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=24)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--step-s", type=float, nargs="+", default=[0.0, 0.5])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        meta = samples(Path(folder), 8)
        rows = [
            [str(count), f"{step_s:.2f}", *measured(meta, count, step_s, args.pages)]
            for count in args.workers
            for step_s in args.step_s
        ]
    text = table(["workers", "device s/page", "s/page", "device busy"], rows)
    if args.out:
        write(args.out, "data-workers", machine(), text)
    else:
        print(machine(), text, sep="\n\n")


def samples(folder: Path, count: int) -> Path:
    """Pages of paragraphs, drawn as bars, and a file of samples about them."""
    lines = []
    for number in range(count):
        rng = np.random.default_rng(number)
        page = np.full((2339, 1654, 3), 255, np.uint8)
        for y in range(150, 2200, 30):
            page[y : y + 18, 150 : int(rng.integers(700, 1500))] = rng.integers(0, 90, 3)
        page += rng.integers(0, 4, page.shape, np.uint8) * (page < 200)
        Image.fromarray(page).save(folder / f"{number}.jpg", quality=90)
        said = [
            {"from": "human", "value": "<image>\nWhat is the title?"},
            {"from": "gpt", "value": "A page."},
        ]
        lines.append(json.dumps({"image": f"{number}.jpg", "conversations": said}))
    path = folder / "samples.jsonl"
    path.write_text("\n".join(lines))
    return path


def measured(meta: Path, workers: int, step_s: float, pages: int) -> list[str]:
    """Seconds a page, and the share of them in which the device is busy."""
    cfg = DataConfig(meta=str(meta), max_tiles=25, context=100_000)
    packs = open_packs(cfg, plain_family("ixc2"), seed=0, workers=workers)
    try:
        taken(packs, WARM, step_s)
        began = time.perf_counter()
        taken(packs, pages, step_s)
        each = (time.perf_counter() - began) / pages
    finally:
        packs.close()
    return [f"{each:.3f}", f"{step_s / each:.0%}"]


def taken(packs: Packs, count: int, step_s: float) -> None:
    """Take packs as a device does."""
    for _ in islice(packs, count):
        time.sleep(step_s)


if __name__ == "__main__":
    main()
