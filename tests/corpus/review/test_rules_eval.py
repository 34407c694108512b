"""What labels say of rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.corpus.review.labels import Label
from tilewise.corpus.review.rules_eval import evaluate, table, trigger_ratios, wilson


def label(rule: str, block: int | None, *, fired: bool, right: bool, document: str = "a") -> Label:
    return Label(document=document, rule=rule, block=block, fired=fired, is_right=right)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        # by hand from Wilson's formula with z = 1.959964
        (0, 10, 0.0, 0.27753),
        (10, 10, 0.72247, 1.0),
        (1, 6, 0.03005, 0.56350),
        (81, 263, 0.25527, 0.36621),
    ],
)
def test_intervals_are_wilsons(hits: int, of: int, low: float, high: float) -> None:
    found = wilson(hits, of)
    assert found is not None
    assert found[::3] == (hits / of, of)
    assert found[1:3] == pytest.approx((low, high), abs=1e-4)


def test_of_nothing_there_is_no_share() -> None:
    assert wilson(0, 0) is None
    with pytest.raises(ValueError, match="3 hits of 2"):
        wilson(3, 2)


@given(st.integers(1, 10_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_a_share_lies_in_its_interval(counted: tuple[int, int]) -> None:
    found = wilson(*counted)
    assert found is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_precision_false_positives_and_misses_are_counted_from_labels() -> None:
    labels = [
        *(label("urls", n, fired=True, right=True) for n in range(8)),
        *(label("urls", n, fired=True, right=False) for n in range(8, 10)),
        *(label("urls", n, fired=False, right=False) for n in range(4)),
        *(label("urls", n, fired=False, right=True) for n in range(4, 10)),
    ]
    (found,) = evaluate(labels)
    assert (found.right, found.wrong, found.missed, found.spared) == (8, 2, 4, 6)
    assert found.precision is not None
    assert found.false_positive is not None
    assert found.miss is not None
    assert found.precision[::3] == (0.8, 10)
    assert found.false_positive[::3] == (0.25, 8)
    assert found.miss.value == pytest.approx(1 / 3)
    assert "80.0% (49.0%-94.3%)" in "\n".join(table([found]))


def test_nothing_else_spares_the_document_from_rules_that_did_not_act() -> None:
    rest = Label(document="a", rule="*", fired=False, is_right=True, rules_fired=("urls",))
    found = {one.rule: one for one in evaluate([rest], ["urls", "numbers"])}
    assert found["numbers"].spared == 1
    assert found["urls"].spared == 0
    assert found["urls"].precision is None


def test_the_last_of_several_labels_counts() -> None:
    labels = [label("urls", 1, fired=True, right=right) for right in (True, False)]
    (found,) = evaluate(labels)
    assert (found.right, found.wrong) == (0, 1)


def test_how_often_rules_act_is_told_by_group() -> None:
    acted = [("2013", ["urls"]), ("2013", []), ("2023", ["urls", "urls", "numbers"]), ("2023", [])]
    found = trigger_ratios(acted)
    assert [(t.group, t.share.value, t.share.of) for t in found["urls"]] == [
        ("2013", 0.5, 2),
        ("2023", 0.5, 2),
    ]
    assert [t.share.value for t in found["numbers"]] == [0.0, 0.5]
    judged = evaluate([], ["numbers"], found)
    assert [one.rule for one in judged] == ["numbers", "urls"]
    assert "2013 50.0%" in "\n".join(table(judged))
