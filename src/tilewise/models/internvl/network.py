"""The network of InternVL: pixels and ids in, hidden states and logits out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from tilewise.errors import PromptError
from tilewise.models.internvl.config import InternVLConfig
from tilewise.models.memory import VIEW_CHUNK
from tilewise.models.pack import Pack
from tilewise.models.packed import first_views, run_pack
from tilewise.models.units import Image
from tilewise.models.views import Channels, encode_different, moved, normalised
from tilewise.nn.decoder import Decoder
from tilewise.nn.merge import merge_patches
from tilewise.nn.projector import Projector
from tilewise.nn.vit import ViT
from tilewise.records import IMAGE_END, IMAGE_START, Pixels, Plan, Tiles
from tilewise.tiling.partition import first_equals

MEAN: Final[Channels] = (0.485, 0.456, 0.406)
STD: Final[Channels] = (0.229, 0.224, 0.225)
"""Of the channels red, green, blue in [0, 1]: those of ImageNet, as InternViT was trained."""


class InternVL(nn.Module):
    """All weights of the model. Visual tokens stand among the embeddings of ids.

    ``ends`` are the ids in front of a page and behind it; the model's tokenizer knows them.
    """

    ends: tuple[int, int] | None = None

    def __init__(self, cfg: InternVLConfig) -> None:
        super().__init__()
        self.cfg = cfg
        width = cfg.decoder.width
        self.vit = ViT(cfg.vision)
        self.projector = Projector(cfg.merged_width, width, width, cfg.projector_norm_eps)
        self.decoder = Decoder(cfg.decoder)

    def encode(self, views: Tensor, *, is_checkpointed: bool = False) -> Tensor:
        """Views, normalised → visual tokens as embeddings of the decoder.

        Shape: (n, 3, tile, tile) -> (n, tokens, decoder width).
        """
        patches = self.vit(views.to(self.vit.cls.dtype), is_checkpointed=is_checkpointed)
        return self.projector(merge_patches(patches, is_transposed=self.cfg.is_transposed))

    def images(
        self,
        pages: Sequence[Image],
        ends: tuple[int, int],
        *,
        chunk: int = VIEW_CHUNK,
        progress: Callable[[int], None] | None = None,
    ) -> list[Tensor]:
        """Pages → their image sequences as embeddings of the decoder.

        Views of all of them run together. Those that are equal pixel for pixel, such as blank
        margins, pass the encoder once.

        Args:
            pages: cut, each with the plan of its grid.
            ends: ids in front of a sequence and behind it.
            chunk: views that run through the encoder at a time; memory grows with it.
            progress: told how many views a chunk stands for.

        Returns:
            For each page (plan length, decoder width).

        Raises:
            PromptError: a plan has another number of places than its page has visual tokens.
        """
        seen = [view for page in pages for view in _planned_views(page)]
        device = self.vit.cls.device
        tokens, rows = encode_different(
            first_equals(seen),
            lambda some: self.encode(
                normalised(np.stack([seen[view] for view in some]), MEAN, STD, device)
            ),
            chunk=chunk,
            progress=progress,
        )
        flat, own = tokens.flatten(0, 1), iter(rows)
        plans = (moved(page.plan, list(islice(own, page.views))) for page in pages)
        return [self._arranged(flat, plan, ends) for plan in plans]

    def hidden(self, pack: Pack, *, is_checkpointed: bool = False) -> Tensor:
        """Hidden states of a pack, as ``models.pack.Trainable`` has it.

        Raises:
            ValueError: ``ends`` is not set and the pack has pages.
        """
        seen = [view for image in pack.images for view in views(image.tiles)]
        device = self.vit.cls.device

        def encode(some: list[int]) -> Tensor:
            parts = np.stack([seen[view] for view in some])
            return self.encode(
                normalised(parts, MEAN, STD, device), is_checkpointed=is_checkpointed
            )

        tokens, rows, specials = None, list[int](), dict[int, Tensor]()
        if seen:
            if self.ends is None:
                raise ValueError("InternVL.ends is None; set it to the ids around a page")
            firsts = first_views(pack, is_each=self.vit.is_random)
            tokens, rows = encode_different(firsts, encode, chunk=VIEW_CHUNK)
            around = self.decoder.embed(torch.tensor(self.ends, device=device))
            specials = {IMAGE_START: around[0], IMAGE_END: around[1]}
        return run_pack(self.decoder, pack, tokens, rows, specials, is_checkpointed=is_checkpointed)

    def _arranged(self, tokens: Tensor, plan: Plan, ends: tuple[int, int]) -> Tensor:
        """Visual tokens (n, width), and the embeddings of the ends, in the order of a plan."""
        index = torch.from_numpy(plan.entries).long()
        index = index.masked_fill(index == IMAGE_START, len(tokens))
        index = index.masked_fill(index == IMAGE_END, len(tokens) + 1)
        around = self.decoder.embed(torch.tensor(ends, device=tokens.device))
        return torch.cat([tokens, around])[index.to(tokens.device)]


def _planned_views(page: Image) -> Pixels:
    """The views of a page whose plan has a place for each of their tokens."""
    seen, size = views(page.tiles), page.plan.tokens_per_tile
    slots = int(page.plan.entries.max(initial=-1)) + 1
    if slots != len(seen) * size:
        raise PromptError(
            f"the prompt has places for {slots} visual tokens of a page and the page gives "
            f"{len(seen) * size} ({len(seen)} views of {size}); plan the page with the tiles that "
            "it was cut into."
        )
    return seen


def views(tiles: Tiles) -> Pixels:
    """A page as the encoder sees it: its tiles row by row, then the whole if there is that view.

    Shape: uint8 (views, tile, tile, 3).
    """
    return tiles.local if tiles.whole is None else np.concatenate([tiles.local, tiles.whole[None]])
