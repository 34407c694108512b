"""Questions about aerial images with answers of a word or a number: the rule of RSVQA."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

COUNTED: Final = ("count", "area")
"""Kinds of questions that are right if the number is of the right order; not reported."""

_BOUNDS: Final = (0, 100, 1000)
"""Highest numbers of the first orders; all above are of the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RsvqaScore:
    """Shares of right answers, rounded to four places.

    ``reported`` leaves out counts and areas, as published numbers do; it is None, as ``total`` is,
    where there is nothing to take the share of.
    """

    by_kind: dict[str, float]
    counts: dict[str, int]
    total: float | None
    reported: float | None


def rsvqa_is_right(kind: str, response: str, answer: str) -> bool:
    """Whether a response is right.

    A count or an area is if it is of the order of the answer: 0, up to 100, up to 1000, above.
    The unit is taken off an area's answer by its letters, with any 2 before it (52m2 → 5). Other
    kinds must be equal but for case.

    Args:
        kind: the type of the question, such as ``presence``, ``comp``, ``count``.
        response: what the model said.
        answer: of the data.

    Source: InternVL's evaluation of remote sensing, faults included.
    """
    if kind not in COUNTED:
        return bool(response) and response.lower() == answer.lower()
    if kind == "area":
        answer = answer.rstrip("m2")
    try:
        orders = [_order(int(text)) for text in (response, answer)]
    except ValueError:
        return False
    return orders[0] is not None and orders[0] == orders[1]


def rsvqa_score(rows: Iterable[tuple[str, str, str]]) -> RsvqaScore:
    """Score rows of (kind, response, answer)."""
    hits: dict[str, list[bool]] = {}
    for kind, response, answer in rows:
        hits.setdefault(kind, []).append(rsvqa_is_right(kind, response, answer))
    every = [hit for some in hits.values() for hit in some]
    told = [hit for kind, some in hits.items() if kind not in COUNTED for hit in some]
    return RsvqaScore(
        by_kind={kind: round(sum(some) / len(some), 4) for kind, some in hits.items()},
        counts={kind: len(some) for kind, some in hits.items()},
        total=_share(every),
        reported=_share(told),
    )


def _order(number: int) -> int | None:
    """Which order a number is of; negative ones are of none."""
    return None if number < 0 else sum(number > bound for bound in _BOUNDS)


def _share(hits: list[bool]) -> float | None:
    return round(sum(hits) / len(hits), 4) if hits else None
