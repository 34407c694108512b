"""Muon for hidden matrices, AdamW for the rest (Jordan et al. 2024), in float32.

torch.optim.Muon runs its Newton-Schulz iteration in bfloat16, which is slow on CPUs without AMX.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
ITERATIONS = 4
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalise(gradient: Tensor) -> Tensor:
    """Push the singular values of a matrix towards one."""
    x = gradient / (gradient.norm() + 1e-7)
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x.T if is_tall else x


OTHERS = ("embed", "table", "next_gap", "next_class", "words", "cls", "output", "head")
"""Parts of names of matrices that are tables or read out, which Muon is not for."""


def _is_hidden(name: str, p: nn.Parameter) -> bool:
    """Whether a parameter maps hidden values to hidden values: matrices, full convolutions."""
    if p.ndim not in (2, 4) or any(part in name for part in OTHERS):
        return False
    return min(p.shape[0], p[0].numel()) >= 32 and (p.ndim == 2 or p.shape[1] > 1)


class Muon:
    """Both optimisers behind one face; ``groups`` carry ``lr_factor``."""

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        hidden_lr: float | None = None,
        momentum: float = MOMENTUM,
    ) -> None:
        named = list(model.named_parameters())
        self.hidden = [p for name, p in named if _is_hidden(name, p)]
        self.lr = lr
        self.hidden_lr = 5 * lr if hidden_lr is None else hidden_lr
        self.beta = momentum
        rest = [p for name, p in named if not _is_hidden(name, p)]
        self.adam = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.01)
        self.momentum = [torch.zeros_like(p) for p in self.hidden]
        self.groups: list[dict[str, Any]] = [{"lr_factor": 1.0}]

    def zero_grad(self) -> None:
        """Forget gradients."""
        self.adam.zero_grad(set_to_none=True)
        for p in self.hidden:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move all parameters."""
        factor = self.groups[0]["lr_factor"]
        for group in self.adam.param_groups:
            group["lr"] = self.lr * factor
        self.adam.step()
        for p, m in zip(self.hidden, self.momentum, strict=True):
            if p.grad is None:
                continue
            m.mul_(self.beta).add_(p.grad)
            push = orthogonalise((p.grad + self.beta * m).flatten(1))
            scale = max(1.0, push.shape[0] / push.shape[1]) ** 0.5
            p.mul_(1 - 0.01 * self.lr * factor)
            p.add_(push.view_as(p), alpha=-self.hidden_lr * factor * scale)

    def state_dict(self) -> dict[str, Any]:
        """State to resume from."""
        return {"adam": self.adam.state_dict(), "momentum": self.momentum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.adam.load_state_dict(state["adam"])
        for m, saved in zip(self.momentum, state["momentum"], strict=True):
            m.copy_(saved)
