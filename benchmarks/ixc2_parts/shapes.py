"""Random models of IXC2-4KHD's architecture in several sizes, and a prompt to run."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import nn

from tilewise.models.ixc2.config import DECODER, VISION, Ixc2Config
from tilewise.models.ixc2.model import Ixc2Reader
from tilewise.models.ixc2.network import Ixc2
from tilewise.models.units import Prompt
from tilewise.nn.decoder import DecoderConfig, PartialLoraConfig
from tilewise.nn.vit import ViTConfig
from tilewise.records import Page, Tiles
from tilewise.text.tokenizer import ByteTokenizer

TEXT: Final = (96, 24)
"""Ids before and behind the page, about what the default system text and a question take."""


def _shape(share: int, *, layers: int, vision_layers: int, vocabulary: int) -> Ixc2Config:
    """The released model with every width, count of heads and rank divided by ``share``."""
    return Ixc2Config(
        vision=ViTConfig(
            tile=VISION.tile,
            patch=VISION.patch,
            width=VISION.width // share,
            layers=vision_layers,
            heads=VISION.heads // share,
            mlp=VISION.mlp // share,
        ),
        projector_width=4096 // share,
        decoder=DecoderConfig(
            vocabulary=vocabulary,
            width=DECODER.width // share,
            layers=layers,
            heads=DECODER.heads // share,
            kv_heads=DECODER.kv_heads // share,
            mlp=DECODER.mlp // share,
            norm_eps=DECODER.norm_eps,
            rope_theta=DECODER.rope_theta,
            partial_lora=PartialLoraConfig(
                qkv_rank=8 // share, qkv_scale=2.0, rank=256 // share, scale=1.0
            ),
        ),
    )


SHAPES: Final = {
    "full": Ixc2Config(),
    "quarter": _shape(4, layers=32, vision_layers=24, vocabulary=92_544),
    "small": _shape(8, layers=2, vision_layers=2, vocabulary=4096),
}
"""Sizes by name; all but ``small`` have all layers and the whole vocabulary."""


def random_reader(
    cfg: Ixc2Config, dtype: torch.dtype, device: torch.device, seed: int = 0
) -> Ixc2Reader:
    """A reader whose weights are noise, made in place so that nothing else is in memory."""
    with torch.device("meta"):
        network = Ixc2(cfg).to(dtype)
    network.to_empty(device=device).eval().requires_grad_(False)
    generator = torch.Generator(device).manual_seed(seed)
    for name, weight in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(weight)
        elif name.endswith("norm.weight"):
            nn.init.ones_(weight)
        else:
            weight.normal_(std=0.02, generator=generator)
    return Ixc2Reader(network, ByteTokenizer(cfg.decoder.vocabulary))


def noise_page(width: int, height: int) -> Page:
    """A page of noise, the same every time."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Page(pixels=noise, name="noise")


def page_prompt(reader: Ixc2Reader, tiles: Tiles) -> Prompt:
    """A page between random ids."""
    random = np.random.default_rng(1)
    parts = [random.integers(3, reader.cfg.decoder.vocabulary, count).tolist() for count in TEXT]
    return reader.prompt_of(parts, [tiles])


def described(reader: Ixc2Reader) -> str:
    """Sizes of a model in words."""
    vision, decoder = reader.cfg.vision, reader.cfg.decoder
    count = sum(weight.numel() for weight in reader.network.parameters())
    return (
        f"{count / 1e6:,.0f} M random weights: {vision.layers} vision layers of width "
        f"{vision.width}, {decoder.layers} decoder layers of width {decoder.width}, "
        f"{decoder.heads} heads, {decoder.kv_heads} key heads, MLP {decoder.mlp}, vocabulary "
        f"{decoder.vocabulary}"
    )
