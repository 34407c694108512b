"""The encoder of tilewise-nano: a tile in, what stands in each of its slots out."""

from __future__ import annotations

from typing import NamedTuple

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.models.nano.alphabet import CLASSES
from tilewise.models.nano.config import EncoderConfig

LINKS = 3
PLACES = 3


class Dense(NamedTuple):
    """What the encoder says of every slot; n tiles, 24 half-rows, 84 columns.

    ``char``: logits (n, CLASSES, 24, 84). ``link``: logits (n, 3, 24, 84) of what follows the
    character: the same word, a space, the end of its run. ``place``: (n, 3, 24, 84), offset of
    the character's centre from the slot's in columns and half-rows, and log(px per em / 16).
    """

    char: Tensor
    link: Tensor
    place: Tensor


class Residual(nn.Module):
    """Two 3×3 convolutions beside a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(x + self.second_norm(self.second(y)))


class Block(nn.Module):
    """Depthwise 3×7, then two pointwise layers, beside a skip."""

    def __init__(self, width: int, grow: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, (3, 7), padding=(1, 3), groups=width, bias=False)
        self.spread_norm = nn.BatchNorm2d(width)
        self.up = nn.Conv2d(width, width * grow, 1, bias=False)
        self.up_norm = nn.BatchNorm2d(width * grow)
        self.down = nn.Conv2d(width * grow, width, 1, bias=False)
        self.down_norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.spread_norm(self.spread(x))
        y = F.relu(self.up_norm(self.up(y)))
        return x + self.down_norm(self.down(y))


class Encoder(nn.Module):
    """Reads tiles one by one: what character is centred in each slot, and where exactly."""

    def __init__(self, cfg: EncoderConfig) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, cfg.stem, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(cfg.stem)
        self.early = nn.Conv2d(cfg.stem, cfg.early, 3, stride=2, padding=1, bias=False)
        self.early_norm = nn.BatchNorm2d(cfg.early)
        self.residuals = nn.ModuleList(Residual(cfg.early) for _ in range(2))
        self.fold = nn.Conv2d(
            cfg.early, cfg.width, (7, 3), stride=(7, 1), padding=(0, 1), bias=False
        )
        self.fold_norm = nn.BatchNorm2d(cfg.width)
        self.blocks = nn.ModuleList(Block(cfg.width, cfg.grow) for _ in range(cfg.blocks))
        self.head = nn.Conv2d(cfg.width, 2 * (CLASSES + LINKS + PLACES), 1)

    def forward(self, tiles: Tensor) -> Dense:
        """Ink of tiles, (n, 1, 336, 336) in [0, 1] with 1 for black → what each slot holds."""
        x = F.relu(self.stem_norm(self.stem(tiles)))
        x = F.relu(self.early_norm(self.early(x)))
        for block in self.residuals:
            x = block(x)
        x = F.relu(self.fold_norm(self.fold(x)))  # n width 12 84
        for block in self.blocks:
            x = block(x)
        slots = rearrange(self.head(x), "n (half c) rows cols -> n c (rows half) cols", half=2)
        char, link, place = slots.split((CLASSES, LINKS, PLACES), dim=1)
        return Dense(char, link, place)
