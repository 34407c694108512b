"""The published names of InternLM-XComposer2-4KHD's tensors, and how to know the model by them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from einops import rearrange
from torch import Tensor

from tilewise.errors import WeightsError
from tilewise.models.ixc2.config import Ixc2Config
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
        _same("model.tok_embeddings.weight", "decoder.embed.weight"),
        _same("model.norm.weight", "decoder.norm.weight"),
        _same("output.weight", "decoder.output.weight"),
        _flat(VIEW_SEPARATOR, "view_separator", 3),
        _flat(NEWLINE, "newline", 4),
        _same(f"{VIT}.embeddings.class_embedding", "vit.cls"),
        _same(f"{VIT}.embeddings.patch_embedding.weight", "vit.patch.weight"),
        _same(POSITIONS, "vit.positions"),
    ]
    for leaf in ("weight", "bias"):
        one += [
            _same(f"vision_proj.0.{leaf}", f"projector.up.{leaf}"),
            _same(f"vision_proj.2.{leaf}", f"projector.out.{leaf}"),
            _same(f"{VIT}.pre_layrnorm.{leaf}", f"vit.pre_norm.{leaf}"),
        ]
    unused = [KeyRule(theirs=(name,), ours=None) for name in _UNUSED]
    return (*one, *_vit_layer(), *_decoder_layer(cfg.decoder), *unused)


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


def _same(theirs: str, ours: str) -> KeyRule:
    return KeyRule(theirs=(theirs,), ours=ours)


def _flat(theirs: str, ours: str, axes: int) -> KeyRule:
    """A vector, published with axes of length one before it."""
    return KeyRule(
        theirs=(theirs,),
        ours=ours,
        load=lambda value: value.reshape(-1),
        store=lambda value: (value.reshape(*[1] * (axes - 1), -1),),
    )


def _vit_layer() -> list[KeyRule]:
    table = []
    for leaf in ("weight", "bias"):
        table += [
            _same(f"{_VIT_LAYER}.{theirs}.{leaf}", f"vit.layers.{{i}}.{ours}.{leaf}")
            for ours, theirs in _VIT_PARTS.items()
        ]
        table.append(
            KeyRule(
                theirs=tuple(f"{_VIT_LAYER}.self_attn.{part}_proj.{leaf}" for part in "qkv"),
                ours=f"vit.layers.{{i}}.qkv.{leaf}",
                load=lambda *parts: torch.cat(parts),
                store=lambda value: tuple(part.contiguous() for part in value.chunk(3)),
            )
        )
    return table


def _decoder_layer(cfg: DecoderConfig) -> list[KeyRule]:
    table = [
        _same(f"{_LAYER}.{theirs}.weight", f"decoder.layers.{{i}}.{ours}.weight")
        for ours, theirs in (("attention_norm", "attention_norm"), ("mlp_norm", "ffn_norm"))
    ]
    for ours, theirs in _LINEARS.items():
        at = f"decoder.layers.{{i}}.{ours}"
        table += [
            _same(f"{_LAYER}.{theirs}.weight", f"{at}.weight"),
            _same(f"{_LAYER}.{theirs}.Plora_A.weight", f"{at}.lora_a.weight"),
            _same(f"{_LAYER}.{theirs}.Plora_B.weight", f"{at}.lora_b.weight"),
        ]
    qkv, at = f"{_LAYER}.attention.wqkv", "decoder.layers.{i}.attention.qkv"
    return [
        *table,
        _grouped(f"{qkv}.weight", f"{at}.weight", cfg),
        _same(f"{qkv}.Plora_A.weight", f"{at}.lora_a.weight"),
        _grouped(f"{qkv}.Plora_B.weight", f"{at}.lora_b.weight", cfg),
    ]


def _grouped(theirs: str, ours: str, cfg: DecoderConfig) -> KeyRule:
    """Rows published by key head, each with its queries, its key and its value."""
    queries = cfg.heads // cfg.kv_heads

    def load(value: Tensor) -> Tensor:
        groups = rearrange(value, "(g p d) c -> p g d c", g=cfg.kv_heads, p=queries + 2)
        q = rearrange(groups[:queries], "p g d c -> (g p d) c")
        return torch.cat([q, *groups[queries:].flatten(1, 2)])

    def store(value: Tensor) -> tuple[Tensor, ...]:
        q, k, v = value.split([cfg.width, *[cfg.kv_heads * cfg.head_size] * 2])
        q = rearrange(q, "(g p d) c -> g p d c", g=cfg.kv_heads, p=queries)
        k, v = (rearrange(x, "(g d) c -> g 1 d c", g=cfg.kv_heads) for x in (k, v))
        return (torch.cat([q, k, v], dim=1).flatten(0, 2),)

    return KeyRule(theirs=(theirs,), ours=ours, load=load, store=store)
