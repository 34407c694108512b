"""Small things that the tests of InternVL are made of: golden models and random ones."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.goldens import family_folder, model_folders
from tilewise.models.internvl.config import NATIVE, InternVLConfig, read_config
from tilewise.models.internvl.keys import name_form, rules
from tilewise.models.internvl.model import InternVLReader, load_internvl
from tilewise.models.internvl.network import InternVL
from tilewise.models.internvl.prompt import random_tokens
from tilewise.models.units import Prompt
from tilewise.nn.decoder import DecoderConfig
from tilewise.nn.rope import LongRope
from tilewise.nn.vit import ViTConfig
from tilewise.records import Page, Tiles
from tilewise.text.templates import TEMPLATES
from tilewise.text.tokenizer import ByteTokenizer
from tilewise.weights.files import TensorFiles
from tilewise.weights.files import read_config as read_file

VOCABULARY: Final = 300
SMALL: Final = InternVLConfig(
    vision=ViTConfig(
        tile=56,
        patch=14,
        width=8,
        layers=1,
        heads=2,
        mlp=12,
        norm_eps=1e-6,
        has_pre_norm=False,
        has_patch_bias=True,
        activation="gelu",
        has_layer_scale=True,
    ),
    decoder=DecoderConfig(
        vocabulary=VOCABULARY,
        width=24,
        layers=2,
        heads=6,
        kv_heads=2,
        mlp=32,
        norm_eps=1e-5,
        rope_theta=1e4,
    ),
    language="qwen2",
    template="Hermes-2",
    system="",
    context=900,
)
"""Tiles of 56 px with 4 tokens each."""

STRETCHED: Final = replace(
    SMALL,
    language="phi3",
    template="phi3-chat",
    decoder=replace(
        SMALL.decoder,
        rope_scaling=LongRope(short=(1.0, 1.2), long=(1.0, 3.0), original=80, positions=900),
    ),
)
"""The same with a rotary table that changes beyond 80 positions."""


def small_reader(cfg: InternVLConfig = SMALL, dtype: torch.dtype = torch.float32) -> InternVLReader:
    """A reader with random weights and bytes as ids. It runs 7 positions and 2 views at a time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = InternVL(cfg)
        for name, weight in network.named_parameters():
            if not name.endswith("norm.weight"):
                nn.init.normal_(weight, std=0.2)
    network.to(dtype).eval().requires_grad_(False)
    tokens = random_tokens({}, cfg, TEMPLATES[cfg.template])
    reader = InternVLReader(network, ByteTokenizer(VOCABULARY, tokens))
    reader.chunk, reader.view_chunk = 7, 2
    return reader


def noise_page(width: int, height: int, seed: int = 0, *, is_frame: bool = False) -> Page:
    """A page of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Page(pixels=noise, name="noise", is_frame=is_frame)


def golden_pairs() -> list[tuple[Path, Path]]:
    """Folders with a model, each with the folder of what it should give.

    A folder in the library's own form has no expected values: they are those of the published
    model with the same weights.
    """
    expecting = model_folders("internvl")
    pairs = [(folder, folder) for folder in expecting]
    root = family_folder("internvl")
    for config in sorted(root.rglob("config.json")) if root else []:
        folder = config.parent
        if folder not in expecting and json.loads(config.read_text())["model_type"] == NATIVE:
            own = _class_token(folder)
            pairs += [
                (folder, other) for other in expecting if torch.equal(_class_token(other), own)
            ]
    return pairs


def _class_token(folder: Path) -> Tensor:
    """A vector that tells models apart, whichever form their files have."""
    files, cfg = TensorFiles(folder), read_config(read_file(folder))
    table = rules(cfg, name_form(files.infos, folder))
    (name,) = [rule.theirs[0] for rule in table if rule.ours == "vit.cls"]
    return files.read(name).flatten()


@cache
def golden_reader(folder: Path) -> InternVLReader:
    """The model of a folder in float32."""
    return load_internvl(folder, dtype=torch.float32)


@cache
def expected(folder: Path) -> dict[str, Tensor]:
    """What the reference did."""
    return load_file(folder / "expected.safetensors")


@cache
def golden_tiles(folder: Path, truth: Path) -> Tiles:
    """The golden page, cut by the reader of a folder."""
    page = Page(pixels=expected(truth)["source_image_u8"].numpy(), name="golden")
    return golden_reader(folder).tiles(page, 12)


def golden_prompt(folder: Path, truth: Path) -> Prompt:
    """The golden prompt about the golden page."""
    ids = expected(truth)["input_ids"][0].tolist()
    return golden_reader(folder).prompt_of(
        parts(golden_reader(folder), ids), [golden_tiles(folder, truth)]
    )


def parts(reader: InternVLReader, ids: list[int]) -> list[list[int]]:
    """Ids before and behind the one page that they hold."""
    start, stop = (reader.tokenizer.id_of(name) for name in ("<img>", "</img>"))
    assert start is not None and stop is not None  # noqa: PT018 - for mypy
    return [ids[: ids.index(start)], ids[ids.index(stop) + 1 :]]
