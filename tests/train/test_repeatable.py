"""Gradients of an index that comes often are the same in every run, with any number of threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tilewise.train.repeatable import MEMORY, repeatable

CPU = torch.device("cpu")


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_gradients_of_an_index_that_comes_often_are_equal_to_the_last_bit() -> None:
    draw = torch.Generator().manual_seed(0)
    table = torch.randn(50, 32, generator=draw, requires_grad=True)
    index = torch.randint(0, 50, (100_000,), generator=draw)
    back = torch.randn(100_000, 32, generator=draw)

    def gradient() -> Tensor:
        table.grad = None
        with repeatable(CPU):
            table[index].backward(back)
        assert table.grad is not None
        return table.grad.clone()

    first = gradient()
    assert all(torch.equal(first, gradient()) for _ in range(10))


def test_what_was_set_before_is_set_again() -> None:
    with repeatable(CPU):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert MEMORY.fill_uninitialized_memory
