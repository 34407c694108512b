"""Settings of InternVL 1.5 and Mini-InternVL, whichever of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from tilewise.nn.decoder import DecoderConfig
from tilewise.nn.vit import ViTConfig
from tilewise.tiling.config import TilingConfig

Language = Literal["internlm2", "qwen2", "phi3", "llama"]
"""Kinds of language model, which differ in the names and fusing of their tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InternVLConfig:
    """One model of the family.

    ``template`` names the prompt's form, ``system`` is the text of its system turn, None for the
    template's own. ``is_transposed``: visual tokens of a tile are listed column by column
    (version 1 of the merge). ``max_tiles`` is the checkpoint's tile limit; where it is not
    ``is_dynamic``, every page is one tile. ``context`` counts positions of a prompt with its
    answer. ``dtype`` is the one that the config names. ``vision_lora`` and ``text_lora`` are the
    ranks of adapters that the checkpoint keeps beside the weights they belong to, 0 for none.
    """

    vision: ViTConfig
    decoder: DecoderConfig
    language: Language
    template: str
    system: str | None = None
    is_transposed: bool = False
    projector_norm_eps: float = 1e-5
    min_tiles: int = 1
    max_tiles: int = 12
    has_thumbnail: bool = True
    is_dynamic: bool = True
    context: int = 32_768
    dtype: torch.dtype | None = None
    vision_lora: int = 0
    text_lora: int = 0

    @property
    def merged_width(self) -> int:
        """Channels of a visual token before the projector: those of 2 × 2 patches."""
        return 4 * self.vision.width

    def tiling(self, max_tiles: int) -> TilingConfig:
        """How pages are cut for this model."""
        limit = max_tiles if self.is_dynamic else 1
        return TilingConfig(
            tile=self.vision.tile,
            patch=self.vision.patch,
            max_tiles=limit,
            min_tiles=min(self.min_tiles, limit),
            has_global=self.has_thumbnail,
            has_newline=False,
            rule="nearest",
            global_place="last",
            has_ends=True,
        )
