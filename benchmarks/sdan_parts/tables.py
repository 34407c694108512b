"""What runs of several ways and seeds came to, as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np

from benchmarks.ixc2_parts.report import spread, table

SHARES: Final = (0.95, 0.9, 0.85, 0.8, 0.75)
"""Of the error without offsets, that a run may come down to."""

SQUARED: Final = "squared, packing attention"
OTHERS: Final = ("no alignment", "per point, packing attention", "squared, no attention")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A run after some steps.

    ``used_s`` is its processor time, ``p0`` and ``oracle`` (P2) are in dB; of networks that align
    also the error of offsets in input pixels, the share of the true flow that is found, and the
    gains of the attention.
    """

    step: int
    used_s: float
    p0: float
    oracle: float
    error: float | None = None
    share: float | None = None
    gains: list[float] = field(default_factory=list)


Found = Mapping[str, Sequence[Sequence[Mark]]]
"""Of each way, the marks of each seed's run."""


def tables(found: Found, sizes: Mapping[str, int], still: float) -> list[str]:
    """All of it, in blocks of text; ``still`` is the error without offsets in input pixels."""
    curves = {
        f"Error of offsets by step, input pixels (without offsets {still:.3f}), median:": _error,
        "Share of the true shift that is found, by step, median:": _share,
        "P0 against the aligned truth by step, dB, median:": lambda mark: mark.p0,
        "P2 against the target by step, dB, median:": lambda mark: mark.oracle,
    }
    blocks = ["Behind the last step:", _last(found, sizes)]
    blocks += ["Squared windows with attention less the others, seed by seed:", _apart(found)]
    blocks += ["Steps to a share of the error without offsets, seed by seed:"]
    blocks += [_reached(found, still)]
    for title, value in curves.items():
        blocks += [title, _course(found, value)]
    return blocks


def _last(found: Found, sizes: Mapping[str, int]) -> str:
    rows = []
    for way, runs in found.items():
        ends = [marks[-1] for marks in runs]
        errors, shares = ([v for v in map(one, ends) if v is not None] for one in (_error, _share))
        gains = [abs(gain) for mark in ends for gain in mark.gains]
        row = [way, f"{sizes[way]:,}"]
        row += [spread(errors) if errors else "-", spread(shares, ".2f") if shares else "-"]
        row += [spread([mark.p0 for mark in ends], ".2f")]
        row += [spread([mark.oracle for mark in ends], ".2f")]
        row += [spread(gains) if gains else "-"]
        row += [spread([1000 * mark.used_s / mark.step for mark in ends], ".0f")]
        rows.append(row)
    head = (
        "way",
        "parameters",
        "error of offsets, px",
        "share found",
        "P0, dB",
        "P2, dB (no alignment: P0 against the target)",
        "size of the attention's gains",
        "ms a step",
    )
    return table(head, rows)


def _apart(found: Found) -> str:
    """Differences between runs of one seed, which share their pairs and their order."""
    rows = []
    for other in OTHERS:
        pairs = list(zip(found[SQUARED], found[other], strict=True))
        row = [other]
        for value, form in ((_error, "+.3f"), (_mean_error, "+.3f"), (_share, "+.2f")):
            row.append(_differences(pairs, value, form))
        row.append(_differences(pairs, lambda mark: mark.p0, "+.2f"))
        row.append(_differences(pairs, lambda mark: mark.oracle, "+.2f"))
        rows.append(row)
    head = ("less", "error at the end, px", "mean error of all marks, px", "share found",
            "P0, dB", "P2, dB")  # fmt: skip
    return table(head, rows)


def _differences(
    pairs: Sequence[tuple[Sequence[Mark], Sequence[Mark]]],
    value: Callable[[Mark], float | None] | Callable[[Sequence[Mark]], float | None],
    form: str,
) -> str:
    told = []
    for ours, others in pairs:
        a, b = ((value(m) if value is _mean_error else value(m[-1])) for m in (ours, others))  # type: ignore[arg-type]
        if a is None or b is None:
            return "-"
        told.append(f"{a - b:{form}}")
    return ", ".join(told)


def _error(mark: Mark) -> float | None:
    return mark.error


def _share(mark: Mark) -> float | None:
    return mark.share


def _mean_error(marks: Sequence[Mark]) -> float | None:
    """How fast the error fell: its mean over all marks behind the first."""
    errors = [mark.error for mark in marks[1:] if mark.error is not None]
    return float(np.mean(errors)) if errors else None


def _course(found: Found, value: Callable[[Mark], float | None]) -> str:
    steps = [mark.step for mark in next(iter(found.values()))[0]]
    rows = []
    for way, runs in found.items():
        columns = [[value(mark) for mark in marks] for marks in zip(*runs, strict=True)]
        if columns[-1][0] is None:
            continue
        rows.append([way, *(f"{np.median([v for v in one if v is not None]):.3f}"
                            for one in columns)])  # fmt: skip
    return table(["way", *map(str, steps)], rows)


def _reached(found: Found, still: float) -> str:
    """The step at which an error was come down to, by straight lines between marks."""
    rows = []
    for way, runs in found.items():
        if runs[0][-1].error is None:
            continue
        firsts = (", ".join(_first(m, share * still) for m in runs) for share in SHARES)
        rows.append([way, *firsts])
    return table(("way", *(f"{share:.0%} of it" for share in SHARES)), rows)


def _first(marks: Sequence[Mark], wanted: float) -> str:
    for before, after in pairwise(marks):
        assert before.error is not None
        assert after.error is not None
        if after.error <= wanted:
            part = (before.error - wanted) / max(before.error - after.error, 1e-9)
            return f"{before.step + min(max(part, 0), 1) * (after.step - before.step):.0f}"
    return f"> {marks[-1].step}"
