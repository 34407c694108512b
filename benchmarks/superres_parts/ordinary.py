"""Part ``ordinary``: what ``--upscale auto`` does to pages that nobody chose for their small print.

Pages that it leaves alone are shown as they are, so only changed ones are asked, both ways.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.default_reader_parts.asking import Subject, answer_to, ask_in
from benchmarks.default_reader_parts.made import held_out_page
from benchmarks.default_reader_parts.real import choose, held_out, real_subject
from benchmarks.default_reader_parts.scores import edits, normal
from tilewise.engine.generate import Limits
from tilewise.engine.session import Conversation
from tilewise.models.reader import Reader
from tilewise.superres.prepare import Prepared, prepared

QUESTIONS = 8
LONGEST = 2500
"""Characters of a page that is read whole."""

WHOLE = Limits(max_new_tokens=3000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A page asked in one way: marks of its look-ups, edits and length of its text, seconds."""

    right: tuple[bool, ...]
    edits: int
    length: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A page: seconds of processor time for deciding, and both ways where it was changed."""

    seconds: float
    off: Arm | None = None
    auto: Arm | None = None


def subjects(kind: str, folder: Path, seed: int, pages: int) -> Iterator[Subject]:
    """Made pages of the test split, or held-out real ones."""
    if kind == "made":
        yield from (held_out_page(seed, number, QUESTIONS) for number in range(pages))
    else:
        for page in held_out(folder, choose(folder, pages, seed)):
            yield real_subject(page, seed)


def rows(found: Iterator[Subject], reader: Reader, told: Callable[[str], None]) -> Iterator[Row]:
    """Decide about every page; ask the changed ones."""
    tiles = reader.default_tiles
    for subject in found:
        began = time.process_time()
        made = prepared(subject.page, "auto", lambda w, h: reader.fit(w, h, tiles).width)
        seconds = time.process_time() - began
        told(f"{subject.page.name} {made.decision.method} x{made.decision.factor:g}")
        if made.decision.is_changed:
            yield Row(
                seconds=seconds,
                off=_asked(reader, subject, None),
                auto=_asked(reader, subject, made),
            )
        else:
            yield Row(seconds=seconds)


def _asked(reader: Reader, subject: Subject, made: Prepared | None) -> Arm:
    began = time.process_time()
    shown = None if made is None else [made]
    talk = Conversation(reader, [subject.page], [reader.default_tiles], prepared=shown)
    asked = [question for question in subject.questions if question.kind != "all"]
    marks = tuple(one.is_right for one in ask_in(talk, subject, asked))
    seconds = time.process_time() - began
    truth = normal(subject.text or "")
    wrong = 0
    if 0 < len(truth) < LONGEST:
        wrong = edits(normal(answer_to(talk, "Read all the text.", WHOLE).text), truth)
    else:
        truth = ""
    return Arm(right=marks, edits=wrong, length=len(truth), seconds=seconds)


HEAD = (
    "| pages | changed | look-ups right: off | auto | won, lost | characters wrong: off | auto "
    "| seconds of all questions to a page: off | auto | deciding on the others: mean | most |"
)


def line(kind: str, found: Sequence[Row]) -> str:
    """A row of Markdown."""
    off, auto = [r.off for r in found if r.off], [r.auto for r in found if r.auto]
    pairs = [p for a, b in zip(off, auto, strict=True) for p in zip(a.right, b.right, strict=True)]
    left = [r.seconds for r in found if r.off is None] or [float("nan")]
    length = max(1, sum(arm.length for arm in off))
    cells = [
        f"{len(found)} {kind}",
        f"{len(off)}",
        f"{sum(a for a, _ in pairs)} of {len(pairs)}",
        f"{sum(b for _, b in pairs)}",
        f"{sum(b and not a for a, b in pairs)}, {sum(a and not b for a, b in pairs)}",
        *(f"{100 * sum(arm.edits for arm in arms) / length:.2f} %" for arms in (off, auto)),
        *(f"{np.mean([arm.seconds for arm in arms] or [0]):.1f}" for arms in (off, auto)),
        f"{np.mean(left):.3f}",
        f"{max(left):.3f}",
    ]
    return f"| {' | '.join(cells)} |"
