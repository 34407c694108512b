"""PROVENANCE.md of the default reader: where its weights come from, with learning curves."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

from tilewise.synth.real import read_meta

LINE = re.compile(
    r"^(?P<stage>\w+)\s+(?P<used>[\d.]+) of (?P<budget>\d+) CPU-min, .*?: (?P<text>.*)$"
)
ROWS = 12
STAGES = ("encoder", "proof", "decoder", "joint")

HEAD = """# Where these weights come from

`tilewise-nano` is trained from random numbers; no pretrained weights, no scraped data.

| what | |
| --- | --- |
| made by | `scripts/build_default_model.py`, stages encoder, proof, decoder, joint, export |
| seed | {seed} |
| commit | {commit} |
| CPU-minutes | {minutes} |
| machine | two cores with AVX-512, float32 |

## Data

Synthetic pages from `tilewise.synth`, seeded, made while training; set in free fonts of Debian
(DejaVu, Liberation, GNU FreeFont, Noto Sans, Roboto, Open Sans, Lato, Carlito, Caladea, Hack, Fira
Code, Linux Libertine and Biolinum, Cantarell, EB Garamond, Comfortaa). Noto Serif is never used, so
that evaluation has an unseen font.

Real pages: documentation that Debian ships, rendered by `scripts/build_real_pages.py`, characters
from the text layer; only the training split of the documents.

| package | version | licence | training pages |
| --- | --- | --- | --- |
{packages}

## Curves

Shares of held-out characters (encoder), mistakes by characters before and after proofreading
(proof), shares of questions (decoder, joint), teacher-forced.

"""


def provenance(work: Path, seed: int, real: Path | None) -> str:
    """The whole page as Markdown."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    logs = {stage: _log(work / f"{stage}.log") for stage in STAGES}
    minutes = ", ".join(f"{stage} {rows[-1][0]:.0f}" for stage, rows in logs.items() if rows)
    head = HEAD.format(
        seed=seed, commit=commit or "unknown", minutes=minutes, packages=_packages(real)
    )
    return head + "\n".join(_curve(stage, rows) for stage, rows in logs.items() if rows)


def _packages(real: Path | None) -> str:
    if real is None:
        return "| none | | | |"
    count: Counter[tuple[str, str, str]] = Counter()
    for shard in sorted(real.glob("train-*.npz")):
        for meta in read_meta(shard):
            count[(str(meta["package"]), str(meta["version"]), str(meta["licence"]))] += 1
    return "\n".join(f"| {p} | {v} | {lic} | {n} |" for (p, v, lic), n in sorted(count.items()))


def _log(path: Path) -> list[tuple[float, str]]:
    """(CPU-minutes, text) of every line of progress.

    A run with another budget goes on from the weights of the one before, so its minutes are added;
    one with the same budget was resumed, and its repeated minutes keep the last line.
    """
    if not path.exists():
        return []
    found: dict[float, str] = {}
    before, last, budget = 0.0, 0.0, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        hit = LINE.match(line)
        if hit is None:
            continue
        if budget and hit["budget"] != budget:
            before += last
        budget, last = hit["budget"], float(hit["used"])
        if not re.search(r" size \d+ first| first \d\.\d+;", hit["text"]):
            found[before + last] = hit["text"]
    return sorted(found.items())


def _curve(stage: str, rows: list[tuple[float, str]]) -> str:
    step = max(1, len(rows) // ROWS)
    kept = rows[::step]
    if kept[-1] != rows[-1]:
        kept.append(rows[-1])
    lines = [f"### {stage}", "", "| CPU-min | |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {used:.0f} | {text} |" for used, text in kept), ""])
