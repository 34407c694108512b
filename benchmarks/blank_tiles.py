"""What does encoding identical tiles once save on a page with blank margins?

    python benchmarks/blank_tiles.py [--repeats 5] [--max-tiles 25] [--out benchmarks/results]

Asks 3840 x 2160 px pages whose print covers a smaller and smaller part, with the reader's
``dedup`` on and off, and compares answers and confidences. Prints a table and writes it, with
machine and spread, to a dated file.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
from datetime import date
from pathlib import Path
from typing import Protocol, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import tilewise
from benchmarks.machine import processor
from tilewise.engine.session import Conversation
from tilewise.models.reader import Reader
from tilewise.records import Answer, Page

COVERED = (1.0, 0.5, 0.25, 0.0)
"""Part of the page's width and height that is printed."""

QUESTION = "What is the title?"
COLUMNS = (
    "printed part",
    "tiles",
    "different tiles",
    "first character with, s",
    "without, s",
    "time saved",
    "same answer",
)


class Deduplicating(Reader, Protocol):
    """A reader that can encode identical tiles once."""

    dedup: bool


def main() -> None:
    """Time every page, print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tilewise-nano")
    parser.add_argument("--max-tiles", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    head = _machine(args.repeats)
    loaded = tilewise.load(args.model)
    if not hasattr(loaded, "dedup"):
        raise SystemExit(f"{loaded.name} has no setting dedup; there is nothing to compare.")
    reader = cast(Deduplicating, loaded)
    rows = [_row(reader, part, args.max_tiles, args.repeats) for part in COVERED]
    table = "\n".join(
        "| " + " | ".join(row) + " |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows)
    )
    text = f"# Blank tiles\n\n{reader.name}, 3840 x 2160 px. {head}\n\n{table}\n"
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{date.today().isoformat()}-blank-tiles.md").write_text(text)


def _row(reader: Deduplicating, part: float, max_tiles: int, repeats: int) -> list[str]:
    """One line of the table; with and without take turns, so that other load meets both."""
    page = _page(part)
    local = reader.tiles(page, max_tiles).local
    different = len({tile.tobytes() for tile in local})
    with_dedup, without = [], []
    for _ in range(repeats + 1):  # the first of each is not measured
        with_dedup.append(_ask(reader, page, max_tiles, dedup=True))
        without.append(_ask(reader, page, max_tiles, dedup=False))
    same = all(_said(a) == _said(b) for a, b in zip(with_dedup, without, strict=True))
    fast = [answer.first_s for answer in with_dedup[1:]]
    slow = [answer.first_s for answer in without[1:]]
    saved = 1 - statistics.median(fast) / statistics.median(slow)
    return [
        f"{100 * part:.0f} %",
        f"{len(local)}",
        f"{different}",
        _spread(fast),
        _spread(slow),
        f"{100 * saved:.0f} %",
        "yes" if same else "NO",
    ]


def _ask(reader: Deduplicating, page: Page, max_tiles: int, *, dedup: bool) -> Answer:
    reader.dedup = dedup
    *_, answer = Conversation(reader, [page], [max_tiles]).ask(QUESTION)
    assert isinstance(answer, Answer)
    return answer


def _said(answer: Answer) -> tuple[str, float | None]:
    return answer.text, answer.confidence


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} [{min(values):.3f} to {max(values):.3f}]"


def _machine(repeats: int) -> str:
    """What ran, and how to read the numbers."""
    return (
        f"{processor()} at the "
        f"start; Python {platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, {torch.get_default_dtype()}, batch 1. Seconds: median "
        f"of {repeats} repeats [fastest to slowest] after one unmeasured. An answer is the same "
        "when text and confidence are equal."
    )


def _page(part: float) -> Page:
    """White, with print over the given part of width and height, in the middle."""
    width, height = 3840, 2160
    image = Image.new("RGB", (width, height), "white")
    block = Image.new("RGB", (round(width * part), round(height * part)), "white")
    draw = ImageDraw.Draw(block)
    font = ImageFont.load_default(40)
    for line in range(block.height // 60):
        text = "  ".join(f"{7919 * (line * 40 + i + 3) % 99991}" for i in range(40))
        draw.text((0, line * 60), text, "black", font)
    image.paste(block, ((width - block.width) // 2, (height - block.height) // 2))
    return Page(pixels=np.asarray(image), name="margins")


if __name__ == "__main__":
    main()
