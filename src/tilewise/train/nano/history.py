"""Where weights of the default reader come from: all stages that they went through.

Beside the weights lie ``history.json``, a list of runs of stages in their order, and
``PROVENANCE.md``, which says the same to people.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tilewise.errors import WeightsError
from tilewise.synth.real import read_meta, shards_of
from tilewise.train.nano.config import Stage
from tilewise.train.report import HELD, NUMBERS, said

HISTORY: Final = "history.json"
PROVENANCE: Final = "PROVENANCE.md"

ROWS: Final = 12
"""About as many points of a curve are told."""

HEAD: Final = """# Where these weights come from

`tilewise-nano` is trained from random numbers; no pretrained weights, no scraped data.

| what | |
| --- | --- |
| made by | {makers} |
| seed | {seeds} |
| commit | {commits} |
| minutes of processor time | {minutes} |
| machine | {machines}, float32 |

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Real pages of one package that a stage learned from."""

    package: str
    version: str
    licence: str
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One run of one stage.

    ``made_by``: the command. ``is_fresh``: it began with random weights of the part that learned.
    ``minutes`` of processor time. ``curve``: (minutes, what held-out pages said).
    """

    stage: Stage
    made_by: str
    is_fresh: bool
    minutes: float
    seed: int
    commit: str
    machine: str
    sources: tuple[Source, ...]
    curve: tuple[tuple[float, str], ...]


def read_history(folder: Path) -> tuple[Stretch, ...]:
    """What lies beside weights; none where there is no such file.

    Raises:
        WeightsError: the file is damaged.
    """
    path = folder / HISTORY
    if not path.exists():
        return ()
    try:
        return tuple(_stretch(item) for item in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as err:
        raise WeightsError(
            f"{path}: is no history of training ({err}); remove it to go on without."
        ) from err


def write_history(folder: Path, history: Sequence[Stretch]) -> None:
    """Write both files."""
    text = json.dumps([asdict(one) for one in history], indent=1, ensure_ascii=False)
    (folder / HISTORY).write_text(text + "\n", encoding="utf-8")
    (folder / PROVENANCE).write_text(provenance(history), encoding="utf-8")


def sources(real: Path) -> tuple[Source, ...]:
    """Packages of the real pages that are learned from; raises SourceError as ``shards_of``."""
    count: Counter[tuple[str, str, str]] = Counter()
    for shard in shards_of(real, "train"):
        for meta in read_meta(shard):
            count[str(meta["package"]), str(meta["version"]), str(meta["licence"])] += 1
    return tuple(
        Source(package=package, version=version, licence=licence, pages=pages)
        for (package, version, licence), pages in sorted(count.items())
    )


def curve(log: Path) -> tuple[tuple[float, str], ...]:
    """What held-out pages said, from the log of a run."""
    if not (log / HELD).exists():
        return ()
    minutes = {step["step"]: step["used_s"] / 60 for step in _lines(log / NUMBERS)}
    rows = []
    for row in _lines(log / HELD):
        step = row.pop("step")
        rows.append((round(minutes[step], 1), f"step {step}, {said(row)}"))
    return tuple(rows)


def provenance(history: Sequence[Stretch]) -> str:
    """The whole page as Markdown."""
    by_stage: dict[str, list[Stretch]] = {}
    for one in history:
        before = [] if one.is_fresh else by_stage.get(one.stage, [])
        by_stage[one.stage] = [*before, one]
    kept = [one for stretches in by_stage.values() for one in stretches]
    minutes = {stage: sum(one.minutes for one in some) for stage, some in by_stage.items()}
    head = HEAD.format(
        makers=_each(f"`{one.made_by}`" for one in kept),
        seeds=_each(str(one.seed) for one in kept),
        commits=_each(one.commit[:7] for one in kept),
        minutes=", ".join(f"{stage} {time:.0f}" for stage, time in minutes.items()),
        machines=_each(one.machine for one in kept),
        packages=_table(next((one.sources for one in reversed(kept) if one.sources), ())),
    )
    return head + "".join(f"\n{_curve(stage, some)}" for stage, some in by_stage.items())


def _table(found: Sequence[Source]) -> str:
    rows = (f"| {s.package} | {s.version} | {s.licence} | {s.pages} |" for s in found)
    return "\n".join(rows) or "| none | | | |"


def _each(values: Any) -> str:
    return ", ".join(dict.fromkeys(values)) or "unknown"


def _curve(stage: str, stretches: Sequence[Stretch]) -> str:
    """Points of all runs of a stage, those of the later ones behind those of the earlier ones."""
    rows, before = [], 0.0
    for one in stretches:
        rows += [(before + minutes, text) for minutes, text in one.curve]
        before += one.minutes
    kept = rows[:: max(1, len(rows) // ROWS)]
    if rows and kept[-1] != rows[-1]:
        kept.append(rows[-1])
    table = [f"| {minutes:.0f} | {text} |" for minutes, text in kept]
    return "\n".join([f"### {stage}", "", "| minutes | |", "| --- | --- |", *table, ""])


def _stretch(item: Mapping[str, Any]) -> Stretch:
    found = tuple(Source(**source) for source in item["sources"])
    points = tuple((float(minutes), str(text)) for minutes, text in item["curve"])
    return Stretch(**{**item, "sources": found, "curve": points})


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
