"""Clusters by union-find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tilewise.corpus.dedup.union import UnionFind

PAIRS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40)


def best_of_each(pairs: list[tuple[int, int]], order: list[int]) -> list[int]:
    """By spreading the best value along pairs until nothing changes."""
    best = list(range(20))
    for _ in range(20):
        for one, other in pairs:
            winner = min(best[one], best[other], key=order.index)
            best[one] = best[other] = winner
    return best


@given(pairs=PAIRS, order=st.permutations(range(20)))
def test_every_cluster_has_its_best_member_as_root(
    pairs: list[tuple[int, int]], order: list[int]
) -> None:
    found = UnionFind(20)
    found.join_all(pairs, lambda one, other: order.index(one) < order.index(other))
    expected = best_of_each(pairs, order)
    assert [found.find(one) for one in range(20)] == expected
    found.settle()
    assert found.parents.tolist() == expected


def test_a_document_costs_eight_bytes() -> None:
    assert UnionFind(1000).parents.nbytes == 8000


def test_a_long_chain_ends() -> None:
    found = UnionFind(100_000)
    found.join_all(((i, i + 1) for i in range(99_999)), lambda one, other: one > other)
    found.settle()
    assert (found.parents == 99_999).all()
