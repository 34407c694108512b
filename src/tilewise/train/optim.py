"""AdamW, and Muon beside it, with parameters grouped by part, layer and kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from tilewise.errors import ConfigError, TrainingError
from tilewise.train.muon import Muon, MuonConfig, is_hidden

Named = Sequence[tuple[str, nn.Parameter]]
"""Parameters by the names that the network has for them."""

_LAYER: Final = re.compile(r"(?:^|\.)layers\.(\d+)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimConfig:
    """AdamW (arXiv 1711.05101) and what each part of a network has of its learning rate.

    ``factors`` pairs names of parts with what their learning rate is multiplied by; parts that
    are not named have 1. ``vit_decay`` multiplies it once more for each layer of the vision
    encoder that lies further from its output: layer j of L has ``vit_decay ** (L - 1 - j +
    vit_decay_offset)``, and the embedding, in front of layer 0, one power more than that. The
    papers do not say whether the last layer is decayed too (offset 1) or not (offset 0).
    ``clip_norm`` is the largest norm of all gradients together, None for no limit. With ``muon``
    matrices between hidden values are learned by it, and all weights decay, vectors too.
    """

    lr: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.05
    clip_norm: float | None = 1.0
    factors: tuple[tuple[str, float], ...] = ()
    vit_decay: float = 1.0
    vit_decay_offset: int = 0
    muon: MuonConfig | None = None

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ConfigError(f"optim.lr is {self.lr}; give a number above 0.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"optim.betas is {self.betas}; give two numbers from 0 to below 1.")
        if self.weight_decay < 0:
            raise ConfigError(f"optim.weight_decay is {self.weight_decay}; give 0 or more.")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ConfigError(
                f"optim.clip_norm is {self.clip_norm}; give a number above 0 or none."
            )
        if not 0 < self.vit_decay <= 1 or self.vit_decay_offset < 0:
            raise ConfigError(
                f"optim.vit_decay is {self.vit_decay} with offset {self.vit_decay_offset}; the "
                "decay is above 0 and at most 1, the offset 0 or more."
            )


def parameter_groups(
    module: nn.Module, part_of: Callable[[str], str], cfg: OptimConfig
) -> list[dict[str, Any]]:
    """Groups for the optimiser of all parameters that learn, those with equal settings together.

    Norms, biases and single vectors have no weight decay, but where there is Muon.

    Args:
        module: the network; parameters without ``requires_grad`` are left out.
        part_of: gives a parameter's part by its name.
        cfg: factors and decay.

    Returns:
        Dicts with ``params``, ``names``, ``lr_factor`` (of the peak), ``weight_decay``, and
        ``is_hidden`` for what is Muon's.

    Raises:
        ConfigError: a factor names a part that the network has not.
        TrainingError: nothing learns.
    """
    parts = {name: part_of(name) for name, _ in module.named_parameters()}
    factors = dict(cfg.factors)
    unknown = sorted(factors.keys() - set(parts.values()))
    if unknown:
        raise ConfigError(
            f"optim.factors names {', '.join(unknown)}; the network's parts are "
            f"{', '.join(sorted(set(parts.values())))}. Correct the name."
        )
    depth = 1 + max((_layer(name) for name, part in parts.items() if part == "vit"), default=-1)
    groups: dict[tuple[float, float, bool], dict[str, Any]] = {}
    for name, weight in learning(module):
        factor = factors.get(parts[name], 1.0)
        if parts[name] == "vit":
            factor *= cfg.vit_decay ** (depth - 1 - _layer(name) + cfg.vit_decay_offset)
        decay = cfg.weight_decay if weight.ndim > 1 or cfg.muon is not None else 0.0
        key = factor, decay, cfg.muon is not None and is_hidden(name, weight, cfg.muon)
        group = groups.setdefault(key, _group(*key))
        group["params"].append(weight)
        group["names"].append(name)
    if not groups:
        raise TrainingError("nothing learns: all parts are frozen; name parts in model.trained.")
    return list(groups.values())


def optimiser(groups: list[dict[str, Any]], cfg: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser; each group's learning rate is set before a step by ``set_lr``."""
    if cfg.muon is not None:
        return Muon(groups, lr=cfg.lr, betas=cfg.betas, eps=cfg.eps, cfg=cfg.muon)
    return adamw(groups, cfg)


def adamw(groups: list[dict[str, Any]], cfg: OptimConfig) -> torch.optim.AdamW:
    """AdamW alone."""
    return torch.optim.AdamW(
        groups, lr=cfg.lr, betas=cfg.betas, eps=cfg.eps, weight_decay=cfg.weight_decay, fused=True
    )


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Give each group its share of a learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_factor"]


def learning(module: nn.Module) -> Named:
    """The parameters that learn, by name."""
    return [(name, w) for name, w in module.named_parameters() if w.requires_grad]


def scaled_gradients(weights: Iterable[nn.Parameter], divisor: float) -> list[Tensor]:
    """Divide the gradients that there are in place, and give them."""
    found = [weight.grad for weight in weights if weight.grad is not None]
    torch._foreach_div_(found, divisor)
    return found


def _group(factor: float, decay: float, is_muon: bool) -> dict[str, Any]:
    named = {"lr_factor": factor, "weight_decay": decay, "is_hidden": is_muon}
    return {"params": [], "names": [], **named}


def _layer(name: str) -> int:
    """The number of a name's layer, -1 for what lies in front of all layers."""
    match = _LAYER.search(name)
    return int(match[1]) if match else -1
