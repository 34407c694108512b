"""How good rules are, from labels: precision, false alarms, misses, and how often they act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, NamedTuple

from tilewise.corpus.review.labels import ALL_RULES, Label, latest

Z: Final = 1.959964
"""Of a 95 % interval."""


class Share(NamedTuple):
    """A share with its 95 % interval; ``of`` is how many it was counted on."""

    value: float
    low: float
    high: float
    of: int


class Trigger(NamedTuple):
    """In how many documents of a group (such as a crawl) a rule acted."""

    group: str
    share: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleQuality:
    """What labels say of one rule; a share is None where nothing was labelled for it.

    ``right`` and ``wrong`` count what it did, ``missed`` and ``spared`` what it did not do and
    should, or should not have. ``precision`` is right among done, ``false_positive`` is wrong
    among all that should have stayed, ``miss`` is missed among all that should have gone.
    """

    rule: str
    right: int
    wrong: int
    missed: int
    spared: int
    precision: Share | None
    false_positive: Share | None
    miss: Share | None
    triggers: tuple[Trigger, ...] = ()


def wilson(hits: int, of: int, z: float = Z) -> Share | None:
    """A share with its Wilson score interval; None of nothing.

    Example: ``wilson(0, 10)`` → 0, from 0 to 0.278.

    Raises:
        ValueError: more hits than there are, or fewer than none.
    """
    if not 0 <= hits <= of:
        raise ValueError(f"{hits} hits of {of}; 0 to {of} are possible")
    if of == 0:
        return None
    share = hits / of
    middle = share + z * z / (2 * of)
    spread = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    low = 0.0 if hits == 0 else max(0.0, (middle - spread) / scale)
    high = 1.0 if hits == of else min(1.0, (middle + spread) / scale)
    return Share(share, low, high, of)


def evaluate(
    labels: Iterable[Label],
    rules: Sequence[str] = (),
    triggers: Mapping[str, tuple[Trigger, ...]] | None = None,
) -> tuple[RuleQuality, ...]:
    """Judge every rule that was labelled, named, or acted.

    Of several labels on the same thing the last counts. A label with the rule ``ALL_RULES`` that
    is right spares the document from each of ``rules`` that did not act on it.

    Args:
        labels: in the order in which they were given.
        rules: all names of rules, in the order of the result.
        triggers: how often each acted, of ``trigger_ratios``.

    Returns:
        A result for each rule, those not in ``rules`` last and by name.
    """
    triggers = triggers or {}
    counts: dict[str, Counter[str]] = {rule: Counter() for rule in rules}
    for label in latest(labels):
        if label.rule != ALL_RULES:
            counts.setdefault(label.rule, Counter())[_kind(label)] += 1
        elif label.is_right:
            for rule in set(rules) - set(label.rules_fired):
                counts[rule]["spared"] += 1
    for rule in sorted(set(triggers) - set(counts)):
        counts[rule] = Counter()
    extra = sorted(set(counts) - set(rules))
    return tuple(_quality(rule, counts[rule], triggers.get(rule, ())) for rule in (*rules, *extra))


def trigger_ratios(
    acted: Iterable[tuple[str, Iterable[str]]],
) -> dict[str, tuple[Trigger, ...]]:
    """In how many documents each rule acted, by group.

    Args:
        acted: of each document its group and the rules that acted on it.

    Returns:
        Rule → its ratio in each group, groups in order of their names.
    """
    totals: Counter[str] = Counter()
    hits: dict[str, Counter[str]] = {}
    for group, rules in acted:
        totals[group] += 1
        for rule in set(rules):
            hits.setdefault(rule, Counter())[group] += 1
    return {
        rule: tuple(
            Trigger(group, share)
            for group in sorted(totals)
            if (share := wilson(by_group[group], totals[group])) is not None
        )
        for rule, by_group in sorted(hits.items())
    }


def table(found: Sequence[RuleQuality]) -> list[str]:
    """Results as lines of a table for people."""
    head = ("precision", "false positives", "missed", "acts on documents")
    lines = [f"{'rule':<24}" + "".join(f"{name:>24}" for name in head)]
    for one in found:
        acts = "  ".join(
            f"{t.group + ' ' if len(one.triggers) > 1 else ''}{_said(t.share)}"
            for t in one.triggers
        )
        shares = (one.precision, one.false_positive, one.miss)
        lines.append(
            f"{one.rule:<24}" + "".join(f"{_said(s):>24}" for s in shares) + f"  {acts:>24}"
        )
    return lines


def _kind(label: Label) -> str:
    if label.fired:
        return "right" if label.is_right else "wrong"
    return "spared" if label.is_right else "missed"


def _quality(rule: str, counts: Counter[str], triggers: tuple[Trigger, ...]) -> RuleQuality:
    right, wrong = counts["right"], counts["wrong"]
    missed, spared = counts["missed"], counts["spared"]
    return RuleQuality(
        rule=rule,
        right=right,
        wrong=wrong,
        missed=missed,
        spared=spared,
        precision=wilson(right, right + wrong),
        false_positive=wilson(wrong, wrong + spared),
        miss=wilson(missed, missed + right),
        triggers=triggers,
    )


def _said(share: Share | None) -> str:
    if share is None:
        return "–"
    return f"{share.value:.1%} ({share.low:.1%}-{share.high:.1%})"
