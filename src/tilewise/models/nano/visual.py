"""From slots to visual tokens, and along the plan to the image sequence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.models.nano.alphabet import CLASSES
from tilewise.models.nano.config import TOKEN_SLOTS, DecoderConfig
from tilewise.records import NEWLINE, VIEW_SEPARATOR

SIDE = 12
FREQUENCIES = 6


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What the rows × cols visual tokens of one map are made of: (tokens, 28) each."""

    index: Tensor
    weight: Tensor
    rows: int
    cols: int


class Mixer(nn.Module):
    """Carries what neighbours say across tile borders on the assembled map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.spread = nn.Conv2d(width, width, (3, 7), padding=(1, 3), groups=width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, cols, width) → the same."""
        y = rearrange(self.norm(x), "r c d -> 1 d r c")
        y = rearrange(self.spread(y), "1 d r c -> r c d")
        return x + self.down(F.gelu(self.up(x + y)))


class Visual(nn.Module):
    """Projects slots to tokens, mixes them on the map, and sets separators.

    Sequence as in IXC2-4KHD: the global view's rows, a separator, the rows of the whole local
    map, a newline behind every row (arXiv 2404.06512, section 3.2).
    """

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(CLASSES * TOKEN_SLOTS, cfg.width, mode="sum")
        self.bias = nn.Parameter(torch.zeros(cfg.width))
        self.place = nn.Linear(4 * FREQUENCIES, cfg.width)
        self.mixers = nn.ModuleList(Mixer(cfg.width) for _ in range(cfg.mixers))
        self.is_global = nn.Parameter(torch.zeros(cfg.width))
        self.newline = nn.Parameter(torch.randn(cfg.width) * 0.02)
        self.separator = nn.Parameter(torch.randn(cfg.width) * 0.02)
        nn.init.normal_(self.table.weight, std=0.3)

    def forward(
        self, local: View, overview: View | None, entries: NDArray[np.int32]
    ) -> tuple[Tensor, Tensor]:
        """One page → image sequence (length, width), and the local map (rows × cols, width)."""
        tokens = self._map(local)
        parts = [rearrange(tokens, "(R h) (K w) d -> (R K h w) d", h=SIDE, w=SIDE)]
        if overview is not None:
            parts.insert(0, rearrange(self._map(overview), "h w d -> (h w) d") + self.is_global)
        bank = torch.cat([*parts, self.separator[None], self.newline[None]])
        index = np.where(entries == NEWLINE, len(bank) - 1, entries)
        index = np.where(entries == VIEW_SEPARATOR, len(bank) - 2, index)
        return bank[torch.from_numpy(index.astype(np.int64))], rearrange(tokens, "r c d -> (r c) d")

    def _map(self, view: View) -> Tensor:
        x = self.table(view.index, per_sample_weights=view.weight) + self.bias
        x = rearrange(x, "(r c) d -> r c d", r=view.rows) + self.place(
            _places(view.rows, view.cols)
        )
        for mixer in self.mixers:
            x = mixer(x)
        return x


def _places(rows: int, cols: int) -> Tensor:
    """Sines and cosines of row and column, (rows, cols, 4 × FREQUENCIES)."""
    rates = torch.logspace(np.log10(0.05), np.log10(1.6), FREQUENCIES)
    r = torch.arange(rows)[:, None] * rates
    c = torch.arange(cols)[:, None] * rates
    row = torch.cat([r.sin(), r.cos()], 1)[:, None].expand(rows, cols, -1)
    col = torch.cat([c.sin(), c.cos()], 1)[None].expand(rows, cols, -1)
    return torch.cat([row, col], 2)
