"""Part ``reading``: what enlarging and sharpening are worth to a reader, in characters.

Every picture that a reader was shown is kept with what it said, by the hash of its pixels, so that
a run that was stopped goes on where it was, and equal pictures are read once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.default_reader_parts.scores import ROUNDS, edits, normal
from benchmarks.superres_parts.prints import Wear, make_print
from tilewise.models.folders import DEFAULT
from tilewise.models.load import load
from tilewise.models.reader import Reader
from tilewise.pipeline import ask
from tilewise.records import Page, Pixels
from tilewise.superres.deblur import deblurred
from tilewise.superres.enlarge import enlarged_page, enlarger
from tilewise.superres.measure import measure
from tilewise.superres.prepare import prepared

QUESTION: Final = "Read all the text."

CELLS: Final = (
    Wear(x_height=4), Wear(x_height=5), Wear(x_height=6), Wear(x_height=8), Wear(x_height=10),
    Wear(x_height=14), Wear(x_height=5, noise=6), Wear(x_height=6, blur=0.5, noise=6, jpeg=50),
    Wear(x_height=5, blur=1.0), Wear(x_height=8, blur=1.0), Wear(x_height=8, blur=1.5, noise=3),
    Wear(x_height=10, blur=2.0, noise=3), Wear(x_height=14, blur=3.0, noise=3),
    Wear(x_height=10, blur=2.0, noise=6, jpeg=50),
)  # fmt: skip
"""What pages are like; print of the goldens is worn in the same ways."""

SMALL: Final = (4, 5, 6)
"""x-heights of the claim that the error is halved, for sharp print."""


class Shot(NamedTuple):
    """One page as one arm shows it to one reader, and how many characters were wrong."""

    cell: str
    page: str
    arm: str
    reader: str
    wrong: int
    length: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Item:
    """A page with what stands on it."""

    cell: str
    name: str
    pixels: Pixels
    text: str


class Said:
    """What readers said to pictures, in a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.is_file() else []
        self.known = {one["key"]: str(one["said"]) for one in map(json.loads, lines)}

    def __call__(self, reader: str, pixels: Pixels, read: Callable[[Pixels], str]) -> str:
        """What was said, asked for if it is not known."""
        data = f"{reader} {pixels.shape} ".encode() + np.ascontiguousarray(pixels).tobytes()
        key = hashlib.sha256(data).hexdigest()[:24]
        if key not in self.known:
            self.known[key] = read(pixels)
            with self.path.open("a") as file:
                file.write(json.dumps({"key": key, "said": self.known[key]}) + "\n")
        return self.known[key]


def items(golden: Path | None, seed: int, pages: int) -> Iterator[Item]:
    """The goldens' pages, then made ones: the first of all cells, then the second of all."""
    if golden is not None and (golden / "truth.json").is_file():
        for told in json.loads((golden / "truth.json").read_text()):
            if not (golden / told["file"]).is_file():
                continue  # the project keeps some of them only
            with Image.open(golden / told["file"]) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            cell = f"golden {told['file'].split('_', 1)[1].removesuffix('.png')}"
            yield Item(cell=cell, name=told["file"], pixels=pixels, text=told["text"])
    for number in range(pages):
        for wear in CELLS:
            made = make_print(wear, 1000 * seed + number)
            name = f"{wear.name()} {number}"
            yield Item(cell=wear.name(), name=name, pixels=made.pixels, text=made.text)


def readers() -> dict[str, Callable[[Pixels], str]]:
    """The default reader, and Tesseract where it is installed."""
    own = load(DEFAULT)
    found: dict[str, Callable[[Pixels], str]] = {
        "default": lambda pixels: "".join(ask(pixels, QUESTION, model=own, straighten=False))
    }
    if shutil.which("tesseract"):
        found["Tesseract"] = _tesseract
    return found


def arms(names: Sequence[str], reader: Reader) -> dict[str, Callable[[Pixels], tuple[Pixels, str]]]:
    """What is done to a page before it is read, by name: off, auto, bicubic 2, ours 2, deblur .01.

    ``auto`` decides as for the default reader with its own tile budget, whoever reads then.
    """
    return {name: _arm(name, reader) for name in names}


def _arm(name: str, reader: Reader) -> Callable[[Pixels], tuple[Pixels, str]]:
    method, _, number = name.partition(" ")

    def auto(pixels: Pixels) -> tuple[Pixels, str]:
        tiles = reader.default_tiles
        page = Page(pixels=pixels, name="page")
        made = prepared(page, "auto", lambda w, h: reader.fit(w, h, tiles).width)
        return made.page.pixels, f"{made.decision.method} x{made.decision.factor:g}"

    def sharpen(pixels: Pixels) -> tuple[Pixels, str]:
        return deblurred(pixels, measure(pixels).blur or 0.1, float(number)), name

    def enlarge(pixels: Pixels) -> tuple[Pixels, str]:
        by = enlarger(method, max(1, round(float(number))))
        return enlarged_page(Page(pixels=pixels, name="page"), float(number), by).pixels, name

    known = {"off": lambda pixels: (pixels, "none"), "auto": auto, "deblur": sharpen}
    return known.get(method, enlarge)


def _tesseract(pixels: Pixels) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.png"
        Image.fromarray(pixels).save(path)
        made = subprocess.run(
            ["tesseract", str(path), "-", "--psm", "6"],
            capture_output=True, text=True, check=True,
            env=os.environ | {"OMP_THREAD_LIMIT": "1"},
        )  # fmt: skip
        return made.stdout


def shoot(
    found: Iterator[Item],
    names: Sequence[str],
    wanted: Sequence[str],
    kept: Path,
    progress: Callable[[str], None],
) -> list[Shot]:
    """Show every page by every arm to every reader."""
    said, shots = Said(kept), []
    reading = {name: read for name, read in readers().items() if name in wanted}
    makers = arms(names, load(DEFAULT))
    for item in found:
        truth = normal(item.text)
        for arm, make in makers.items():
            pixels, what = make(item.pixels)
            for reader, read in reading.items():
                wrong = edits(normal(said(reader, pixels, read)), truth)
                shots.append(Shot(item.cell, item.name, arm, reader, wrong, len(truth), what))
        progress(item.name)
    return shots


def table(shots: Sequence[Shot], names: Sequence[str], reader: str) -> list[str]:
    """Rows of Markdown: a cell, its pages, errors in % by arm, auto less off with its interval."""
    mine = [shot for shot in shots if shot.reader == reader]
    lines = [f"| print | pages | {' | '.join(names)} | auto did | auto − off (95 %) |"]
    lines.append("|" + " --- |" * (len(names) + 4))
    for cell in dict.fromkeys(shot.cell for shot in mine):
        of = [shot for shot in mine if shot.cell == cell]
        lines.append(_row(cell, of, names))
    for title, chosen in _groups(mine):
        if chosen:
            lines.append(_row(f"**{title}**", chosen, names, is_group=True))
    return lines


def _groups(mine: Sequence[Shot]) -> list[tuple[str, list[Shot]]]:
    sharp = {Wear(x_height=height).name() for height in SMALL}
    return [
        ("sharp, x-height 4 to 6, made", [s for s in mine if s.cell in sharp]),
        ("goldens", [s for s in mine if s.cell.startswith("golden")]),
        ("all", list(mine)),
    ]


def _row(cell: str, of: Sequence[Shot], names: Sequence[str], *, is_group: bool = False) -> str:
    by = {name: [shot for shot in of if shot.arm == name] for name in names}
    rates = [f"{100 * _rate(by[name]):.1f}" for name in names]
    did = "" if is_group else ", ".join(sorted({shot.what for shot in by.get("auto", [])}))
    pages = len(by[names[0]])
    return f"| {cell} | {pages} | {' | '.join(rates)} | {did} | {_difference(by)} |"


def _rate(shots: Sequence[Shot]) -> float:
    return sum(s.wrong for s in shots) / max(1, sum(s.length for s in shots))


def _difference(by: dict[str, list[Shot]], seed: int = 0) -> str:
    """Error of auto less that of off in points, and the interval of drawing pages again."""
    auto, off = by.get("auto", []), by.get("off", [])
    if not auto or not off:
        return ""
    apart = np.array([a.wrong - o.wrong for a, o in zip(auto, off, strict=True)], float)
    length = np.array([a.length for a in auto], float)
    drawn = np.random.default_rng(seed).integers(0, len(apart), (ROUNDS, len(apart)))
    sums = 100 * apart[drawn].sum(1) / length[drawn].sum(1)
    low, high = np.percentile(sums, (2.5, 97.5))
    return f"{100 * apart.sum() / length.sum():+.1f} ({low:+.1f} to {high:+.1f})"
