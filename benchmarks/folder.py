"""A folder of pages in one process: how busy is the model, and what does asking again cost?

    python benchmarks/folder.py [--files 50] [--web 0] [--batch 1 8] [--out benchmarks/results]

Makes pages of A4 at 300 dpi from a seed, one question each, as PNG, JPEG and PDF in turn, and web
pages besides if wanted. Asks them all: one after another with ``tilewise.ask``; as a folder, the
next pages loaded while the model works; the same several pages at a time; and again from the
cache. Busy is the share of wall time, from the first page asked for to the last line on the disk,
in which a question was being answered. Prints a table and writes it, with machine, to a dated file.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from PIL import Image

import tilewise
from benchmarks.machine import processor
from tilewise.folder.answers import AnswersFile, Line
from tilewise.folder.run import ask_files
from tilewise.folder.walk import find_files
from tilewise.folder.work import Asking, FolderWork
from tilewise.models.reader import Reader
from tilewise.models.vision_cache import CacheConfig, entries
from tilewise.synth.pages import make_page

QUESTION = "What is the title?"
A4_300_DPI = (2480, 3508)
KINDS = ("png", "jpg", "pdf")
COLUMNS = ("way", "wall, s", "model, s", "busy", "loading, s", "files/s", "a page, s")


@dataclass(frozen=True)
class Run:
    """Seconds of one way through all files; ``loading_s`` is None where it was not apart."""

    way: str
    wall_s: float
    model_s: float
    loading_s: float | None
    answers: list[str]


def main() -> None:
    """Make the pages, time every way, print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--web", type=int, default=0, help="of these, web pages")
    parser.add_argument("--batch", type=int, nargs="*", default=[8])
    parser.add_argument("--model", default="tilewise-nano")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    machine = processor()
    folder = Path(tempfile.mkdtemp(prefix="tilewise-folder-"))
    try:
        _make(folder / "pages", args.files, args.web)
        runs, kept_bytes = _all_ways(folder, Asking(model=args.model), args.batch)
    finally:
        shutil.rmtree(folder)
    text = _report(args, runs, machine, kept_bytes)
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{date.today().isoformat()}-folder.md").write_text(text)


def _make(pages: Path, files: int, web: int) -> None:
    pages.mkdir()
    for number in range(files):
        name = pages / f"{number:03}"
        if number < web:
            body = "".join(
                f"<p>Order {n}: {7919 * (n + number + 3) % 99991}</p>" for n in range(40)
            )
            name.with_suffix(".html").write_text(f"<h1>Orders of day {number}</h1>{body}")
            continue
        made = make_page(Random(number), "test", size=A4_300_DPI)
        picture = Image.fromarray(made.sheet.render())
        picture.save(name.with_suffix(f".{KINDS[number % len(KINDS)]}"), resolution=300)


def _all_ways(folder: Path, asking: Asking, batches: Sequence[int]) -> tuple[list[Run], int]:
    """Every way, after a few pages that nobody times."""
    pages, cache = folder / "pages", CacheConfig(folder=folder / "cache")
    reader = tilewise.load(asking.model)
    _one_by_one(reader, find_files([str(pages)]).names[:2])
    names = find_files([str(pages)]).names
    runs = [_one_by_one(reader, names), _run("folder, next pages loaded ahead", folder, asking)]
    for batch in batches:
        way = f"folder, {batch} pages answered together"
        runs.append(_run(way, folder, replace(asking, batch=batch)))
    kept = replace(asking, cache=cache)
    runs.append(_run("folder, pages put into the cache", folder, kept))
    runs.append(_run("folder, pages taken from the cache", folder, kept))
    return runs, sum(size for _, _, size in entries(cache.place))


def _one_by_one(reader: Reader, names: Sequence[str]) -> Run:
    began = perf_counter()
    answers = ["".join(tilewise.ask(name, QUESTION, model=reader)) for name in names]
    wall_s = perf_counter() - began
    return Run("one after another, tilewise.ask", wall_s, float("nan"), None, answers)


def _run(way: str, folder: Path, asking: Asking) -> Run:
    """A whole run of its own, the model loaded anew before the clock starts."""
    out = folder / "answers.jsonl"
    answers = AnswersFile(out, restart=True)
    names = find_files([str(folder / "pages")]).names
    work = FolderWork(asking, tilewise.load(asking.model, cache=asking.cache))

    def runner(start: object, items: Any, on_lost: object) -> Iterator[Any]:
        return work(items)

    began = perf_counter()
    summary = ask_files(names, [QUESTION], asking, answers, runner=runner)
    wall_s = perf_counter() - began
    answers.close()
    assert not summary.failed, f"no answer about {summary.failed}"
    lines: list[Line] = [json.loads(text) for text in out.read_text().splitlines()]
    model_s = _model_s(lines, asking.batch)
    loading_s = sum(line["seconds"]["load"] for line in lines)
    return Run(way, wall_s, model_s, loading_s, [line["answer"] for line in lines])


def _model_s(lines: Sequence[Line], batch: int) -> float:
    """Seconds in which the model worked; pages answered together share the longest of theirs."""
    totals = [float(line["seconds"]["total"]) for line in lines]
    return sum(max(totals[i : i + batch]) for i in range(0, len(totals), batch))


def _report(args: argparse.Namespace, runs: Sequence[Run], machine: str, kept_bytes: int) -> str:
    rows = "\n".join(
        "| " + " | ".join(row) + " |" for row in (COLUMNS, ["---"] * 7, *map(_row, runs))
    )
    same = all(run.answers == runs[0].answers for run in runs)
    setting = (
        f"{args.model}, {args.files} pages of {A4_300_DPI[0]} x {A4_300_DPI[1]} px as "
        f"{', '.join(KINDS)}, {args.web} of them web pages instead; 1 question each. {machine} at "
        f"the start; Python {platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads. Each way once; loading the model is not counted. "
        "Model: seconds in which a question was being answered, vision included. Loading: seconds "
        "of rendering, decoding and cutting, in threads beside it."
    )
    end = (
        f"Answers of all ways are the same: {'yes' if same else 'no'}. The cache holds "
        f"{kept_bytes / args.files / 2**20:.1f} MiB a page."
    )
    return f"# A folder of {args.files} pages\n\n{setting}\n\n{rows}\n\n{end}\n"


def _row(run: Run) -> list[str]:
    count = len(run.answers)
    is_apart = run.loading_s is not None
    return [
        run.way,
        f"{run.wall_s:.1f}",
        f"{run.model_s:.1f}" if is_apart else "",
        f"{100 * run.model_s / run.wall_s:.0f} %" if is_apart else "",
        f"{run.loading_s:.1f}" if is_apart else "",
        f"{count / run.wall_s:.2f}",
        f"{run.wall_s / count:.3f}",
    ]


if __name__ == "__main__":
    main()
