"""Tiny SDAN networks, and images to try them on."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewise.superres.config import SdanConfig
from tilewise.superres.sdan import Sdan

TINY = SdanConfig(width=8, blocks=2)


def network(cfg: SdanConfig = TINY, seed: int = 0) -> Sdan:
    """A network from a seed, with gains of attention that let it act."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Sdan(cfg)
    for name, parameter in net.named_parameters():
        if name.endswith("gain"):
            torch.nn.init.constant_(parameter, 0.5)
    return net


def image(rows: int, cols: int, *, channels: int = 3, batch: int = 1, seed: int = 0) -> Tensor:
    """Noise with some smoothness, 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(batch, channels, rows + 2, cols + 2, generator=generator)
    return torch.nn.functional.avg_pool2d(x, 3, stride=1)
