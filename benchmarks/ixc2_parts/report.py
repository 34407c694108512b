"""A dated file with a table, and numbers with their spread."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import torch

from benchmarks.machine import processor


def machine() -> str:
    """What ran: processor, GPU, versions."""
    gpu = f"{torch.cuda.get_device_name()}; " if torch.cuda.is_available() else "no GPU; "
    return (
        f"{processor()} at the start; {gpu}Python {platform.python_version()}, torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(folder: Path, name: str, *blocks: str) -> Path:
    """Print blocks of text and write them to today's file of this name."""
    text = "\n\n".join(blocks) + "\n"
    print(text, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{date.today().isoformat()}-{name}.md"
    path.write_text(text, encoding="utf-8")
    return path


def spread(values: Sequence[float], form: str = ".3f") -> str:
    """Median and range."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} [{low:{form}} to {high:{form}}]"
