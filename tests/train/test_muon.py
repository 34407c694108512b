"""Muon: matrices get steps of even singular values, all else AdamW's, and a state to go on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.train import toy
from tilewise.errors import ConfigError
from tilewise.train.loop import LOGS, Trainer
from tilewise.train.muon import MuonConfig, orthogonalised
from tilewise.train.optim import OptimConfig, optimiser, parameter_groups, set_lr
from tilewise.train.report import read_losses

CFG = OptimConfig(lr=0.01, betas=(0.9, 0.98), weight_decay=0.1, muon=MuonConfig(lr=0.05))


def _net() -> nn.Module:
    torch.manual_seed(1)
    return nn.ModuleDict(
        {
            "deep": nn.Linear(40, 64),
            "narrow": nn.Linear(40, 8),
            "embed": nn.Embedding(50, 40),
            "conv": nn.Conv2d(32, 32, 3),
            "depthwise": nn.Conv2d(64, 64, 3, groups=64),
        }
    )


def _with_gradients(net: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in net.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)


def test_it_learns_full_matrices_that_are_no_tables() -> None:
    groups = parameter_groups(_net(), lambda name: "all", CFG)
    names = {name for group in groups if group["is_hidden"] for name in group["names"]}
    assert names == {"deep.weight", "conv.weight"}
    assert {group["weight_decay"] for group in groups} == {0.1}


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (32, 32)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    gradient = torch.randn(shape) @ torch.diag(torch.linspace(0.2, 3.0, shape[1]))
    values = torch.linalg.svdvals(orthogonalised(gradient))
    spread = torch.linalg.svdvals(gradient)
    assert values.max() < 1.3
    assert values.max() / values.median() < 0.5 * spread.max() / spread.median()
    assert orthogonalised(gradient).shape == gradient.shape


def test_a_step_of_a_matrix_is_the_published_one_and_that_of_all_else_adamws() -> None:
    net, plain = _net(), _net()
    cfg = replace(CFG, muon=MuonConfig(lr=0.05, momentum=0.9))
    both = optimiser(parameter_groups(net, lambda name: "all", cfg), cfg)
    adam = torch.optim.AdamW(plain.parameters(), lr=0.01, betas=(0.9, 0.98), weight_decay=0.1)
    deep = net.get_parameter("deep.weight")
    wanted, momentum = deep.detach().clone(), torch.zeros_like(deep)
    for seed in range(2):
        for one in (net, plain):
            _with_gradients(one, seed)
        assert deep.grad is not None
        momentum = 0.9 * momentum + deep.grad
        wanted = wanted * (1 - 0.1 * 0.01)
        wanted -= 0.05 * (64 / 40) ** 0.5 * orthogonalised(deep.grad + 0.9 * momentum)
        set_lr(both, 0.01)
        both.step()
        adam.step()
    torch.testing.assert_close(deep.detach(), wanted)
    for name in ("narrow.weight", "embed.weight", "deep.bias", "depthwise.weight"):
        torch.testing.assert_close(net.get_parameter(name), plain.get_parameter(name))


def test_a_resumed_run_loses_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    def run(out: Path, steps: int) -> Trainer[tuple[str, torch.Tensor]]:
        optim = replace(toy.OPTIM, muon=MuonConfig(lr=0.02))
        return toy.trainer(out, steps, optim=optim, width=40)

    run(tmp_path / "whole", 30).train()
    half = run(tmp_path / "half", 30)
    for _ in range(14):
        half.take()
    half.save()
    again = run(tmp_path / "half", 30)
    again.resume()
    again.train()
    whole = read_losses(tmp_path / "whole" / LOGS)
    assert read_losses(tmp_path / "half" / LOGS) == {s: v for s, v in whole.items() if s > 14}


def test_settings_that_cannot_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"muon\.lr is 0"):
        MuonConfig(lr=0.0)
    with pytest.raises(ConfigError, match=r"muon\.momentum is 1"):
        MuonConfig(momentum=1.0)
