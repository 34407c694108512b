"""The names of InternVL's tensors: as published, and in the transformers library's own form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import torch

from tilewise.errors import WeightsError
from tilewise.models.internvl.config import InternVLConfig
from tilewise.models.key_rules import flat, grouped, joined, parted, same
from tilewise.nn.decoder import DecoderConfig
from tilewise.nn.vit import ViTConfig
from tilewise.weights.files import TensorFiles
from tilewise.weights.keymap import KeyRule, Tensors
from tilewise.weights.lora import Adapters, MergedFiles
from tilewise.weights.names import listed

NameForm = Literal["official", "native", "native-memory"]
"""Whose names: the published ones, the library's in its files, or those of its loaded model."""

QUANTISED: Final = frozenset(
    f"decoder.layers.{{i}}.{part}.weight"
    for part in ("attention.qkv", "attention.out", "mlp.gate", "mlp.up", "mlp.down")
)
"""Weights that may be quantised: the linear layers of the language model.

Not the vision encoder: the large one gives nonsense with weights in four bits, as its authors say,
and every visual token passes it.
"""

_OURS: Final = "decoder.layers.{i}"
_VIT: Final = "vit.layers.{i}"

_VIT_PARTS: Final[Mapping[NameForm, Mapping[str, str]]] = {
    "official": {
        "norm": "norm1",
        "q_norm": "attn.q_norm",
        "k_norm": "attn.k_norm",
        "out": "attn.proj",
        "mlp_norm": "norm2",
        "up": "mlp.fc1",
        "down": "mlp.fc2",
    },
    "native": {
        "norm": "layernorm_before",
        "q_norm": "attention.q_norm",
        "k_norm": "attention.k_norm",
        "out": "attention.projection_layer",
        "mlp_norm": "layernorm_after",
        "up": "mlp.fc1",
        "down": "mlp.fc2",
    },
}
"""Parts of a vision layer that have weights and often biases, and what they are called."""


def rules(cfg: InternVLConfig, form: NameForm = "official") -> tuple[KeyRule, ...]:
    """The table of names, for ``weights.keymap``.

    Args:
        cfg: sizes, and the kind of the language model; the library knows InternLM2 as Llama.
        form: whose names.
    """
    if form == "official":
        return (*vision_rules(cfg.vision), *_projector("mlp1", ("0", "1", "3")), *_language(cfg))
    head = "language_model.lm_head" if form == "native" else "lm_head"
    inner = "language_model.model" if form == "native" else "model.language_model"
    before = "" if form == "native" else "model."
    layer = _separate if cfg.language != "phi3" else _fused
    parts = ("layer_norm", "linear_1", "linear_2")
    return (
        *_native_vision(cfg, f"{before}vision_tower"),
        *_projector(f"{before}multi_modal_projector", parts),
        *_ends(f"{inner}.embed_tokens", f"{inner}.norm", "" if cfg.decoder.is_tied else head),
        *layer(cfg.decoder, f"{inner}.layers.{{i}}"),
    )


def name_form(names: Iterable[str], folder: Path) -> NameForm:
    """Whose names a folder's tensors have; raises WeightsError if they are of another model."""
    there = sorted(names)
    for form, start in _STARTS.items():
        if any(name.startswith(start) for name in there):
            return form
    raise WeightsError(
        f"{folder}: its tensors are not those of an InternVL ({listed(there[:5]) or 'none'}); "
        "give a folder of InternVL 1.5 or Mini-InternVL."
    )


def open_files(folder: Path, cfg: InternVLConfig) -> MergedFiles:
    """The tensors of a folder in either form, with the adapters of published ones merged.

    The scale of an adapter is its alpha, which the training code sets to twice the rank, over
    the rank.

    Raises:
        WeightsError: missing or damaged tensors; adapters that contradict the config.
    """
    ranks = (
        ("vision_model.", cfg.vision_lora, "use_backbone_lora"),
        ("language_model.", cfg.text_lora, "use_llm_lora"),
    )
    return MergedFiles(
        TensorFiles(folder),
        [
            Adapters(start=start, inner="base_model.model.", rank=rank, said=said, scale=2.0)
            for start, rank, said in ranks
        ],
    )


def stored_dtype(files: Tensors, cfg: InternVLConfig) -> torch.dtype:
    """The dtype of most of a checkpoint's weights.

    Raises:
        WeightsError: the config says another.
    """
    sizes = {info.dtype: 0 for info in files.infos.values() if info.dtype.is_floating_point}
    for info in files.infos.values():
        if info.dtype in sizes:
            sizes[info.dtype] += info.size_bytes
    if not sizes:
        raise WeightsError(f"{files.folder}: its tensors hold no fractions; get the folder again.")
    most = max(sizes, key=sizes.__getitem__)
    if cfg.dtype not in (None, most):
        raise WeightsError(
            f"{files.folder}: config.json says {str(cfg.dtype)[6:]} and the tensors are in "
            f"{str(most)[6:]}; the two contradict each other. Say which to run in with --dtype."
        )
    return most


_STARTS: Final[Mapping[NameForm, str]] = {
    "official": "vision_model.",
    "native": "vision_tower.",
    "native-memory": "model.vision_tower.",
}


def vision_rules(cfg: ViTConfig, start: str = "vision_model.") -> list[KeyRule]:
    """The published names of the vision encoder alone, behind what they start with."""
    at, layer = f"{start}embeddings", f"{start}encoder.layers.{{i}}"
    table = [
        flat(f"{at}.class_embedding", "vit.cls", 3),
        _positions(f"{at}.position_embedding", cfg.width),
        same(f"{at}.patch_embedding.weight", "vit.patch.weight"),
        same(f"{at}.patch_embedding.bias", "vit.patch.bias"),
        same(f"{layer}.ls1", f"{_VIT}.scale"),
        same(f"{layer}.ls2", f"{_VIT}.mlp_scale"),
    ]
    for leaf in ("weight", "bias"):
        table.append(same(f"{layer}.attn.qkv.{leaf}", f"{_VIT}.qkv.{leaf}"))
        table += _vit_parts(layer, "official", leaf)
    return table


def _native_vision(cfg: InternVLConfig, tower: str) -> list[KeyRule]:
    at, layer = f"{tower}.embeddings", f"{tower}.encoder.layer.{{i}}"
    table = [
        flat(f"{at}.cls_token", "vit.cls", 3),
        _positions(f"{at}.position_embeddings", cfg.vision.width),
        same(f"{at}.patch_embeddings.projection.weight", "vit.patch.weight"),
        same(f"{at}.patch_embeddings.projection.bias", "vit.patch.bias"),
        same(f"{layer}.lambda_1", f"{_VIT}.scale"),
        same(f"{layer}.lambda_2", f"{_VIT}.mlp_scale"),
    ]
    for leaf in ("weight", "bias"):
        theirs = tuple(f"{layer}.attention.{part}_proj.{leaf}" for part in "qkv")
        table.append(joined(theirs, f"{_VIT}.qkv.{leaf}", (cfg.vision.width,) * 3))
        table += _vit_parts(layer, "native", leaf)
    return table


def _vit_parts(layer: str, form: NameForm, leaf: str) -> list[KeyRule]:
    return [
        same(f"{layer}.{theirs}.{leaf}", f"{_VIT}.{ours}.{leaf}")
        for ours, theirs in _VIT_PARTS[form].items()
    ]


def _positions(theirs: str, width: int) -> KeyRule:
    """The table of positions, published with an axis of length one before it."""
    return KeyRule(
        theirs=(theirs,),
        ours="vit.positions",
        load=lambda value: value.reshape(-1, width),
        store=lambda value: (value[None],),
    )


def _projector(at: str, parts: tuple[str, str, str]) -> list[KeyRule]:
    return [
        same(f"{at}.{theirs}.{leaf}", f"projector.{ours}.{leaf}")
        for ours, theirs in zip(("norm", "up", "out"), parts, strict=True)
        for leaf in ("weight", "bias")
    ]


def _language(cfg: InternVLConfig) -> list[KeyRule]:
    """The language model by its own names, each behind its prefix."""
    at = "language_model.model"
    layer = f"{at}.layers.{{i}}"
    embed, output = f"{at}.embed_tokens", "language_model.lm_head"
    if cfg.language == "internlm2":
        embed, output = f"{at}.tok_embeddings", "language_model.output"
    ends = _ends(embed, f"{at}.norm", output)
    if cfg.decoder.is_tied:  # as a native model may be; the layout has two equal tensors for it
        ends = [_twice(embed, output), same(f"{at}.norm.weight", "decoder.norm.weight")]
    if cfg.language == "internlm2":
        return ends + _internlm2(cfg.decoder, layer)
    return ends + (_fused if cfg.language == "phi3" else _separate)(cfg.decoder, layer)


def _ends(embed: str, norm: str, output: str) -> list[KeyRule]:
    """Embedding, last norm and output; "" for an output that is the embedding."""
    table = [
        same(f"{embed}.weight", "decoder.embed.weight"),
        same(f"{norm}.weight", "decoder.norm.weight"),
    ]
    return [*table, same(f"{output}.weight", "decoder.output.weight")] if output else table


def _twice(embed: str, output: str) -> KeyRule:
    """An embedding that is the output too, written as both."""
    return KeyRule(
        theirs=(f"{embed}.weight", f"{output}.weight"),
        ours="decoder.embed.weight",
        load=lambda value, _: value,
        store=lambda value: (value, value),
    )


def _internlm2(cfg: DecoderConfig, layer: str) -> list[KeyRule]:
    names = {
        "attention_norm": "attention_norm",
        "mlp_norm": "ffn_norm",
        "attention.out": "attention.wo",
        "mlp.gate": "feed_forward.w1",
        "mlp.up": "feed_forward.w3",
        "mlp.down": "feed_forward.w2",
    }
    table = _weights(layer, names)
    return [
        *table,
        grouped(f"{layer}.attention.wqkv.weight", f"{_OURS}.attention.qkv.weight", cfg),
    ]


def _separate(cfg: DecoderConfig, layer: str) -> list[KeyRule]:
    """As Llama and Qwen2 have it: queries, keys, values, gate and up are tensors of their own."""
    kv = cfg.kv_heads * cfg.head_size
    table = _weights(layer, _SHARED_NAMES | {"mlp.gate": "mlp.gate_proj", "mlp.up": "mlp.up_proj"})
    for leaf in ("weight", "bias"):
        theirs = tuple(f"{layer}.self_attn.{part}_proj.{leaf}" for part in "qkv")
        table.append(joined(theirs, f"{_OURS}.attention.qkv.{leaf}", (cfg.width, kv, kv)))
    return table


def _fused(cfg: DecoderConfig, layer: str) -> list[KeyRule]:
    """As Phi-3 has it: queries, keys, values in one tensor, gate and up in another."""
    return [
        *_weights(layer, _SHARED_NAMES),
        same(f"{layer}.self_attn.qkv_proj.weight", f"{_OURS}.attention.qkv.weight"),
        parted(
            f"{layer}.mlp.gate_up_proj.weight",
            (f"{_OURS}.mlp.gate.weight", f"{_OURS}.mlp.up.weight"),
        ),
    ]


_SHARED_NAMES: Final = {
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "attention.out": "self_attn.o_proj",
    "mlp.down": "mlp.down_proj",
}


def _weights(layer: str, names: Mapping[str, str]) -> list[KeyRule]:
    return [
        same(f"{layer}.{theirs}.weight", f"{_OURS}.{ours}.weight") for ours, theirs in names.items()
    ]
