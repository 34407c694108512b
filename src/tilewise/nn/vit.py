"""The vision transformer, of CLIP or InternViT by its fields alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.errors import ConfigError
from tilewise.nn.attention import join_heads, split_heads
from tilewise.nn.checkpoint import run_layer
from tilewise.nn.norm import RMSNorm


@dataclass(frozen=True, slots=True, kw_only=True)
class ViTConfig:
    """Sizes and kinds of parts of a vision transformer; the kinds are CLIP's by default.

    ``tile`` and ``patch`` are sides in pixels. ``has_qk_norm`` is a root-mean-square norm over
    all heads of the queries together, and so of the keys, with ``norm_eps`` unless it has a
    ``qk_norm_eps`` of its own. ``drop_path`` is the share of tiles for
    which the last layer is left out in training, falling evenly to 0 in the first one.
    ``select_layer`` picks what is given out: 0 is the input of the first layer, i that of layer i,
    counted from the end where negative; -1 is the output of the last.
    """

    tile: int
    patch: int
    width: int
    layers: int
    heads: int
    mlp: int
    norm_eps: float = 1e-5
    norm: Literal["layer", "rms"] = "layer"
    has_pre_norm: bool = True
    has_patch_bias: bool = False
    has_qkv_bias: bool = True
    has_qk_norm: bool = False
    qk_norm_eps: float | None = None
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    has_layer_scale: bool = False
    drop_path: float = 0.0
    select_layer: int = -1

    def __post_init__(self) -> None:
        if self.tile % self.patch or self.width % self.heads:
            raise ConfigError(
                f"vision tile is {self.tile} px, patch {self.patch} px, width {self.width}, heads "
                f"{self.heads}; whole patches and whole heads are needed. Correct the config."
            )
        if not 0 <= self.drop_path < 1:
            raise ConfigError(f"drop path is {self.drop_path}; 0 <= drop path < 1 must hold.")
        if not -self.layers - 1 <= self.select_layer <= self.layers:
            raise ConfigError(
                f"select_layer is {self.select_layer}; the {self.layers} layers of the vision "
                f"encoder allow {-self.layers - 1} to {self.layers}. Correct the config."
            )

    @property
    def side(self) -> int:
        """Patches along a side of a tile."""
        return self.tile // self.patch

    @property
    def patches(self) -> int:
        """Patches of one tile."""
        return self.side**2

    @property
    def depth(self) -> int:
        """Layers that run, by ``select_layer``."""
        return self.select_layer % (self.layers + 1)


def quick_gelu(x: Tensor) -> Tensor:
    """The activation that CLIP was trained with (arXiv 2103.00020)."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "quick_gelu": quick_gelu,
    "gelu": F.gelu,
}

NORMS: Final[Mapping[str, Callable[[int, float], nn.Module]]] = {
    "layer": nn.LayerNorm,
    "rms": RMSNorm,
}


class ViTLayer(nn.Module):
    """Attention among all patches of a tile, then an MLP. Shape: (n, patches, width), kept.

    ``drop`` is the share of tiles that pass each of the two unchanged in training.
    """

    scale: Tensor | None
    mlp_scale: Tensor | None

    def __init__(self, cfg: ViTConfig, drop: float = 0.0) -> None:
        super().__init__()
        norm = NORMS[cfg.norm]
        self.heads, self.drop = cfg.heads, drop
        self.activation = ACTIVATIONS[cfg.activation]
        self.norm = norm(cfg.width, cfg.norm_eps)
        self.qkv = nn.Linear(cfg.width, 3 * cfg.width, bias=cfg.has_qkv_bias)
        eps = cfg.norm_eps if cfg.qk_norm_eps is None else cfg.qk_norm_eps
        self.q_norm = RMSNorm(cfg.width, eps) if cfg.has_qk_norm else nn.Identity()
        self.k_norm = RMSNorm(cfg.width, eps) if cfg.has_qk_norm else nn.Identity()
        self.out = nn.Linear(cfg.width, cfg.width)
        self.mlp_norm = norm(cfg.width, cfg.norm_eps)
        self.up = nn.Linear(cfg.width, cfg.mlp)
        self.down = nn.Linear(cfg.mlp, cfg.width)
        for name in ("scale", "mlp_scale"):
            ones = nn.Parameter(torch.ones(cfg.width)) if cfg.has_layer_scale else None
            self.register_parameter(name, ones)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        q, k, v = (split_heads(y, self.heads) for y in (self.q_norm(q), self.k_norm(k), v))
        y = self.out(join_heads(F.scaled_dot_product_attention(q, k, v)))
        x = self._add(x, y, self.scale)
        y = self.down(self.activation(self.up(self.mlp_norm(x))))
        return self._add(x, y, self.mlp_scale)

    def _add(self, x: Tensor, y: Tensor, scale: Tensor | None) -> Tensor:
        """The sum, y scaled by channel; in training some tiles go without y, the rest get more."""
        if self.training and self.drop:
            kept = torch.rand(len(y), 1, 1, device=y.device) >= self.drop
            y = y * (kept / (1 - self.drop)).to(y.dtype)
        return x + y if scale is None else torch.addcmul(x, y, scale)


class ViT(nn.Module):
    """Tiles → features of their patches, as the layer that the config selects leaves them.

    Other sizes than the config's tile run too: the table of positions is stretched to them.

    Shape: (n, 3, height, width) -> (n, patches, width); the class token is dropped.

    Source: CLIP (arXiv 2103.00020); InternViT (arXiv 2312.14238).
    """

    def __init__(self, cfg: ViTConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.patch = nn.Conv2d(3, cfg.width, cfg.patch, stride=cfg.patch, bias=cfg.has_patch_bias)
        self.cls = nn.Parameter(torch.zeros(cfg.width))
        self.positions = nn.Parameter(torch.zeros(cfg.patches + 1, cfg.width))
        has_norm = cfg.has_pre_norm
        self.pre_norm = NORMS[cfg.norm](cfg.width, cfg.norm_eps) if has_norm else nn.Identity()
        steps = max(1, cfg.layers - 1)
        self.layers = nn.ModuleList(
            ViTLayer(cfg, cfg.drop_path * i / steps) for i in range(cfg.layers)
        )

    @property
    def is_random(self) -> bool:
        """Whether equal tiles may give different features, as they do where layers are dropped."""
        layers = cast("Iterable[ViTLayer]", self.layers)
        return self.training and any(layer.drop for layer in layers)

    def embed(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (n, 3, height, width) → input of the first layer (n, 1 + patches, w).

        Raises:
            ConfigError: height or width is no multiple of the patch.
        """
        height, width = pixels.shape[-2:]
        side = self.cfg.patch
        if height % side or width % side or not height * width:
            raise ConfigError(
                f"a tile is {width}x{height} px; the vision encoder needs whole patches of "
                f"{side} px. Cut tiles of {self.cfg.tile} px."
            )
        patches = self.patch(pixels).flatten(2).mT  # n patches width
        x = torch.cat([self.cls.expand(len(pixels), 1, -1), patches], dim=1)
        return self.pre_norm(x + self.table(height // side, width // side))

    def forward(self, pixels: Tensor, *, is_checkpointed: bool = False) -> Tensor:
        x = self.embed(pixels)
        for layer in islice(cast("Iterable[ViTLayer]", self.layers), self.cfg.depth):
            x = run_layer(layer, x, is_checkpointed=is_checkpointed)
        return x[:, 1:]

    def states(self, pixels: Tensor, count: int, *, is_checkpointed: bool = False) -> list[Tensor]:
        """What the last ``count`` of all layers leave, each (n, 1 + patches, width), CLS first.

        All layers run, whichever one ``select_layer`` picks.
        """
        x, found = self.embed(pixels), list[Tensor]()
        for layer in self.layers:
            x = run_layer(layer, x, is_checkpointed=is_checkpointed)
            found = [*found, x][-count:]
        return found

    def table(self, rows: int, cols: int) -> Tensor:
        """Positions for a grid of patches, (1 + rows * cols, width), stretched if need be."""
        side = self.cfg.side
        if (rows, cols) == (side, side):
            return self.positions
        own = self.positions[1:].float().mT.unflatten(-1, (side, side))
        table = F.interpolate(own[None], size=(rows, cols), mode="bicubic", align_corners=False)
        patches = table[0].flatten(1).mT.to(self.positions.dtype)
        return torch.cat([self.positions[:1], patches])
