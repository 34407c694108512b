"""The language model's section of a config.json, which both forms of the file share."""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from typing import Any, Final, Literal

from tilewise.models.internvl.fields import Fields
from tilewise.nn.decoder import DecoderConfig
from tilewise.nn.rope import DynamicNtk, LongRope

Language = Literal["internlm2", "qwen2", "phi3", "llama"]
"""Kinds of language model, which differ in the names and fusing of their tensors."""

ARCHITECTURES: Final[Mapping[str, Language]] = {
    "InternLM2ForCausalLM": "internlm2",
    "Qwen2ForCausalLM": "qwen2",
    "Phi3ForCausalLM": "phi3",
    "LlamaForCausalLM": "llama",
}
"""Kinds of language model by the names of their classes in config files."""

_ALL: Final = {"rope_theta": 10_000.0, "rope_scaling": None, "num_hidden_layers": 32}

ABSENT: Final[Mapping[Language, Mapping[str, Any]]] = {
    "internlm2": {"rope_scaling": None},
    "qwen2": _ALL
    | {
        "vocab_size": 151_936,
        "hidden_size": 4096,
        "intermediate_size": 22_016,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
    },
    "phi3": _ALL
    | {
        "vocab_size": 32_064,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_attention_heads": 32,
        "max_position_embeddings": 4096,
        "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
    },
    "llama": _ALL
    | {
        "vocab_size": 32_000,
        "hidden_size": 4096,
        "intermediate_size": 11_008,
        "num_attention_heads": 32,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6,
    },
}
"""What a field stands for where it is left out: the classes' own defaults in the library.

InternLM2 has none here: its files name every size.
"""

_FIXED: Final[Mapping[Language, Mapping[str, object]]] = {
    "internlm2": {"bias": False},
    "qwen2": {"use_sliding_window": False},
    "phi3": {"partial_rotary_factor": 1.0},
    "llama": {"attention_bias": False, "mlp_bias": False},
}
"""Fields that the decoder knows one meaning of."""


def read_language(fields: Fields, kind: Language) -> tuple[DecoderConfig, int]:
    """The decoder, and the positions that it was made for.

    Args:
        fields: the section of the language model.
        kind: which one it is.

    Raises:
        ConfigError: a field is missing, of a wrong kind, or of a value that cannot be read.
    """
    fields = Fields(fields.data, fields.path, ABSENT[kind])
    fields.fixed({"hidden_act": "silu", **_FIXED[kind]})
    heads, width = fields.count("num_attention_heads"), fields.count("hidden_size")
    if fields.data.get("head_dim") not in (None, width / heads):
        raise fields.fault("head_dim", f"hidden_size / num_attention_heads ({width / heads:g})")
    has_kv_heads = fields.data.get("num_key_value_heads") is not None
    positions = fields.count("max_position_embeddings")
    window = fields.data.get("sliding_window")
    if kind == "phi3" and isinstance(window, int) and window < positions:
        raise fields.fault("sliding_window", f"{positions} (max_position_embeddings) or more")
    return DecoderConfig(
        vocabulary=fields.count("vocab_size"),
        width=width,
        layers=fields.count("num_hidden_layers"),
        heads=heads,
        kv_heads=fields.count("num_key_value_heads") if has_kv_heads else heads,
        mlp=fields.count("intermediate_size"),
        norm_eps=fields.number("rms_norm_eps"),
        rope_theta=_rope(fields).number("rope_theta"),
        rope_scaling=_scaling(fields, positions),
        has_qkv_bias=kind == "qwen2",
    ), positions


def _rope(fields: Fields) -> Fields:
    """Where the theta is: newer libraries write one section for all of the rotary positions."""
    if fields.data.get("rope_parameters") is None:
        return fields
    return fields.section("rope_parameters", fields.absent)


def _scaling(fields: Fields, positions: int) -> DynamicNtk | LongRope | None:
    """How the rotary table is stretched, from ``rope_scaling`` or ``rope_parameters``."""
    name = "rope_scaling" if fields.data.get("rope_parameters") is None else "rope_parameters"
    if name == "rope_scaling" and fields[name] is None:
        return None
    part = fields.section(name, {"rope_type": "default"})
    part.fixed({"partial_rotary_factor": 1.0})
    kind = "rope_type" if "rope_type" in part.data or "type" not in part.data else "type"
    match part.text(kind, ("default", "dynamic", "su", "longrope")):
        case "dynamic":
            return DynamicNtk(factor=part.number("factor"), positions=positions)
        case "su" | "longrope":
            source = part if "original_max_position_embeddings" in part.data else fields
            return _long_rope(part, source.count("original_max_position_embeddings"), positions)
        case _:
            return None


def _long_rope(part: Fields, original: int, positions: int) -> LongRope:
    """The lists of a section; what else it says must be what follows from the positions."""
    scaling = LongRope(
        short=part.numbers("short_factor"),
        long=part.numbers("long_factor"),
        original=original,
        positions=positions,
    )
    follows = {
        "attention_factor": scaling.gain,
        "short_mscale": scaling.gain,
        "long_mscale": scaling.gain,
        "factor": positions / original,
    }
    for name, value in follows.items():
        if part.data.get(name) is not None and not isclose(part.number(name), value, rel_tol=1e-5):
            raise part.fault(name, f"{value:g}, which follows from the positions,")
    return scaling
