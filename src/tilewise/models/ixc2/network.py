"""The network of InternLM-XComposer2-4KHD: pixels and ids in, hidden states and logits out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.memory import VIEW_CHUNK
from tilewise.models.pack import Pack
from tilewise.models.packed import first_views, run_pack
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

    def encode(self, views: Tensor, *, is_checkpointed: bool = False) -> Tensor:
        """Views, normalised → merged tokens in the dtype of the encoder.

        Shape: (n, 3, tile, tile) -> (n, tokens, 4 * vision width).
        """
        views = views.to(self.newline.dtype)
        return merge_patches(self.vit(views, is_checkpointed=is_checkpointed))

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

    def hidden(self, pack: Pack, *, is_checkpointed: bool = False) -> Tensor:
        """Hidden states of a pack, as ``models.pack.Trainable`` has it.

        The projector works token by token, so separators pass it once, not at each of their
        places.
        """
        device = self.newline.device
        seen = [(image.tiles, view) for image in pack.images for view in range(image.views)]

        def encode(some: list[int]) -> Tensor:
            parts = [one_view(*seen[place], device) for place in some]
            return self.encode(torch.stack(parts), is_checkpointed=is_checkpointed)

        tokens, rows, specials = None, list[int](), dict[int, Tensor]()
        if seen:
            firsts = first_views(pack, 1, is_each=self.vit.is_random)
            merged, rows = encode_different(firsts, encode, chunk=VIEW_CHUNK)
            tokens = self.projector(merged)
            newline, separator = self.projector(torch.stack([self.newline, self.view_separator]))
            specials = {NEWLINE: newline, VIEW_SEPARATOR: separator}
        return run_pack(self.decoder, pack, tokens, rows, specials, is_checkpointed=is_checkpointed)


def pixels(tiles: Tiles, device: torch.device) -> Tensor:
    """The canvas of a page as normalised pixels, float32.

    Shape: (canvas height, canvas width, 3) -> (3, canvas height, canvas width).
    """
    return normalised(tiles.canvas, MEAN, STD, device)


def one_view(tiles: Tiles, number: int, device: torch.device) -> Tensor:
    """One of a page's ``views``, (3, tile, tile), without making the others."""
    if number:
        return normalised(tiles.local[number - 1], MEAN, STD, device)
    return whole_view(pixels(tiles, device), tiles.fit.tile)


def whole_view(canvas: Tensor, tile: int) -> Tensor:
    """A page squeezed into one tile, without antialiasing, padding included.

    Shape: (3, height, width) -> (3, tile, tile).
    """
    size = (tile, tile)
    return F.interpolate(canvas[None], size=size, mode="bicubic", align_corners=False)[0]


def views(canvas: Tensor, tile: int) -> list[Tensor]:
    """A page as the encoder sees it: the whole, squeezed into one tile, then its tiles.

    The whole is squeezed without antialiasing, padding included, and loses its aspect ratio.

    Args:
        canvas: normalised pixels (3, height, width), whole tiles.
        tile: side in pixels.

    Returns:
        1 + rows * cols views (3, tile, tile), tiles row by row; these share the canvas's memory.
    """
    corners = product(*(range(0, side, tile) for side in canvas.shape[1:]))
    return [whole_view(canvas, tile), *(canvas[:, y : y + tile, x : x + tile] for y, x in corners)]
