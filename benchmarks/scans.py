"""How well are scans put straight, and are straight pages left alone?

    python benchmarks/scans.py [--pages 120] [--real 60] [--out benchmarks/results]

Pages come from the test split of the synthetic pages (half in fonts that the letters' network was
not trained on) with noise and JPEG as of a scanner, and from real pages where they are. Each is
asked about as it is, turned by a random angle, and laid down in a random quarter turn.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from benchmarks.machine import processor
from tilewise.records import Pixels
from tilewise.sources.scan import straighten
from tilewise.synth.degrade import Damage, damage_pixels
from tilewise.synth.pages import make_page
from tilewise.synth.real import default_folder, read_real_pages

WITHIN_DEG = 0.2


@dataclass(slots=True)
class Tally:
    """What happened to the pages of one kind."""

    pages: int = 0
    false_alarms: list[str] = field(default_factory=list)
    errors_deg: list[float] = field(default_factory=list)
    left_skewed: int = 0
    turned_right: int = 0
    turned_wrong: int = 0
    quarters: int = 0


def main() -> None:
    """Measure both kinds of pages, print tables and write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=120)
    parser.add_argument("--real", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    rng = Random(args.seed)
    machine = processor()
    kinds = {
        "synthetic": _tally(_synthetic(args.pages, rng), rng),
        "real": _tally(_real(args.real), rng),
    }
    lines = [
        "| pages | straight | changed | skewed | found | within 0.2° | largest error, of found |"
    ]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    lines += [_skew_row(name, tally) for name, tally in kinds.items() if tally.pages]
    lines += ["", "| pages | on a side or upside down | put upright | left | turned wrong |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    lines += [_turn_row(name, tally) for name, tally in kinds.items() if tally.pages]
    lines += [
        "",
        *(
            f"Changed though straight: {', '.join(t.false_alarms)}."
            for t in kinds.values()
            if t.false_alarms
        ),
    ]
    text = (
        f"# Scans put straight\n\n{machine} at the start; Python {platform.python_version()}, "
        f"NumPy {np.__version__}, one thread. Seed {args.seed}. Angles are drawn evenly from -15° "
        "to 15°; quarter turns from 90°, 180° and 270°.\n\n"
        + "\n".join(lines)
        + f"\n\n{_times(rng)}\n"
    )
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{date.today().isoformat()}-scans.md").write_text(text)


def _synthetic(count: int, rng: Random) -> Iterator[tuple[str, Pixels]]:
    for index in range(count):
        size = rng.choice([(1240, 1754), (1654, 2339), (1754, 1240), (1280, 1024)])
        made = make_page(rng, "test", size=size, unseen_font=index % 2 == 1)
        how = Damage(
            scale=1.0, turn=0.0, blur=rng.uniform(0, 0.7), noise=rng.uniform(0, 10),
            jpeg=rng.randint(50, 90), is_inverted=False, seed=rng.randrange(2**31),
        )  # fmt: skip
        yield f"{made.layout} {index}", damage_pixels(made.sheet.render(), how)


def _real(count: int) -> Iterator[tuple[str, Pixels]]:
    folder = default_folder()
    if not folder.is_dir():
        return
    for index, page in enumerate(read_real_pages(folder, "heldout")):
        if index == count:
            return
        yield f"real {index}", np.asarray(Image.fromarray(page.pixels).convert("RGB"))


def _tally(pages: Iterator[tuple[str, Pixels]], rng: Random) -> Tally:
    tally = Tally()
    for name, pixels in pages:
        tally.pages += 1
        found = straighten(pixels)
        if found.pixels is not pixels:
            tally.false_alarms.append(f"{name} by {found.turned_deg:.2f}°")
        angle = rng.uniform(-15, 15)
        skew = _skew_of(straighten(_turned(pixels, angle)).turned_deg)
        if skew == 0.0:
            tally.left_skewed += 1
        else:
            tally.errors_deg.append(abs(skew - angle))
        quarters = rng.randint(1, 3)
        turned = straighten(np.ascontiguousarray(np.rot90(pixels, -quarters))).turned_deg
        tally.quarters += 1
        done = round(turned / 90) % 4
        tally.turned_right += done == quarters
        tally.turned_wrong += done not in (0, quarters)
    return tally


def _skew_of(turned_deg: float) -> float:
    """What is left of a turn when whole quarters are taken away."""
    return turned_deg - 90 * round(turned_deg / 90)


def _turned(pixels: Pixels, clockwise_deg: float) -> Pixels:
    paper = tuple(int(value) for value in np.median(pixels[:8].reshape(-1, 3), axis=0))
    image = Image.fromarray(pixels)
    return np.array(
        image.rotate(-clockwise_deg, Image.Resampling.BICUBIC, expand=True, fillcolor=paper)
    )


def _skew_row(name: str, tally: Tally) -> str:
    good = sum(error <= WITHIN_DEG for error in tally.errors_deg)
    worst = f"{max(tally.errors_deg):.2f}°" if tally.errors_deg else "-"
    return (
        f"| {name} | {tally.pages} | {len(tally.false_alarms)} | {tally.pages} | "
        f"{len(tally.errors_deg)} | {good} | {worst} |"
    )


def _turn_row(name: str, tally: Tally) -> str:
    left = tally.quarters - tally.turned_right - tally.turned_wrong
    return f"| {name} | {tally.quarters} | {tally.turned_right} | {left} | {tally.turned_wrong} |"


def _times(rng: Random) -> str:
    """Seconds for pages of 3840 x 2160 px: straight, and to be turned."""
    straight: list[float] = []
    skewed: list[float] = []
    for _ in range(5):
        pixels = make_page(rng, "test", size=(3840, 2160)).sheet.render()
        for times, page in ((straight, pixels), (skewed, _turned(pixels, 3.0))):
            began = time.perf_counter()
            straighten(page)
            times.append(time.perf_counter() - began)
    return (
        "Seconds for a page of 3840 x 2160 px, median of 5 [fastest to slowest]: straight "
        f"{_spread(straight)}, turned by 3° {_spread(skewed)}."
    )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f} to {max(values):.2f}]"


if __name__ == "__main__":
    main()
