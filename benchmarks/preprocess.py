"""How long does a page take to become tiles?

    python benchmarks/preprocess.py [--repeats 15] [--out benchmarks/results]

Times ``tiling.cut`` (resize, pad, cut), the two global views and the plan, with decoding of the
same page apart. Prints a table and writes it, with machine and spread, to a dated file.
"""

from __future__ import annotations

import argparse
import io
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageFont

from benchmarks.machine import processor
from tilewise.records import Page
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.layout import plan, tokens
from tilewise.tiling.partition import cut, global_view, small_view

CASES = (
    (500, 300, 6),
    (1920, 1080, 25),
    (2550, 3300, 25),
    (2550, 3300, 55),
    (3840, 1600, 55),
    (3840, 2160, 25),
    (3840, 2160, 55),
    (2160, 3840, 55),
    (7680, 4320, 55),
)
"""Width, height and tile limit."""

COLUMNS = (
    "page",
    "limit",
    "grid",
    "tokens",
    "decode PNG",
    "decode JPEG",
    "cut",
    "cut, processor",
    "global view",
    "small view",
    "plan",
)


def main() -> None:
    """Time every case, print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    head = _machine(args.repeats)
    rows = [_row(*case, args.repeats) for case in CASES]
    table = "\n".join(
        "| " + " | ".join(row) + " |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows)
    )
    text = f"# From a page to tiles\n\n{head}\n\n{table}\n"
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{date.today().isoformat()}-preprocess.md").write_text(text)


def _machine(repeats: int) -> str:
    """What ran, and how to read the numbers."""
    return (
        f"{processor()} at the "
        f"start; Python {platform.python_version()}, numpy {np.__version__}, Pillow "
        f"{PIL.__version__}. Pixels are uint8 RGB. Milliseconds: median of {repeats} repeats "
        "[fastest to slowest] after one unmeasured. `cut` does not decode; decoding is apart. "
        "`cut, processor` is the time of all cores together, which other work disturbs less."
    )


def _row(width: int, height: int, limit: int, repeats: int) -> list[str]:
    """One line of the table."""
    image = _printed_page(width, height)
    page = Page(pixels=np.asarray(image), name="printed")
    cfg = TilingConfig(max_tiles=limit)
    tiles = cut(page, cfg)
    grid = tiles.fit.grid
    png, jpeg = io.BytesIO(), io.BytesIO()
    image.save(png, "PNG")
    image.save(jpeg, "JPEG", quality=90)
    timed = (
        lambda: np.asarray(Image.open(io.BytesIO(png.getvalue()))),
        lambda: np.asarray(Image.open(io.BytesIO(jpeg.getvalue()))),
        lambda: cut(page, cfg),
        lambda: global_view(tiles.canvas, cfg.tile),
        lambda: small_view(tiles.canvas, cfg.tile),
        lambda: plan(grid, cfg),
    )
    counts = [f"{width} x {height}", f"{limit}", f"{grid.cols} x {grid.rows}"]
    times = [_milliseconds(work, repeats) for work in timed]
    times.insert(3, _milliseconds(lambda: cut(page, cfg), repeats, time.process_time))
    return [*counts, f"{tokens(grid, cfg)}", *times]


def _milliseconds(
    work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> str:
    """Median and spread of one piece of work."""
    work()
    taken = []
    for _ in range(repeats):
        start = clock()
        work()
        taken.append((clock() - start) * 1000)
    return f"{statistics.median(taken):.1f} [{min(taken):.1f} to {max(taken):.1f}]"


def _printed_page(width: int, height: int) -> Image.Image:
    """A white page of text-like words and a coloured bar, the same every time."""
    rng = np.random.default_rng(0)
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    size = max(10, height // 60)
    font = ImageFont.load_default(size)
    draw.rectangle((0, 0, width, 3 * size), fill=(30, 90, 160))
    letters = list("abcdefghijklmnopqrstuvwxyz")
    for top in range(4 * size, height - size, 2 * size):
        words = [
            "".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(width // size // 3)
        ]
        draw.text((size, top), " ".join(words), "black", font)
    return image


if __name__ == "__main__":
    main()
