"""The vision transformer of CLIP: a norm before the layers, quick-GELU, none after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.errors import ConfigError
from tilewise.nn.attention import join_heads, split_heads


@dataclass(frozen=True, slots=True, kw_only=True)
class ViTConfig:
    """Sizes of a vision transformer. ``tile`` and ``patch`` are sides in pixels."""

    tile: int
    patch: int
    width: int
    layers: int
    heads: int
    mlp: int
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.tile % self.patch or self.width % self.heads:
            raise ConfigError(
                f"vision tile is {self.tile} px, patch {self.patch} px, width {self.width}, heads "
                f"{self.heads}; whole patches and whole heads are needed. Correct the config."
            )

    @property
    def patches(self) -> int:
        """Patches of one tile."""
        return (self.tile // self.patch) ** 2


def quick_gelu(x: Tensor) -> Tensor:
    """The activation that CLIP was trained with (arXiv 2103.00020)."""
    return x * torch.sigmoid(1.702 * x)


class ViTLayer(nn.Module):
    """Attention among all patches of a tile, then an MLP. Shape: (n, patches, width), kept."""

    def __init__(self, cfg: ViTConfig) -> None:
        super().__init__()
        self.heads = cfg.heads
        self.norm = nn.LayerNorm(cfg.width, cfg.norm_eps)
        self.qkv = nn.Linear(cfg.width, 3 * cfg.width)
        self.out = nn.Linear(cfg.width, cfg.width)
        self.mlp_norm = nn.LayerNorm(cfg.width, cfg.norm_eps)
        self.up = nn.Linear(cfg.width, cfg.mlp)
        self.down = nn.Linear(cfg.mlp, cfg.width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (split_heads(y, self.heads) for y in self.qkv(self.norm(x)).chunk(3, dim=-1))
        x = x + self.out(join_heads(F.scaled_dot_product_attention(q, k, v)))
        return x + self.down(quick_gelu(self.up(self.mlp_norm(x))))


class ViT(nn.Module):
    """Tiles → features of their patches, as the last layer leaves them.

    Shape: (n, 3, tile, tile) -> (n, patches, width); the class token is dropped.
    """

    def __init__(self, cfg: ViTConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.patch = nn.Conv2d(3, cfg.width, cfg.patch, stride=cfg.patch, bias=False)
        self.cls = nn.Parameter(torch.zeros(cfg.width))
        self.positions = nn.Parameter(torch.zeros(cfg.patches + 1, cfg.width))
        self.pre_norm = nn.LayerNorm(cfg.width, cfg.norm_eps)
        self.layers = nn.ModuleList(ViTLayer(cfg) for _ in range(cfg.layers))

    def embed(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (n, 3, tile, tile) → input of the first layer (n, 1 + patches, w)."""
        patches = self.patch(pixels).flatten(2).mT  # n patches width
        x = torch.cat([self.cls.expand(len(pixels), 1, -1), patches], dim=1)
        return self.pre_norm(x + self.positions)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.embed(pixels)
        for layer in cast("Iterable[ViTLayer]", self.layers):
            x = layer(x)
        return x[:, 1:]
