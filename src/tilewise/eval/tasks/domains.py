"""The benchmarks of the domains that models are adapted to.

Source of limits and rules: InternVL's evaluation of its adapted models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Final

from tilewise.domains.cameras import tags_to_cameras
from tilewise.domains.drivelm import submission
from tilewise.domains.regions import LETTERS
from tilewise.eval.metrics.boxes import Size, dior_rsvg_hit
from tilewise.eval.metrics.options import first_letter
from tilewise.eval.metrics.short_answers import rsvqa_score
from tilewise.eval.tasks.task import Row, Task

_EXACT: Final = re.compile(r"[A-D]|(?:yes|no)\.?", re.IGNORECASE)
"""Answers of DriveLM that are right only if they are said exactly so."""

_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_WITHIN: Final = (0.1, 0.5, 1.0, 5.0)
"""Errors of a control signal that are counted as near enough; published tables have these."""


def drivelm(rows: Sequence[Row]) -> dict[str, float]:
    """Share of exact answers among questions with a letter, yes or no for an answer.

    The other scores of the challenge come from its server; ``submitted`` is what it takes.
    """
    told = [row for row in rows if _EXACT.fullmatch(str(row.record["answer"]))]
    hits = [tags_to_cameras(row.answer) == row.record["answer"] for row in told]
    return _share("accuracy", hits)


def bddx(rows: Sequence[Row]) -> dict[str, float]:
    """Control signals: root of the mean squared error, and shares within bounds, in percent.

    A signal that an answer does not give counts as outside all bounds and not in the error. Texts
    are compared by the share that is exactly right; the published CIDEr, BLEU and ROUGE need
    several programs of others.
    """
    scores: dict[str, float] = {}
    control = [row for row in rows if row.record["kind"] == "control"]
    for index, name in enumerate(("speed", "angle")):
        errors = [_error(row, index) for row in control]
        known = [error for error in errors if error is not None]
        if known:
            scores[f"{name}_rmse"] = sqrt(sum(error**2 for error in known) / len(known))
            for bound in _WITHIN:
                near = sum(error <= bound for error in known)
                scores[f"{name}_within_{bound:g}"] = 100 * near / len(errors)
    for kind in ("description", "justification", "full"):
        told = [row for row in rows if row.record["kind"] == kind]
        scores |= _share(f"{kind}_exact", [r.answer.strip() == r.record["answer"] for r in told])
    return scores


def choice(rows: Sequence[Row]) -> dict[str, float]:
    """Share of right letters."""
    hits = []
    for row in rows:
        choices = dict(zip(LETTERS, row.record["choices"], strict=False))
        hits.append(first_letter(row.answer, choices) == row.record["answer"])
    return _share("accuracy", hits)


def rsvqa(rows: Sequence[Row]) -> dict[str, float]:
    """Shares of right answers by kind, and the mean that is reported, without counts and areas."""
    score = rsvqa_score((row.record["kind"], row.answer, row.record["answer"]) for row in rows)
    reported = {} if score.reported is None else {"reported": score.reported}
    return reported | score.by_kind


def dior_rsvg(rows: Sequence[Row]) -> dict[str, float]:
    """Share of answers with a box that shares more than half with the reference."""
    hits = []
    for row in rows:
        size = Size(row.record["width"], row.record["height"])
        hits.append(dior_rsvg_hit(row.answer, row.record["box"], size))
    return _share("accuracy", hits)


def _rows_of_drivelm(rows: Sequence[Row]) -> list[dict[str, str]]:
    return submission([row.record for row in rows], [row.answer for row in rows])


TASKS: Final[Mapping[str, Task]] = {
    "drivelm": Task(
        name="drivelm",
        score=drivelm,
        max_new_tokens=200,
        max_tiles=12,
        submitted=_rows_of_drivelm,
    ),
    "bddx": Task(name="bddx", score=bddx, max_new_tokens=100, max_tiles=1),
    "choice": Task(name="choice", score=choice, max_new_tokens=10),
    "rsvqa": Task(name="rsvqa", score=rsvqa, max_new_tokens=50, max_tiles=12),
    "dior-rsvg": Task(name="dior-rsvg", score=dior_rsvg, max_new_tokens=100, max_tiles=12),
}
"""Tasks by the name that converted data gives."""


def _error(row: Row, index: int) -> float | None:
    """How far the signal of an answer is from the reference, None where one of them lacks it."""
    said, told = (_NUMBER.findall(text) for text in (row.answer, str(row.record["answer"])))
    if len(said) <= index or len(told) <= index:
        return None
    return abs(float(said[index]) - float(told[index]))


def _share(name: str, hits: Sequence[bool]) -> dict[str, float]:
    return {name: sum(hits) / len(hits)} if hits else {}
