"""Learning rates: of a step, of a part, of a layer."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tilewise.errors import ConfigError, TrainingError
from tilewise.train.length import Length
from tilewise.train.optim import OptimConfig, adamw, parameter_groups, set_lr
from tilewise.train.schedule import ScheduleConfig, lr_share, warmup_steps


class Network(nn.Module):
    """Parts by the names that all families have."""

    def __init__(self) -> None:
        super().__init__()
        self.vit = nn.Module()
        self.vit.cls = nn.Parameter(torch.ones(4))
        self.vit.patch = nn.Linear(4, 4)
        self.vit.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.decoder = nn.Linear(4, 4)


def _part(name: str) -> str:
    return name.partition(".")[0]


def _by_name(cfg: OptimConfig, network: nn.Module) -> dict[str, tuple[float, float]]:
    groups = parameter_groups(network, _part, cfg)
    return {n: (g["lr_factor"], g["weight_decay"]) for g in groups for n in g["names"]}


def test_layers_far_from_the_output_learn_more_slowly() -> None:
    cfg = OptimConfig(vit_decay=0.9, factors=(("decoder", 0.2),), weight_decay=0.1)
    found = {name: factor for name, (factor, _) in _by_name(cfg, Network()).items()}
    assert found["vit.layers.2.weight"] == 1.0
    assert found["vit.layers.0.weight"] == pytest.approx(0.9**2)
    assert found["vit.patch.weight"] == found["vit.cls"] == pytest.approx(0.9**3)
    assert found["decoder.weight"] == 0.2


def test_the_offset_is_one_more_power_for_every_layer() -> None:
    plain, moved = (
        _by_name(OptimConfig(vit_decay=0.9, vit_decay_offset=offset), Network())
        for offset in (0, 1)
    )
    for name in plain:
        power = 0.9 if name.startswith("vit.") else 1.0
        assert moved[name][0] == pytest.approx(plain[name][0] * power)


def test_vectors_have_no_weight_decay() -> None:
    found = _by_name(OptimConfig(weight_decay=0.1), Network())
    assert {name for name, (_, decay) in found.items() if decay} == {
        name for name, weight in Network().named_parameters() if weight.ndim == 2
    }


def test_frozen_parts_are_in_no_group() -> None:
    network = Network()
    network.vit.requires_grad_(False)
    assert set(_by_name(OptimConfig(), network)) == {"decoder.weight", "decoder.bias"}
    network.requires_grad_(False)
    with pytest.raises(TrainingError, match="nothing learns"):
        parameter_groups(network, _part, OptimConfig())


def test_an_unknown_part_is_named() -> None:
    with pytest.raises(ConfigError, match=r"names head; the network's parts are decoder, vit"):
        parameter_groups(Network(), _part, OptimConfig(factors=(("head", 2.0),)))


def test_a_step_moves_each_part_by_its_share() -> None:
    network = Network()
    cfg = OptimConfig(lr=1.0, factors=(("decoder", 0.25),), weight_decay=0.0)
    optimiser = adamw(parameter_groups(network, _part, cfg), cfg)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    set_lr(optimiser, 0.1)
    optimiser.step()
    for name, weight in network.named_parameters():
        share = 0.025 if name.startswith("decoder") else 0.1
        torch.testing.assert_close(before[name] - weight, torch.full_like(weight, share))


def test_the_rate_rises_in_a_line_and_falls_by_the_cosine() -> None:
    cfg = ScheduleConfig(warmup_share=0.1)
    assert [lr_share(step, 100, cfg) for step in (0, 5, 10)] == [0.0, 0.5, 1.0]
    assert lr_share(55, 100, cfg) == pytest.approx(0.5)
    assert lr_share(100, 100, cfg) == pytest.approx(0.0, abs=1e-12)
    assert lr_share(99, 100, cfg) == pytest.approx((1 + math.cos(math.pi * 89 / 90)) / 2)


def test_a_rate_that_is_held_goes_down_from_a_share_of_the_run_on() -> None:
    cfg = ScheduleConfig(
        warmup_steps=4, has_zero_step=False, hold_share=0.2, shape="linear", final_share=0.1
    )
    assert [lr_share(step, 100, cfg) for step in (0, 1, 3, 4, 20)] == [0.25, 0.5, 1.0, 1.0, 1.0]
    assert lr_share(60, 100, cfg) == pytest.approx(0.55)
    assert lr_share(100, 100, cfg) == pytest.approx(0.1)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.77])
def test_a_length_that_is_estimated_gives_the_rate_of_its_share(share: float) -> None:
    cfg = ScheduleConfig(warmup_steps=4, hold_share=0.25, shape="linear", minutes=1.0)
    length = Length(None, 1.0)
    assert lr_share(0, length.steps(0), cfg) == 0.0
    length.used_s = 60 * share
    wanted = min(1.0, 1 - (share - 0.25) / 0.75)
    assert lr_share(50, length.steps(50), cfg) == pytest.approx(wanted)
    assert not length.is_over(50)
    length.used_s = 60.0
    assert length.is_over(50)


def test_steps_of_the_rise_go_before_its_share() -> None:
    assert warmup_steps(ScheduleConfig(warmup_share=0.5, warmup_steps=3), 100) == 3
    assert warmup_steps(ScheduleConfig(warmup_share=0.011), 100) == 2
    assert warmup_steps(ScheduleConfig(warmup_steps=100), 10) == 10


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from(["cosine", "linear", "constant"]))
def test_shares_lie_between_nothing_and_all(total: int, rise: float, shape: str) -> None:
    cfg = ScheduleConfig(warmup_share=rise, shape=shape)  # type: ignore[arg-type]
    shares = [lr_share(step, total, cfg) for step in range(total)]
    assert all(0 <= share <= 1 for share in shares)
    peak = warmup_steps(cfg, total)
    assert shares[:peak] == sorted(shares[:peak])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"minutes": 0.0},
        {"epochs": 0.0},
        {"warmup_share": 1.5},
        {"hold_share": 1.1},
        {"final_share": -0.1},
    ],
)
def test_schedules_that_cannot_hold_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ScheduleConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": 0.0},
        {"betas": (0.9, 1.0)},
        {"weight_decay": -1.0},
        {"clip_norm": 0.0},
        {"vit_decay": 1.1},
    ],
)
def test_optimisers_that_cannot_hold_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        OptimConfig(**wrong)  # type: ignore[arg-type]
