"""Part 5: seconds to the first character on a 4K page, and memory, in fresh processes."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import tilewise
from benchmarks.default_reader_parts.asking import LOOK_UP, answer_to
from benchmarks.default_reader_parts.made import dense_page
from benchmarks.default_reader_parts.report import Progress, Report, Setting, machine, table
from tilewise.engine.session import Conversation

WIDTH, HEIGHT, MAX_TILES = 3840, 2160, 25
CHARACTERS = 6_000
FIRST = "What is the title?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Seconds and MiB of one process."""

    load_s: float
    first_s: float
    second_s: float
    second_total_s: float
    again_s: float
    peak_mib: float
    characters: int
    text_px: float
    tokens: int


def run(setting: Setting, report: Report) -> None:
    """Start one process after the other and report."""
    progress = Progress("seconds", setting.runs)
    runs: list[Run] = []
    for _ in range(setting.runs):
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            runs.append(pool.submit(one_run, setting.model).result())
        progress.step(f"first character after {runs[-1].first_s:.1f} s")
    rows = [
        ["first question, first character, s", "10", _spread([r.first_s for r in runs])],
        ["second question, first character, s", "1", _spread([r.second_s for r in runs])],
        ["second question, whole answer, s", "", _spread([r.second_total_s for r in runs])],
        ["the page anew in a warm process, s", "", _spread([r.again_s for r in runs])],
        ["loading the weights, s", "", _spread([r.load_s for r in runs])],
        ["peak memory, MiB", "", _spread([r.peak_mib for r in runs])],
    ]
    report.section(
        "Seconds",
        f"{machine(setting.model)} {WIDTH} x {HEIGHT} px of running text in columns, "
        f"{runs[0].characters} characters of {runs[0].text_px:.0f} px, HD-{MAX_TILES}: "
        f"{runs[0].tokens} tokens. The page is in memory as pixels; the first question pays for "
        f"cutting, encoding and prefill. Median of {len(runs)} fresh processes [least to most].",
        table(("", "wanted at most", "measured"), rows),
    )


def one_run(model: str) -> Run:
    """Load, ask twice, ask once more from the start; to be called in a fresh process."""
    subject = dense_page(WIDTH, HEIGHT, CHARACTERS)
    second = next(q.text for q in subject.questions if q.kind == "after" and q.answer is not None)
    began = time.perf_counter()
    reader = tilewise.load(model)
    load_s = time.perf_counter() - began
    talk = Conversation(reader, [subject.page], [MAX_TILES])
    first, later = (answer_to(talk, question, LOOK_UP) for question in (FIRST, second))
    fresh = Conversation(reader, [subject.page], [MAX_TILES])
    again = answer_to(fresh, FIRST, LOOK_UP)
    assert subject.text is not None
    return Run(
        load_s=load_s,
        first_s=first.first_s,
        second_s=later.first_s,
        second_total_s=later.total_s,
        again_s=again.first_s,
        peak_mib=peak_mib(),
        characters=len(subject.text),
        text_px=subject.text_px,
        tokens=len(reader.plan(WIDTH, HEIGHT, MAX_TILES)),
    )


def peak_mib() -> float:
    """Most memory this process held. Linux's own count is preferred: the other one is inherited."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _spread(values: Sequence[float]) -> str:
    digits = 2 if max(values) < 100 else 0
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f} to {high:.{digits}f}]"
