"""Config files and random weights as InternVL's authors publish them, small."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

import torch
from torch import Tensor, nn

from tilewise.models.internvl.config import InternVLConfig, read_config
from tilewise.models.internvl.keys import NameForm, rules
from tilewise.nn.decoder import Decoder
from tilewise.nn.projector import Projector
from tilewise.nn.vit import ViT
from tilewise.weights.keymap import published

_VISION: Final[dict[str, Any]] = {
    "model_type": "intern_vit_6b",
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "norm_type": "layer_norm",
    "qk_normalization": False,
    "qkv_bias": True,
    "image_size": 56,
    "patch_size": 14,
}
_LANGUAGE: Final[dict[str, Any]] = {
    "hidden_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "vocab_size": 400,
    "max_position_embeddings": 400,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
    "tie_word_embeddings": False,
}
_OWN: Final[dict[str, dict[str, Any]]] = {
    "InternLM2ForCausalLM": {"bias": False, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
    "Qwen2ForCausalLM": {"rms_norm_eps": 1e-6, "use_sliding_window": False},
    "LlamaForCausalLM": {},
    "Phi3ForCausalLM": {
        "num_key_value_heads": 4,
        "original_max_position_embeddings": 40,
        "rope_theta": 1e4,
        "sliding_window": 800,
        "rope_scaling": {
            "type": "su",
            "short_factor": [1 + 0.1 * i for i in range(6)],
            "long_factor": [1 + 0.7 * i for i in range(6)],
        },
    },
}
TEMPLATES: Final = {
    "InternLM2ForCausalLM": "internlm2-chat",
    "Qwen2ForCausalLM": "Hermes-2",
    "LlamaForCausalLM": "internvl2_5",
    "Phi3ForCausalLM": "phi3-chat",
}
"""Language models by the names of their classes, and a template that they know."""


def official_config(
    name: str = "InternLM2ForCausalLM", *, is_large: bool = False
) -> dict[str, Any]:
    """A published config.json with the language model of this class.

    ``is_large`` gives the vision encoder the kinds of parts that the one of 6B has.
    """
    kinds = {"norm_type": "rms_norm", "qk_normalization": True, "qkv_bias": False}
    config = {
        "architectures": ["InternVLChatModel"],
        "model_type": "internvl_chat",
        "downsample_ratio": 0.5,
        "dynamic_image_size": True,
        "force_image_size": 56,
        "max_dynamic_patch": 12,
        "min_dynamic_patch": 1,
        "pad2square": False,
        "ps_version": "v2",
        "select_layer": -1,
        "template": TEMPLATES[name],
        "torch_dtype": "float32",
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "use_thumbnail": True,
        "vision_config": {**_VISION, **(kinds if is_large else {})},
        "llm_config": {"architectures": [name], **_LANGUAGE, **_OWN[name]},
    }
    return deepcopy(config)


class Parts(nn.Module):
    """The modules that hold a model's weights."""

    def __init__(self, cfg: InternVLConfig) -> None:
        super().__init__()
        width = cfg.decoder.width
        self.vit = ViT(cfg.vision)
        self.projector = Projector(cfg.merged_width, width, width, cfg.projector_norm_eps)
        self.decoder = Decoder(cfg.decoder)


def random_parts(config: dict[str, Any], seed: int = 0) -> Parts:
    """Random weights for a config; none is a constant."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = Parts(read_config(config))
        for name, weight in parts.named_parameters():
            around = 1.0 if name.endswith(("norm.weight", "scale")) else 0.0
            nn.init.normal_(weight, mean=around, std=0.2)
    return parts.eval().requires_grad_(False)


def random_tensors(
    config: dict[str, Any], form: NameForm = "official", seed: int = 0
) -> dict[str, Tensor]:
    """The same as published tensors by name."""
    table = rules(read_config(config), form)
    found = published(random_parts(config, seed), table)
    return {name: value.contiguous() for name, value in found}
