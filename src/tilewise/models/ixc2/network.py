"""The network of InternLM-XComposer2-4KHD: pixels and ids in, hidden states and logits out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.views import Channels, encode_different, moved, normalised
from tilewise.nn.decoder import Decoder
from tilewise.nn.merge import merge_patches
from tilewise.nn.projector import Projector
from tilewise.nn.vit import ViT
from tilewise.records import NEWLINE, VIEW_SEPARATOR, Plan, Tiles
from tilewise.tiling.partition import first_equals

MEAN: Final[Channels] = (0.48145466, 0.4578275, 0.40821073)
STD: Final[Channels] = (0.26862954, 0.26130258, 0.27577711)
"""Of the channels red, green, blue in [0, 1], as CLIP was trained (arXiv 2103.00020)."""


class Ixc2(nn.Module):
    """All weights of the model. ``newline`` and ``view_separator`` stand among merged tokens."""

    def __init__(self, cfg: Ixc2Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.vit = ViT(cfg.vision)
        self.newline = nn.Parameter(torch.zeros(cfg.merged_width))
        self.view_separator = nn.Parameter(torch.zeros(cfg.merged_width))
        self.projector = Projector(cfg.merged_width, cfg.projector_width, cfg.decoder.width)
        self.decoder = Decoder(cfg.decoder)

    def encode(self, views: Tensor) -> Tensor:
        """Views, normalised → merged tokens in the dtype of the encoder.

        Shape: (n, 3, tile, tile) -> (n, tokens, 4 * vision width).
        """
        return merge_patches(self.vit(views.to(self.newline.dtype)))

    def arrange(self, merged: Tensor, plan: Plan) -> Tensor:
        """Put merged tokens and separators into the order of a plan.

        Shape: (views, tokens, 4 * vision width) -> (plan length, 4 * vision width).
        """
        flat = merged.flatten(0, 1)
        table = torch.cat([flat, self.newline[None], self.view_separator[None]])
        index = torch.from_numpy(plan.entries).long()
        index = index.masked_fill(index == NEWLINE, len(flat))
        index = index.masked_fill(index == VIEW_SEPARATOR, len(flat) + 1)
        return table[index.to(merged.device)]

    def image(
        self,
        tiles: Tiles,
        plan: Plan,
        *,
        chunk: int = 8,
        progress: Callable[[int], None] | None = None,
    ) -> Tensor:
        """One page → its image sequence as embeddings of the decoder.

        Tiles that are equal pixel for pixel, such as blank margins, pass the encoder once.

        Args:
            tiles: the page, cut.
            plan: of its grid.
            chunk: views that run through the encoder at a time; memory grows with it.
            progress: told how many views a chunk stands for.

        Returns:
            (plan length, decoder width).
        """
        parts = views(pixels(tiles, self.newline.device), tiles.fit.tile)
        firsts = [0, *(1 + first for first in first_equals(tiles.local))]
        merged, rows = encode_different(
            firsts,
            lambda some: self.encode(torch.stack([parts[view] for view in some])),
            chunk=chunk,
            progress=progress,
        )
        return self.projector(self.arrange(merged, moved(plan, rows)))


def pixels(tiles: Tiles, device: torch.device) -> Tensor:
    """The canvas of a page as normalised pixels, float32.

    Shape: (canvas height, canvas width, 3) -> (3, canvas height, canvas width).
    """
    return normalised(tiles.canvas, MEAN, STD, device)


def views(canvas: Tensor, tile: int) -> list[Tensor]:
    """A page as the encoder sees it: the whole, squeezed into one tile, then its tiles.

    The whole is squeezed without antialiasing, padding included, and loses its aspect ratio.

    Args:
        canvas: normalised pixels (3, height, width), whole tiles.
        tile: side in pixels.

    Returns:
        1 + rows * cols views (3, tile, tile), tiles row by row; these share the canvas's memory.
    """
    whole = F.interpolate(canvas[None], size=(tile, tile), mode="bicubic", align_corners=False)
    corners = product(*(range(0, side, tile) for side in canvas.shape[1:]))
    return [whole[0], *(canvas[:, y : y + tile, x : x + tile] for y, x in corners)]
