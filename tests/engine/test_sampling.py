"""Choosing ids from logits."""

from __future__ import annotations

import pytest
import torch

from tilewise.engine.sampling import choose, log_probs
from tilewise.errors import WeightsError


def test_the_most_probable_id_of_each_row_is_chosen() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, -1.0, 0.0]])
    assert choose(logits).tolist() == [1, 0]


def test_of_equals_the_lowest_id_is_chosen() -> None:
    assert choose(torch.zeros(2, 1000)).tolist() == [0, 0]
    assert choose(torch.tensor([[1.0, 5.0, 5.0]])).tolist() == [1]


def test_forbidden_ids_may_be_minus_infinity() -> None:
    assert choose(torch.tensor([[-torch.inf, -2.0]])).tolist() == [1]


@pytest.mark.parametrize("row", [[torch.nan, 1.0], [-torch.inf, -torch.inf], [torch.inf, 0.0]])
def test_logits_without_a_finite_largest_value_name_the_weights(row: list[float]) -> None:
    with pytest.raises(WeightsError, match="damaged"):
        choose(torch.tensor([[0.0, 1.0], row]))


def test_log_probs_are_those_of_the_softmax() -> None:
    logits = torch.randn(4, 9, generator=torch.Generator().manual_seed(1))
    ids = torch.tensor([0, 8, 3, 3])
    expected = torch.stack([logits[i].softmax(0)[ids[i]].log() for i in range(4)])
    torch.testing.assert_close(log_probs(logits, ids), expected)
