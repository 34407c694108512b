"""Build real pages for the default reader from documentation packages of Debian.

    nice -n 10 python scripts/build_real_pages.py --minutes 15

Documents are HTML, printed to PDF by Chromium on papers of many sizes, and PDF. Each page kept
becomes grey pixels and the glyphs of its text layer (see ``tilewise.synth.real``). Documents are
split by the hash of their name; training pages that repeat held-out text are dropped. A finished
shard is never made again, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import pypdfium2
from numpy.typing import NDArray

from chromium_pdf import Browser, BrowserError, PrintSettings
from debian_documents import HELDOUT_PERCENT, PACKAGES, PART, Document, Package, documents
from tilewise.records import Pixels
from tilewise.synth.real import (
    SPLITS,
    RealPage,
    RealSplit,
    default_folder,
    read_meta,
    read_shard,
    write_real_pages,
)
from tilewise.synth.sheet import Glyphs
from tilewise.synth.text_layer import Layer, flaw, flaw_in_picture, picture, read_layer

TILE: Final = 336
MAX_TILES: Final = 25
CHUNK: Final = 16  # documents a shard
REPEATED: Final = 0.2  # share of a training page's word fives that held-out pages may have

PAPERS: Final = (
    (8.27, 11.69), (8.5, 11.0), (5.83, 8.27), (4.13, 5.83), (11.69, 8.27), (8.27, 5.83),
    (3.0, 5.3), (10.0, 5.63), (13.33, 7.5), (6.0, 4.0), (5.0, 5.0), (12.0, 16.0),
    (3.4, 3.4), (3.5, 2.2), (2.6, 2.6),
)  # fmt: skip
"""Width and height in inches: A4 to A6, letter, telephone, slide, poster, cards."""

PLAIN_FONTS: Final = (
    "DejaVu Sans|DejaVu Serif|Liberation Sans|Liberation Serif|Liberation Sans Narrow|FreeSans|"
    "FreeSerif|Noto Sans|Roboto|Open Sans|Lato|Carlito|Caladea|Linux Libertine O|"
    "Linux Biolinum O|Cantarell|EB Garamond|Comfortaa"
).split("|")
MONO_FONTS: Final = "DejaVu Sans Mono|Liberation Mono|FreeMono|Noto Sans Mono|Hack|Fira Code".split(
    "|"
)


@dataclass(slots=True)
class Build:
    """What a run has done so far."""

    out: Path
    minutes: float
    seed: int
    started: float = field(default_factory=time.process_time)
    kept: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    heldout: set[int] = field(default_factory=set)
    made: int = 0  # pages of this run, not those found from an earlier one

    def quota(self, package: Package, split: RealSplit) -> int:
        """Pages wanted of a package in a split."""
        share = HELDOUT_PERCENT / 100
        return round(package.pages * (share if split == "heldout" else 1.0))

    def wants(self, package: Package, split: RealSplit) -> bool:
        """Whether a package's quota is still open."""
        return self.kept[split, package.name] < self.quota(package, split)

    def seconds(self) -> float:
        """CPU seconds of this process and of the browsers that have ended."""
        child = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() - self.started + child.ru_utime + child.ru_stime


def chunks(split: RealSplit) -> list[list[Document]]:
    """The documents of a split, packages in turn, cut into shards."""
    queues = [[d for d in documents(p) if d.split == split] for p in PACKAGES]
    ranked = sorted(
        ((k / max(len(q), 1), i, d) for i, q in enumerate(queues) for k, d in enumerate(q)),
        key=lambda row: row[:2],
    )
    order = [d for _, _, d in ranked]
    return [order[i : i + CHUNK] for i in range(0, len(order), CHUNK)]


def main() -> None:
    """Read the options and build."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=default_folder(), help="folder of the shards")
    parser.add_argument("--minutes", type=float, default=15, help="limit in CPU minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    build = Build(out=options.out, minutes=options.minutes, seed=options.seed)
    for split in ("heldout", "train"):
        run_split(build, split, options.chromium)
    write_summary(build)


def run_split(build: Build, split: RealSplit, chromium: str) -> None:
    """Make every missing shard of a split, until the time or all quotas are used up."""
    plan = chunks(split)
    for number, chunk in enumerate(plan):
        path = build.out / f"{split}-{number:04}.npz"
        if not path.exists():
            wanted = [d for d in chunk if build.wants(d.package, split)]
            if build.seconds() > 60 * build.minutes or not any(
                build.wants(p, split) for p in PACKAGES
            ):
                break
            make_shard(build, split, wanted, path, chromium)
            report(build, split, number + 1, len(plan))
        else:
            build.kept.update((split, str(meta["package"])) for meta in read_meta(path))
        if split == "heldout":
            for page in read_shard(path):
                build.heldout |= fives(page.chars)


def make_shard(
    build: Build, split: RealSplit, wanted: list[Document], path: Path, chromium: str
) -> None:
    """Turn some documents into one shard; a browser lives no longer than the shard's making."""
    pages: list[RealPage] = []
    browser: Browser | None = None
    try:
        for document in wanted:
            room = build.quota(document.package, split) - build.kept[split, document.package.name]
            if room <= 0:
                continue
            if browser is None and document.kind == "html":
                browser = Browser(chromium)
            try:
                found = list(document_pages(build, document, browser))[:room]
            except (BrowserError, pypdfium2.PdfiumError) as err:
                build.dropped[f"document fails: {err}"] += 1
                if browser is not None and isinstance(err, BrowserError):
                    browser.close()
                    browser = None
                continue
            build.kept[split, document.package.name] += len(found)
            build.made += len(found)
            pages += found
    finally:
        if browser is not None:
            browser.close()
    write_real_pages(path, pages)


def document_pages(build: Build, document: Document, browser: Browser | None) -> Iterator[RealPage]:
    """The pages of a document that are fit to be kept; HTML needs the browser."""
    rng = Random(document.digest ^ build.seed)
    source: Any = document.path
    if browser is not None and document.kind == "html":
        source = browser.pdf(document.path.as_uri(), print_settings(rng, document.split))
    with pypdfium2.PdfDocument(source) as pdf:
        pages = range(len(pdf))[document.part * PART :]
        pages = pages[:PART] if document.kind == "pdf" else pages
        numbers = set(rng.sample(pages, min(document.pages, len(pages))))
        if document.kind == "html" and rng.random() < 0.7:
            numbers.add(0)  # where the title stands
        for number in sorted(numbers):
            page = make_page(build, document, pdf[number], number + 1, rng)
            if page is not None:
                yield page


def print_settings(rng: Random, split: RealSplit) -> PrintSettings:
    """A paper, margin and zoom; half the training documents in another font than their own."""
    width, height = rng.choice(PAPERS)
    plain, mono, lead = rng.choice(PLAIN_FONTS), rng.choice(MONO_FONTS), rng.uniform(1.15, 1.6)
    css = (
        f'*:not(pre):not(code):not(tt) {{ font-family: "{plain}" !important; }} '
        f'pre, code, tt, pre *, code * {{ font-family: "{mono}" !important; }} '
        f"body {{ line-height: {lead:.2f}; }}"
    )
    return PrintSettings(
        width=width,
        height=height,
        margin=rng.uniform(0.1, 0.6) * min(width, height) / 8,
        scale=rng.choice((0.7, 0.85, 1.0, 1.0, 1.0, 1.2)),
        media=rng.choice(("print", "screen")),
        css=css if split == "train" and rng.random() < 0.5 else "",
    )


def make_page(
    build: Build, document: Document, pdf_page: Any, number: int, rng: Random
) -> RealPage | None:
    """Read, scale, cut and check one page; None, and a reason counted, if it is not fit."""
    layer = read_layer(pdf_page)
    reason = flaw(layer)
    if reason is None:
        scale, band = framing(layer, rng)
        pixels, glyphs, figures = picture(pdf_page, layer, scale, band)
        reason = flaw_in_picture(pixels, glyphs) or misfit(pixels, figures)
        reason = reason or repeats(build, document, glyphs)
    if reason is not None:
        build.dropped[reason] += 1
        return None
    return RealPage(
        pixels=pixels,
        chars=glyphs,
        figures=figures,
        name=str(document.path),
        split=document.split,
        package=document.package.name,
        version=document.version,
        licence=document.package.licence,
        number=number,
        kind=document.kind,
    )


def framing(layer: Layer, rng: Random) -> tuple[float, tuple[float, float]]:
    """Pixels per point, and the band from top to bottom in points that is kept.

    Text becomes 12 to 40 px to the em; where the page has more tiles then than are allowed, or now
    and then for variety, only a band of it is kept, cut where no line stands.
    """
    em = float(np.median(layer.em))
    scale = 12.0 * (40.0 / 12.0) ** rng.random() / em
    scale = max(scale, 9.0 / max(float(np.percentile(layer.em, 3)), 1e-3))
    scale = min(scale, 10 * TILE / layer.width)
    cols = -(-layer.width * scale // TILE)
    room = max(1, MAX_TILES // cols) * TILE / scale
    gaps = np.array(blank_rows(layer))
    height = min(room - 1, layer.height)
    if rng.random() < 0.35:
        height = min(height, max(layer.height * rng.uniform(0.15, 0.9), 12 * em))
    if height >= layer.height:
        return scale, (0.0, layer.height)
    highest = gaps[gaps <= layer.height - 0.6 * height]
    top = 0.0 if rng.random() < 0.4 or not len(highest) else float(rng.choice(highest.tolist()))
    below = gaps[(gaps > top + 2 * em) & (gaps <= top + height)]
    return scale, (top, float(below[-1]) if len(below) else min(top + height, layer.height))


def blank_rows(layer: Layer) -> list[float]:
    """Heights in points, 2 apart, at which neither a line of text nor a figure stands."""
    rows = np.arange(0, layer.height, 2.0)
    low, high = layer.base - 0.95 * layer.em, layer.base + 0.3 * layer.em
    spans = np.concatenate([np.stack([low, high], 1), layer.figures[:, [1, 3]]])
    starts, ends = np.sort(spans[:, 0]), np.sort(spans[:, 1])
    is_blank = np.searchsorted(starts, rows, "right") == np.searchsorted(ends, rows, "left")
    return [0.0, *rows[is_blank].tolist()]


def misfit(pixels: Pixels, figures: NDArray[np.float32]) -> str | None:
    """A reason if the picture has too many tiles, or figures cover much of it."""
    height, width = pixels.shape
    if -(-width // TILE) * -(-height // TILE) > MAX_TILES:
        return "too many tiles"
    sides = figures[:, 2:] - figures[:, :2]
    return "mostly figures" if sides.prod(1).sum() > 0.3 * pixels.size else None


def repeats(build: Build, document: Document, glyphs: Glyphs) -> str | None:
    """A reason if a training page says what held-out pages say."""
    own = fives(glyphs)
    is_repeat = len(own & build.heldout) > REPEATED * max(len(own), 1)
    return "repeats held-out text" if document.split == "train" and is_repeat else None


def fives(glyphs: Glyphs) -> set[int]:
    """Hashes of all runs of five words."""
    words = glyphs.text().casefold().split()
    return {
        int.from_bytes(hashlib.blake2b(" ".join(words[i : i + 5]).encode(), digest_size=8).digest())
        for i in range(len(words) - 4)
    }


def report(build: Build, split: RealSplit, done: int, total: int) -> None:
    """One line: shard, pages, and the most time that is left."""
    count = sum(n for (s, _), n in build.kept.items() if s == split)
    goal = sum(build.quota(p, split) for p in PACKAGES)
    spent = build.seconds()
    want = sum(build.quota(p, s) for p in PACKAGES for s in SPLITS) - sum(build.kept.values())
    left = min(60 * build.minutes - spent, spent * want / max(build.made, 1))
    print(
        f"{split} shard {done}/{total}: {count}/{goal} pages, "
        f"{spent:.0f} s CPU, about {max(left, 0):.0f} s left",
        flush=True,
    )


def write_summary(build: Build) -> None:
    """Say what there is, on the screen and in ``summary.json``."""
    summary = {
        "pages": {f"{s}/{p}": n for (s, p), n in sorted(build.kept.items())},
        "totals": {s: sum(n for (t, _), n in build.kept.items() if t == s) for s in SPLITS},
        "licences": {p.name: p.licence for p in PACKAGES},
        "dropped_this_run": dict(build.dropped.most_common()),
        "cpu_s_this_run": round(build.seconds()),
    }
    (build.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1), file=sys.stdout)


if __name__ == "__main__":
    main()
