"""What does a second question on the same page cost, next to the first?

    python benchmarks/second_question.py [--repeats 5] [--max-tiles 25] [--out benchmarks/results]

Asks a 3840 x 2160 px page twice in one conversation, from pixels in memory: the first question
pays for cutting, encoding and prefill, the second for its own tokens. Prints a table and writes
it, with machine and spread, to a dated file.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import tilewise
from benchmarks.machine import processor
from tilewise.engine.session import Conversation
from tilewise.models.reader import Reader
from tilewise.records import Answer, Page

QUESTIONS = ("What is the title?", "What is the value of Order 17?", "Read line 3.")
COLUMNS = ("question", "tokens", "first character, s", "whole answer, s", "of the first question")


def main() -> None:
    """Time the questions, print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tilewise-nano")
    parser.add_argument("--max-tiles", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    head = _machine(args.repeats)
    reader = tilewise.load(args.model)
    page = _printed_page(3840, 2160)
    _ask_all(reader, page, args.max_tiles)  # unmeasured: sets up what is set up once
    runs = [_ask_all(reader, page, args.max_tiles) for _ in range(args.repeats)]
    tiles = reader.tiles(page, args.max_tiles).fit.grid
    lines = [_row(index, [run[index] for run in runs], runs) for index in range(len(QUESTIONS))]
    table = "\n".join("| " + " | ".join(row) + " |" for row in (COLUMNS, ["---"] * 5, *lines))
    setting = f"{reader.name}, {page.width} x {page.height} px, {tiles.cols} x {tiles.rows} tiles."
    text = f"# A second question on the same page\n\n{setting} {head}\n\n{table}\n"
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{date.today().isoformat()}-second-question.md").write_text(text)


def _ask_all(reader: Reader, page: Page, max_tiles: int) -> list[Answer]:
    """Ask every question, one after another, on a page that was not seen before."""
    talk = Conversation(reader, [page], [max_tiles])
    answers = []
    for question in QUESTIONS:
        *_, answer = talk.ask(question)
        assert isinstance(answer, Answer)
        answers.append(answer)
        talk.forget()
    return answers


def _row(index: int, answers: list[Answer], runs: list[list[Answer]]) -> list[str]:
    """One line of the table; the share is the median of the shares of each run."""
    shares = [run[index].first_s / run[0].first_s for run in runs]
    return [
        QUESTIONS[index],
        f"{answers[0].prompt_tokens}",
        _spread([answer.first_s for answer in answers]),
        _spread([answer.total_s for answer in answers]),
        f"{100 * statistics.median(shares):.1f} %",
    ]


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} [{min(values):.3f} to {max(values):.3f}]"


def _machine(repeats: int) -> str:
    """What ran, and how to read the numbers."""
    return (
        f"{processor()} at the "
        f"start; Python {platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, {torch.get_default_dtype()}, batch 1. Seconds: median "
        f"of {repeats} repeats [fastest to slowest] after one unmeasured; the page is decoded "
        "before."
    )


def _printed_page(width: int, height: int) -> Page:
    """A title and two columns of orders in black on white."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.text((120, 80), "Orders of the year", "black", ImageFont.load_default(90))
    font = ImageFont.load_default(40)
    for line in range(56):
        column, row = divmod(line, 28)
        left, top = 120 + column * width // 2, 260 + row * 66
        draw.text((left, top), f"Order {line + 1}: {7919 * (line + 3) % 99991}", "black", font)
    return Page(pixels=np.asarray(image), name="orders")


if __name__ == "__main__":
    main()
