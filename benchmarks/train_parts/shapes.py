"""Random models of InternVL's architecture in several sizes, and packs that they learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import nn

from tilewise.models.internvl.config import InternVLConfig, read_config
from tilewise.models.internvl.network import InternVL
from tilewise.models.pack import IGNORE, Example, Pack
from tilewise.models.units import Image
from tilewise.records import Page
from tilewise.tiling.layout import plan
from tilewise.tiling.partition import cut


class Shape(NamedTuple):
    """Sizes of a model; heads have 64 channels and the key heads are half as many."""

    vision_width: int
    vision_layers: int
    width: int
    layers: int
    vocabulary: int
    tile: int = 448


SHAPES: Final = {
    "medium": Shape(256, 8, 512, 8, 92_553),
    "small": Shape(256, 4, 512, 4, 16_384),
    "tiny": Shape(64, 1, 128, 1, 512, tile=56),
}
"""Sizes by name; ``medium`` has the tiles and the vocabulary of the released 2B model."""


class Asked(NamedTuple):
    """An example by its counts: tiles of a page beside each other, 0 for none, and ids of text."""

    tiles: int
    text: int


def published(shape: Shape) -> dict[str, Any]:
    """The model as its authors' config.json would have it, with Qwen2 as the language model."""
    return {
        "model_type": "internvl_chat",
        "downsample_ratio": 0.5,
        "max_dynamic_patch": 12,
        "ps_version": "v2",
        "template": "Hermes-2",
        "torch_dtype": "float32",
        "vision_config": {
            "hidden_size": shape.vision_width,
            "num_attention_heads": shape.vision_width // 64,
            "intermediate_size": 4 * shape.vision_width,
            "num_hidden_layers": shape.vision_layers,
            "norm_type": "layer_norm",
            "qk_normalization": False,
            "qkv_bias": True,
            "image_size": shape.tile,
            "patch_size": 14,
        },
        "llm_config": {
            "architectures": ["Qwen2ForCausalLM"],
            "hidden_size": shape.width,
            "num_attention_heads": shape.width // 64,
            "num_key_value_heads": shape.width // 128,
            "intermediate_size": 4 * shape.width,
            "num_hidden_layers": shape.layers,
            "vocab_size": shape.vocabulary,
            "max_position_embeddings": 32_768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1e6,
            "tie_word_embeddings": False,
            "use_sliding_window": False,
        },
    }


def random_network(shape: Shape, seed: int = 0) -> InternVL:
    """A network of noise that is ready to learn. Its last ids are ``<img>`` and ``</img>``."""
    network = InternVL(read_config(published(shape)))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            elif not name.endswith(("norm.weight", "scale")):
                weight.normal_(std=0.02, generator=generator)
    network.ends = (shape.vocabulary - 3, shape.vocabulary - 1)
    return network.train()


def pack_of(cfg: InternVLConfig, asked: Sequence[Asked], seed: int = 0) -> Pack:
    """Examples of noise, of whose text the second half is learned."""
    random = np.random.default_rng(seed)
    examples = []
    for tiles, text in asked:
        ids = random.integers(3, cfg.decoder.vocabulary - 3, text).tolist()
        labels = [IGNORE] * (text - text // 2) + ids[text - text // 2 :]
        units: list[int | Image] = list(ids)
        if tiles:
            image = _image(cfg, tiles, random)
            units.insert(1, image)
            labels[1:1] = [IGNORE] * len(image.plan)
        examples.append(Example(units=tuple(units), labels=tuple(labels)))
    return Pack(examples=tuple(examples))


def _image(cfg: InternVLConfig, tiles: int, random: np.random.Generator) -> Image:
    """A page that is cut into so many tiles, beside each other."""
    tiling, side = cfg.tiling(tiles), cfg.vision.tile
    pixels = random.integers(0, 256, (side, side * tiles, 3), np.uint8)
    made = cut(Page(pixels=pixels, name="noise"), tiling)
    assert len(made.local) == tiles, "a page of this shape fills this grid"
    return Image(tiles=made, plan=plan(made.fit.grid, tiling))


def described(network: InternVL) -> str:
    """Sizes of a model in words."""
    vision, decoder = network.cfg.vision, network.cfg.decoder
    count = sum(weight.numel() for weight in network.parameters())
    return (
        f"InternVL of {count / 1e6:,.0f} M random weights: {vision.layers} vision layers of width "
        f"{vision.width}, {decoder.layers} decoder layers of width {decoder.width}, vocabulary "
        f"{decoder.vocabulary}, tiles of {vision.tile} px"
    )
