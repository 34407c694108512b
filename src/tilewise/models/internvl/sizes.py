"""Settings of the released models, for what can be told before their files are here."""

from __future__ import annotations

from typing import Final, Literal

import torch

from tilewise.models.internvl.config import InternVLConfig
from tilewise.models.internvl.language import Language
from tilewise.nn.decoder import DecoderConfig
from tilewise.nn.rope import DynamicNtk, LongRope
from tilewise.nn.vit import ViTConfig

Size = Literal["1B", "2B", "4B", "26B"]

SMALL_VISION: Final = ViTConfig(
    tile=448,
    patch=14,
    width=1024,
    layers=24,
    heads=16,
    mlp=4096,
    norm_eps=1e-6,
    has_pre_norm=False,
    has_patch_bias=True,
    activation="gelu",
    has_layer_scale=True,
)
"""InternViT-300M-448px."""

LARGE_VISION: Final = ViTConfig(
    tile=448,
    patch=14,
    width=3200,
    layers=45,
    heads=25,
    mlp=12_800,
    norm_eps=1e-6,
    norm="rms",
    has_pre_norm=False,
    has_patch_bias=True,
    has_qkv_bias=False,
    has_qk_norm=True,
    activation="gelu",
    has_layer_scale=True,
)
"""InternViT-6B-448px-V1-5, without the last three of its 48 layers."""

QWEN2: Final = DecoderConfig(
    vocabulary=151_655,
    width=896,
    layers=24,
    heads=14,
    kv_heads=2,
    mlp=4864,
    norm_eps=1e-6,
    rope_theta=1e6,
    has_qkv_bias=True,
)
"""Qwen2-0.5B."""

INTERNLM2: Final = DecoderConfig(
    vocabulary=92_553,
    width=2048,
    layers=24,
    heads=16,
    kv_heads=8,
    mlp=8192,
    norm_eps=1e-5,
    rope_theta=1e6,
    rope_scaling=DynamicNtk(factor=2.0, positions=32_768),
)
"""InternLM2-1.8B."""

LARGE_INTERNLM2: Final = DecoderConfig(
    vocabulary=92_553,
    width=6144,
    layers=48,
    heads=48,
    kv_heads=8,
    mlp=16_384,
    norm_eps=1e-5,
    rope_theta=1e6,
    rope_scaling=DynamicNtk(factor=3.0, positions=32_768),
)
"""InternLM2-20B."""

PHI3: Final = DecoderConfig(
    vocabulary=32_020,
    width=3072,
    layers=32,
    heads=32,
    kv_heads=32,
    mlp=8192,
    norm_eps=1e-5,
    rope_theta=1e4,
    rope_scaling=LongRope(short=(1.0,) * 48, long=(1.0,) * 48, original=4096, positions=131_072),
)
"""Phi-3-mini-128k, but for the factors of its rotary positions, which the files give."""

_MADE_OF: Final[dict[Size, tuple[ViTConfig, DecoderConfig, Language, str, int]]] = {
    "1B": (SMALL_VISION, QWEN2, "qwen2", "Hermes-2", 32_768),
    "2B": (SMALL_VISION, INTERNLM2, "internlm2", "internlm2-chat", 32_768),
    "4B": (SMALL_VISION, PHI3, "phi3", "phi3-chat", 131_072),
    "26B": (LARGE_VISION, LARGE_INTERNLM2, "internlm2", "internlm2-chat", 32_768),
}
"""Vision encoder, language model, its kind, template and context of each size."""

SIZES: Final[dict[Size, InternVLConfig]] = {
    size: InternVLConfig(
        vision=vision,
        decoder=decoder,
        language=language,
        template=template,
        context=context,
        dtype=torch.bfloat16,
    )
    for size, (vision, decoder, language, template, context) in _MADE_OF.items()
}
"""The released models by the size in their names. Source: InternVL 1.5 (arXiv 2404.16821) and
Mini-InternVL (arXiv 2410.16261), sections on the architecture, and the released config files."""
