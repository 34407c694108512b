"""Rotary positions: lengths stay, products depend on distance alone; long tables by formula."""

from __future__ import annotations

import pytest
import torch

from tilewise.errors import ConfigError
from tilewise.nn.rope import DynamicNtk, LongRope, RopeScaling, rope_table, rotate

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


FACTORS = LongRope((1.0, 1.1, 1.5, 2.0), (1.0, 3.0, 6.0, 9.0), original=16, positions=128)


def turns(table: tuple[torch.Tensor, torch.Tensor], scaling: RopeScaling) -> torch.Tensor:
    """Unit vectors by table, as complex numbers (n, head size / 2), freed of the gain."""
    cos, sin = (part[..., : SIZE // 2] / scaling.gain for part in table)
    return torch.complex(cos, sin)


@pytest.mark.parametrize("total", [16, 17, 100])
def test_longrope_divides_rates_by_the_list_of_the_length(total: int) -> None:
    factors = FACTORS.short if total <= 16 else FACTORS.long
    rates = [1 / (f * THETA ** (2 * i / SIZE)) for i, f in enumerate(factors)]
    table = rope_table(torch.arange(total), SIZE, THETA, FACTORS, [FACTORS.regime(total)])
    wanted = torch.exp(1j * torch.arange(total)[:, None] * torch.tensor(rates))
    torch.testing.assert_close(turns(table, FACTORS), wanted, atol=2e-5, rtol=0)


def test_longrope_makes_the_table_larger_at_every_length() -> None:
    phi = LongRope((1.0,) * 48, (2.0,) * 48, original=4096, positions=131_072)
    assert phi.gain == pytest.approx(1.190238, abs=1e-6)
    for regime in (0, 1):
        cos, sin = rope_table(torch.arange(3), 96, THETA, phi, [regime])
        torch.testing.assert_close(cos**2 + sin**2, torch.full((3, 96), phi.gain**2))
    assert LongRope((1.0,), (1.0,), original=4096, positions=4096).gain == 1


@pytest.mark.parametrize("total", [32, 33, 80])
def test_dynamic_ntk_raises_the_base_beyond_its_positions(total: int) -> None:
    scaling = DynamicNtk(2.0, 32)
    base = THETA
    if total > 32:
        base *= (2.0 * total / 32 - 1.0) ** (SIZE / (SIZE - 2))
    rates = base ** (-torch.arange(0, SIZE, 2) / SIZE)
    table = rope_table(torch.arange(total), SIZE, THETA, scaling, [scaling.regime(total)])
    wanted = torch.exp(1j * torch.arange(total)[:, None] * rates)
    torch.testing.assert_close(turns(table, scaling), wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize("positions", [range(5), range(40, 45)])
def test_dynamic_ntk_within_its_positions_is_no_scaling(positions: range) -> None:
    places = torch.tensor(positions)
    plain = rope_table(places, SIZE, THETA)
    for found, wanted in zip(
        rope_table(places, SIZE, THETA, DynamicNtk(3.0, 64)), plain, strict=True
    ):
        assert torch.equal(found, wanted)


def test_rows_of_other_lengths_have_tables_of_their_own() -> None:
    places = torch.tensor([10, 30, 4])[:, None, None]
    regimes = [FACTORS.regime(int(place) + 1) for place in places]
    assert regimes == [0, 1, 0]
    cos, sin = rope_table(places, SIZE, THETA, FACTORS, regimes)
    assert cos.shape == sin.shape == (3, 1, 1, SIZE)
    for row, regime in enumerate(regimes):
        own = rope_table(places[row, 0], SIZE, THETA, FACTORS, [regime])
        assert torch.equal(cos[row, 0], own[0])
        assert torch.equal(sin[row, 0], own[1])


def test_regimes_are_zero_up_to_the_border() -> None:
    assert [FACTORS.regime(total) for total in (1, 16, 17, 500)] == [0, 0, 1, 1]
    assert [DynamicNtk(2.0, 32).regime(total) for total in (1, 32, 33, 34)] == [0, 0, 33, 34]


@pytest.mark.parametrize("factor", [0.5, float("nan"), float("inf")])
def test_dynamic_ntk_without_growth_is_refused(factor: float) -> None:
    with pytest.raises(ConfigError, match="a factor of at least 1"):
        DynamicNtk(factor, 32)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan")])
def test_factors_that_are_no_stretch_are_refused(wrong: float) -> None:
    with pytest.raises(ConfigError, match="must all be above 0"):
        LongRope((1.0, wrong), (1.0, 1.0), original=16, positions=32)


def test_a_table_does_not_keep_training_from_what_was_made_for_inference() -> None:
    odd = LongRope((1.0, 1.25), (1.0, 2.5), original=16, positions=32)
    with torch.inference_mode():
        rope_table(torch.arange(2), 4, THETA, odd)
    x = torch.ones(1, 1, 2, 4, requires_grad=True)
    rotate(x, rope_table(torch.arange(2), 4, THETA, odd)).square().sum().backward()
    assert x.grad is not None
