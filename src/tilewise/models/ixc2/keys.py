"""The published names of InternLM-XComposer2-4KHD's tensors, and how to know the model by them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tilewise.errors import WeightsError
from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.key_rules import flat, grouped, joined, same
from tilewise.nn.decoder import DecoderConfig
from tilewise.weights.keymap import KeyRule

VIT: Final = "vit.vision_tower.vision_model"
VIEW_SEPARATOR: Final = "plora_glb_GN"
NEWLINE: Final = "plora_sub_GN"
PROJECTOR: Final = "vision_proj.0.weight"
POSITIONS: Final = f"{VIT}.embeddings.position_embedding.weight"
QKV_RANK: Final = "model.layers.0.attention.wqkv.Plora_A.weight"

_LAYER: Final = "model.layers.{i}"
_VIT_LAYER: Final = f"{VIT}.encoder.layers.{{i}}"

_LINEARS: Final = {
    "attention.out": "attention.wo",
    "mlp.gate": "feed_forward.w1",
    "mlp.up": "feed_forward.w3",
    "mlp.down": "feed_forward.w2",
}
"""Linear layers of a decoder layer with Partial LoRA, but for qkv."""

_VIT_PARTS: Final = {
    "norm": "layer_norm1",
    "out": "self_attn.out_proj",
    "mlp_norm": "layer_norm2",
    "up": "mlp.fc1",
    "down": "mlp.fc2",
}

QUANTISED: Final = frozenset(
    [f"decoder.layers.{{i}}.{part}.weight" for part in ("attention.qkv", *_LINEARS)]
    + [f"vit.layers.{{i}}.{part}.weight" for part in ("qkv", "out", "up", "down")]
)
"""Weights that may be quantised: the linear layers of decoder and encoder layers.

Not Partial LoRA, whose matrices are narrow, nor the projector, the separators, the embedding and
the output: together a seventh of the model, and every visual token or every id passes them.
"""

_UNUSED: Final = (
    f"{VIT}.embeddings.position_ids",
    f"{VIT}.post_layernorm.weight",
    f"{VIT}.post_layernorm.bias",
    f"{_LAYER}.attention.rotary_emb.inv_freq",
)
"""Not in the released files, but copies saved by other library versions may hold them."""


def rules(cfg: Ixc2Config) -> tuple[KeyRule, ...]:
    """The table of names, for ``weights.keymap``."""
    one = [
        same("model.tok_embeddings.weight", "decoder.embed.weight"),
        same("model.norm.weight", "decoder.norm.weight"),
        same("output.weight", "decoder.output.weight"),
        flat(VIEW_SEPARATOR, "view_separator", 3),
        flat(NEWLINE, "newline", 4),
        same(f"{VIT}.embeddings.class_embedding", "vit.cls"),
        same(f"{VIT}.embeddings.patch_embedding.weight", "vit.patch.weight"),
        same(POSITIONS, "vit.positions"),
    ]
    for leaf in ("weight", "bias"):
        one += [
            same(f"vision_proj.0.{leaf}", f"projector.up.{leaf}"),
            same(f"vision_proj.2.{leaf}", f"projector.out.{leaf}"),
            same(f"{VIT}.pre_layrnorm.{leaf}", f"vit.pre_norm.{leaf}"),
        ]
    unused = [KeyRule(theirs=(name,), ours=None) for name in _UNUSED]
    return (*one, *_vit_layer(cfg.vision.width), *_decoder_layer(cfg.decoder), *unused)


def check_kind(shapes: Mapping[str, tuple[int, ...]], cfg: Ixc2Config, folder: Path) -> None:
    """Tell this model from its relatives, whose config.json looks the same.

    Args:
        shapes: of all published tensors by name.
        cfg: what the folder's config says, with the released sizes where it says nothing.
        folder: for the message.

    Raises:
        WeightsError: the tensors are those of another model.

    Source: InternLM-XComposer2-VL has no separators and a projector as narrow as its vision
    encoder; InternLM-XComposer2.5 has 1601 positions and rank 256 in wqkv.
    """
    lora = cfg.decoder.partial_lora
    signs = (
        (VIEW_SEPARATOR, -1, cfg.merged_width, "channels in the separator between the views"),
        (PROJECTOR, 1, cfg.merged_width, "channels into the projector"),
        (POSITIONS, 0, cfg.vision.patches + 1, "vision positions"),
        (QKV_RANK, 0, lora.qkv_rank if lora else 0, "as the rank of Partial LoRA in wqkv"),
    )
    found = [_length(shapes.get(name, ()), axis) for name, axis, _, _ in signs]
    wrong = [
        f"{count or 'none'} instead of {sign[2]} {sign[3]}"
        for count, sign in zip(found, signs, strict=True)
        if count != sign[2]
    ]
    if wrong:
        raise WeightsError(
            f"{folder}: is no InternLM-XComposer2-4KHD but perhaps a relative such as "
            f"InternLM-XComposer2-VL or 2.5 (it has {', '.join(wrong)}); "
            "give a folder of internlm-xcomposer2-4khd-7b or a copy tuned from it."
        )


def _length(shape: tuple[int, ...], axis: int) -> int:
    """Length of an axis, 0 where there is none."""
    return shape[axis] if -len(shape) <= axis < len(shape) else 0


def _vit_layer(width: int) -> list[KeyRule]:
    table = []
    for leaf in ("weight", "bias"):
        table += [
            same(f"{_VIT_LAYER}.{theirs}.{leaf}", f"vit.layers.{{i}}.{ours}.{leaf}")
            for ours, theirs in _VIT_PARTS.items()
        ]
        theirs = tuple(f"{_VIT_LAYER}.self_attn.{part}_proj.{leaf}" for part in "qkv")
        table.append(joined(theirs, f"vit.layers.{{i}}.qkv.{leaf}", (width,) * 3))
    return table


def _decoder_layer(cfg: DecoderConfig) -> list[KeyRule]:
    table = [
        same(f"{_LAYER}.{theirs}.weight", f"decoder.layers.{{i}}.{ours}.weight")
        for ours, theirs in (("attention_norm", "attention_norm"), ("mlp_norm", "ffn_norm"))
    ]
    for ours, theirs in _LINEARS.items():
        at = f"decoder.layers.{{i}}.{ours}"
        table += [
            same(f"{_LAYER}.{theirs}.weight", f"{at}.weight"),
            same(f"{_LAYER}.{theirs}.Plora_A.weight", f"{at}.lora_a.weight"),
            same(f"{_LAYER}.{theirs}.Plora_B.weight", f"{at}.lora_b.weight"),
        ]
    qkv, at = f"{_LAYER}.attention.wqkv", "decoder.layers.{i}.attention.qkv"
    return [
        *table,
        grouped(f"{qkv}.weight", f"{at}.weight", cfg),
        same(f"{qkv}.Plora_A.weight", f"{at}.lora_a.weight"),
        grouped(f"{qkv}.Plora_B.weight", f"{at}.lora_b.weight", cfg),
    ]
