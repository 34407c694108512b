"""Small things that the tests of IXC2-4KHD are made of: golden models and random ones."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import nn

from tests.goldens import family_folder
from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.ixc2.model import Ixc2Reader, load_ixc2
from tilewise.models.ixc2.network import Ixc2
from tilewise.models.units import Prompt
from tilewise.nn.decoder import DecoderConfig, PartialLoraConfig
from tilewise.nn.vit import ViTConfig
from tilewise.records import Page, Tiles
from tilewise.text.tokenizer import ByteTokenizer

VOCABULARY: Final = 300
SMALL: Final = Ixc2Config(
    vision=ViTConfig(tile=28, patch=7, width=8, layers=1, heads=2, mlp=12),
    projector_width=20,
    decoder=DecoderConfig(
        vocabulary=VOCABULARY,
        width=24,
        layers=2,
        heads=6,
        kv_heads=2,
        mlp=32,
        norm_eps=1e-5,
        rope_theta=1e4,
        partial_lora=PartialLoraConfig(qkv_rank=2, qkv_scale=2.0, rank=3, scale=1.0),
    ),
    context=900,
)
"""Tiles of 28 px with 4 tokens each."""


def small_reader(seed: int = 0, dtype: torch.dtype = torch.float32) -> Ixc2Reader:
    """A reader with random weights and bytes as ids. It runs 7 positions and 2 views at a time."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Ixc2(SMALL)
        for name, weight in network.named_parameters():
            if not name.endswith("norm.weight"):
                nn.init.normal_(weight, std=0.5 if "lora" in name else 0.2)
    network.to(dtype).eval().requires_grad_(False)
    reader = Ixc2Reader(network, ByteTokenizer(VOCABULARY))
    reader.system, reader.chunk, reader.view_chunk = None, 7, 2
    return reader


def noise_page(width: int, height: int, seed: int = 0) -> Page:
    """A page of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Page(pixels=noise, name="noise")


def golden_folders() -> list[Path]:
    """Folders with a model and the ids that it should give."""
    root = family_folder("ixc2-4khd")
    configs = sorted(root.rglob("config.json")) if root else []
    files = ("model.safetensors", "expected.json")
    return [c.parent for c in configs if all((c.parent / name).is_file() for name in files)]


@cache
def golden_reader(folder: Path) -> Ixc2Reader:
    """The model of a folder in float32."""
    return load_ixc2(folder, dtype=torch.float32)


def expected(folder: Path) -> dict[str, Any]:
    """What the reference did."""
    return dict(json.loads((folder / "expected.json").read_text()))


@cache
def golden_tiles(folder: Path, image: str) -> Tiles:
    """An image of a golden folder, cut."""
    pixels = np.asarray(Image.open(folder / f"{image}_input.png").convert("RGB"))
    limit = expected(folder)[image]["hd_num"]
    return golden_reader(folder).tiles(Page(pixels=pixels, name=image), limit)


def golden_prompt(folder: Path, name: str) -> Prompt:
    """A prompt of a golden folder."""
    parts: list[list[int]] = [[]]
    pages = []
    for part in expected(folder)["prompts"][name]["parts"]:
        if isinstance(part, str):
            pages.append(golden_tiles(folder, part))
            parts.append([])
        else:
            parts[-1] += part
    return golden_reader(folder).prompt_of(parts, pages)
