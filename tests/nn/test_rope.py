"""Rotary positions: lengths stay, and products depend on distance alone."""

from __future__ import annotations

import pytest
import torch

from tilewise.nn.rope import rope_table, rotate

SIZE, THETA = 8, 10_000.0


def turned(x: torch.Tensor, position: int) -> torch.Tensor:
    return rotate(x, rope_table(torch.tensor([position]), SIZE, THETA))


def test_tables_have_a_row_a_position() -> None:
    cos, sin = rope_table(torch.arange(5), SIZE, THETA)
    assert cos.shape == sin.shape == (5, SIZE)
    assert torch.allclose(cos**2 + sin**2, torch.ones(5, SIZE))
    assert torch.equal(cos[0], torch.ones(SIZE))


def test_position_zero_changes_nothing_and_lengths_stay() -> None:
    x = torch.randn(1, 2, 1, SIZE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(turned(x, 0), x)
    assert torch.allclose(turned(x, 77).norm(dim=-1), x.norm(dim=-1), atol=1e-5)


@pytest.mark.parametrize("shift", [1, 50, 4000])
def test_products_depend_on_distance_alone(shift: int) -> None:
    generator = torch.Generator().manual_seed(1)
    q, k = (torch.randn(1, 1, 1, SIZE, generator=generator) for _ in range(2))
    here = (turned(q, 9) * turned(k, 4)).sum()
    there = (turned(q, 9 + shift) * turned(k, 4 + shift)).sum()
    assert torch.allclose(here, there, atol=1e-3)
    assert not torch.allclose(here, (turned(q, 10) * turned(k, 4)).sum(), atol=1e-3)


def test_the_turn_is_that_of_complex_numbers() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(1, 1, 3, SIZE, generator=generator)
    got = rotate(x, rope_table(torch.arange(3), SIZE, THETA))
    first, second = x.chunk(2, dim=-1)
    rates = THETA ** (-torch.arange(0, SIZE, 2) / SIZE)
    wanted = torch.complex(first, second) * torch.exp(1j * torch.arange(3)[:, None] * rates)
    assert torch.allclose(got, torch.cat([wanted.real, wanted.imag], -1), atol=1e-5)
