"""Tables as they come, a dated file that keeps them, and how far the work is."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

import torch

from benchmarks.default_reader_parts.asking import Outcome
from benchmarks.default_reader_parts.scores import Ratio, Share
from benchmarks.machine import processor
from tilewise.models.folders import find

TITLE = "# The default reader, measured"
EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a run is asked to do; the counts are of pages."""

    model: str
    seed: int
    pages: int
    read_all: int
    large: int
    huge: int
    questions: int
    real: int
    real_folder: Path
    runs: int


@dataclass(slots=True)
class Report:
    """Prints every table and writes the whole file after each part.

    Sections that an earlier run of the same day wrote stay, unless this run makes them again; each
    says for itself on what machine and weights it was made.
    """

    path: Path
    answers: Path | None = None
    sections: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.is_file():
            for part in self.path.read_text(encoding="utf-8").split("\n## ")[1:]:
                name, _, body = part.partition("\n")
                self.sections[name] = body.strip()

    def section(self, name: str, *blocks: str) -> None:
        """Add a part: lines of text and tables."""
        self.sections[name] = "\n\n".join(block for block in blocks if block)
        print(f"\n## {name}\n\n{self.sections[name]}\n", flush=True)
        whole = [TITLE, *(f"## {name}\n\n{body}" for name, body in self.sections.items())]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("\n\n".join(whole) + "\n", encoding="utf-8")

    def keep(self, part: str, outcomes: Iterable[Outcome]) -> None:
        """Append every answer to the file of answers, if one is wanted."""
        if self.answers is not None:
            with self.answers.open("a", encoding="utf-8") as file:
                for outcome in outcomes:
                    row = {"part": part, "is_right": outcome.is_right, **asdict(outcome)}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def report_path(folder: Path) -> Path:
    """Today's file."""
    return folder / f"{date.today().isoformat()}-default-reader.md"


def machine(model: str) -> str:
    """What ran: weights, machine, versions."""
    digest = hashlib.sha256()
    for file in sorted(find(model).glob("*.safetensors")):
        digest.update(file.read_bytes())
    return (
        f"{model}, weights {digest.hexdigest()[:12]}; {date.today().isoformat()}; "
        f"{processor()}; "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, {str(torch.get_default_dtype())[6:]}, batch 1."
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(part: Share) -> str:
    """A share and how many it is of, e.g. «87.5 % (40)»."""
    return f"{100 * part.value:.1f} % ({part.total})" if part.total else "–"


def interval(part: Ratio) -> str:
    """The 95 % interval of a share and its standard error, in percent."""
    if part.value != part.value:
        return "–"
    return f"{100 * part.low:.1f} to {100 * part.high:.1f}, se {100 * part.error:.1f}"


def percent_of(part: Ratio) -> str:
    """A ratio with its 95 % interval, in percent."""
    if part.value != part.value:
        return "–"
    return f"{100 * part.value:.2f} % [{100 * part.low:.2f} to {100 * part.high:.2f}]"


@dataclass(slots=True)
class Progress:
    """Says on the error stream, now and then, how far a part is and how long it will take."""

    part: str
    total: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)

    def step(self, note: str = "") -> None:
        """One more of ``total`` is done."""
        self.done += 1
        now = time.monotonic()
        if now - self.said < EVERY_S and self.done < self.total:
            return
        self.said = now
        left = (now - self.began) / self.done * (self.total - self.done)
        minutes, seconds = divmod(round(left), 60)
        told = f"{self.part} {self.done}/{self.total}, {minutes}:{seconds:02} left"
        print(f"{told}; {note}" if note else told, file=sys.stderr, flush=True)
