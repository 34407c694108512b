"""Muon for matrices between hidden values, AdamW for all other weights, in float32.

torch.optim.Muon takes matrices alone and makes its products in bfloat16, which is slow on CPUs
without units for that.

Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from tilewise.errors import ConfigError

ITERATIONS: Final = 4
A, B, C = 3.4445, -4.7750, 2.0315

LEAST: Final = 32
"""Rows and columns from which on a matrix is worth it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MuonConfig:
    """Muon's own settings: ``lr`` of the matrices, ``momentum``.

    ``others`` are parts of names of matrices that are tables, or read out, which it is not for.
    """

    lr: float = 0.01
    momentum: float = 0.95
    others: tuple[str, ...] = ("embed", "output", "head")

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ConfigError(f"optim.muon.lr is {self.lr}; give a number above 0.")
        if not 0 <= self.momentum < 1:
            raise ConfigError(
                f"optim.muon.momentum is {self.momentum}; give a number from 0 to below 1."
            )


def is_hidden(name: str, weight: nn.Parameter, cfg: MuonConfig) -> bool:
    """Whether a weight maps hidden values to hidden values: a matrix or a full convolution."""
    if weight.ndim not in (2, 4) or any(part in name for part in cfg.others):
        return False
    is_full = weight.ndim == 2 or weight.shape[1] > 1
    return is_full and min(weight.shape[0], weight[0].numel()) >= LEAST


def orthogonalised(gradient: Tensor) -> Tensor:
    """A matrix whose singular values are pushed towards one, (rows, cols) → the same."""
    x = gradient / (gradient.norm() + 1e-7)
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x.T if is_tall else x


class Muon(torch.optim.Optimizer):
    """Both optimisers behind one face.

    Args:
        groups: of parameters; those with ``is_hidden`` are Muon's. ``lr`` of a group is that of
            AdamW in both, and their weights decay by it.
        lr, betas, eps: AdamW's.
        cfg: Muon's.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        cfg: MuonConfig,
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps})
        self._cfg, self._ratio = cfg, cfg.lr / lr
        rest = [group for group in self.param_groups if not group["is_hidden"]]
        # It adds its defaults to the groups, which are the same ones; a group of none is allowed.
        self._adam = torch.optim.AdamW(rest or [{"params": [], "is_hidden": False}], lr=lr)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move all parameters that have gradients."""
        self._adam.state = self.state  # reading a checkpoint makes new ones
        self._adam.param_groups = [group for group in self.param_groups if not group["is_hidden"]]
        self._adam.step()
        for group in self.param_groups:
            if group["is_hidden"]:
                for weight in group["params"]:
                    if weight.grad is not None:
                        self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"]
        momentum.mul_(self._cfg.momentum).add_(gradient)
        push = orthogonalised((gradient + self._cfg.momentum * momentum).flatten(1))
        scale = max(1.0, push.shape[0] / push.shape[1]) ** 0.5
        weight.mul_(1 - group["weight_decay"] * group["lr"])
        weight.add_(push.view_as(weight), alpha=-group["lr"] * self._ratio * scale)
