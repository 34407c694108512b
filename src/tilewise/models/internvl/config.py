"""Settings of InternVL 1.5 and Mini-InternVL, read from either form of their config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from tilewise.errors import ConfigError
from tilewise.models.internvl.fields import Fields
from tilewise.models.internvl.language import ARCHITECTURES, Language, read_language
from tilewise.nn.decoder import DecoderConfig
from tilewise.nn.vit import ViTConfig
from tilewise.tiling.config import TilingConfig

OFFICIAL: Final = "internvl_chat"
"""``model_type`` of the published files, whose code comes with them."""

NATIVE: Final = "internvl"
"""``model_type`` of files in the form that the transformers library reads by itself."""

LANGUAGES_OF: Final[Mapping[str, tuple[Language, ...]]] = {
    "Hermes-2": ("qwen2", "llama", "internlm2"),
    "internlm2-chat": ("internlm2", "llama", "qwen2"),
    "phi3-chat": ("phi3",),
    "internvl2_5": ("internlm2", "qwen2", "llama"),
}
"""Language models by the template whose special tokens they know."""

NATIVE_LANGUAGES: Final[Mapping[str, str]] = {
    "llama": "internlm2-chat",
    "qwen2": "Hermes-2",
    "phi3": "phi3-chat",
}
"""Language models of the native form, and the template where its config names none.

The form has no place for it, so it is the one that the releases with this language model have;
the native form of InternLM2 is Llama's.
"""

DTYPES: Final = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

NATIVE_QK_EPS: Final = 1e-6
"""Of the norms of queries and keys in the library's class, whatever ``layer_norm_eps`` is."""

_NORMS: Final[Mapping[str, Any]] = {"layer_norm": "layer", "rms_norm": "rms"}

_ABSENT: Final = {
    "select_layer": -1,
    "dynamic_image_size": True,
    "use_thumbnail": True,
    "min_dynamic_patch": 1,
    "max_dynamic_patch": 6,
    "ps_version": "v1",
    "use_backbone_lora": 0,
    "use_llm_lora": 0,
}
"""What fields of the wrapper stand for where they are left out, as in the published class."""

_ABSENT_VISION: Final = {
    "hidden_size": 3200,
    "num_attention_heads": 25,
    "intermediate_size": 12_800,
    "num_hidden_layers": 48,
    "qk_normalization": True,
    "qkv_bias": False,
    "image_size": 224,
    "patch_size": 14,
    "norm_type": "rms_norm",
    "layer_norm_eps": 1e-6,
    "drop_path_rate": 0.0,
}
"""The same for the vision encoder, as in the published class."""

_ABSENT_NATIVE_VISION: Final = {
    "hidden_size": 1024,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "use_qk_norm": False,
    "attention_bias": False,
    "image_size": 448,
    "patch_size": 14,
    "norm_type": "layer_norm",
    "layer_norm_eps": 1e-6,
    "drop_path_rate": 0.0,
}
"""The same for the native form, as in the library's class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InternVLConfig:
    """One model of the family.

    ``template`` names the prompt's form, ``system`` is the text of its system turn, None for the
    template's own. ``is_transposed``: visual tokens of a tile are listed column by column
    (version 1 of the merge). ``max_tiles`` is the checkpoint's tile limit; where it is not
    ``is_dynamic``, every page is one tile. ``context`` counts positions of a prompt with its
    answer. ``dtype`` is the one that the config names. ``vision_lora`` and ``text_lora`` are the
    ranks of adapters that the checkpoint keeps beside the weights they belong to, 0 for none.
    """

    vision: ViTConfig
    decoder: DecoderConfig
    language: Language
    template: str
    system: str | None = None
    is_transposed: bool = False
    projector_norm_eps: float = 1e-5
    min_tiles: int = 1
    max_tiles: int = 12
    has_thumbnail: bool = True
    is_dynamic: bool = True
    context: int = 32_768
    dtype: torch.dtype | None = None
    vision_lora: int = 0
    text_lora: int = 0

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES_OF.get(self.template, ()):
            known = [name for name, kinds in LANGUAGES_OF.items() if self.language in kinds]
            raise ConfigError(
                f"config.json: template is {self.template!r} and the language model is of the "
                f"kind {self.language!r}, whose templates are {', '.join(map(repr, known))}; "
                "the two contradict each other. Correct the template."
            )
        if self.min_tiles > self.max_tiles:
            raise ConfigError(
                f"config.json: the least number of tiles is {self.min_tiles} and the most is "
                f"{self.max_tiles}; the two contradict each other. Correct them."
            )

    @property
    def merged_width(self) -> int:
        """Channels of a visual token before the projector: those of 2 × 2 patches."""
        return 4 * self.vision.width

    def tiling(self, max_tiles: int) -> TilingConfig:
        """How pages are cut for this model."""
        limit = max_tiles if self.is_dynamic else 1
        return TilingConfig(
            tile=self.vision.tile,
            patch=self.vision.patch,
            max_tiles=limit,
            min_tiles=min(self.min_tiles, limit),
            has_global=self.has_thumbnail,
            has_newline=False,
            rule="nearest",
            global_place="last",
            has_ends=True,
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> InternVLConfig:
        """Read the published config.json.

        Raises:
            ConfigError: a field is missing, of a value that the model has not, or at odds with
                another.
        """
        top = Fields(data, "", _ABSENT)
        top.fixed({"model_type": OFFICIAL, "downsample_ratio": 0.5, "pad2square": False})
        vision = _vision(top)
        if data.get("force_image_size") not in (None, vision.tile):
            raise top.fault("force_image_size", f"vision_config.image_size ({vision.tile})")
        part = top.section("llm_config", {})
        names = part.data.get("architectures")
        name = names[0] if isinstance(names, list) and names else names
        if not isinstance(name, str) or name not in ARCHITECTURES:
            raise part.fault("architectures", f"one of {', '.join(ARCHITECTURES)}")
        decoder, context = read_language(part, ARCHITECTURES[name])
        return cls(
            vision=vision,
            decoder=decoder,
            language=ARCHITECTURES[name],
            template=top.text("template", LANGUAGES_OF),
            is_transposed=top.text("ps_version", ("v1", "v2")) == "v1",
            context=context,
            vision_lora=top.count("use_backbone_lora", 0),
            text_lora=top.count("use_llm_lora", 0),
            **_shared(top),
        )

    @classmethod
    def from_native(cls, data: Mapping[str, Any]) -> InternVLConfig:
        """Read a config.json in the transformers library's own form.

        Template, tile limits and the like, for which the form has no place, are read by their
        published names where they are there.

        Raises:
            ConfigError: as ``from_json``.
        """
        top = Fields(data, "", _ABSENT | {"max_dynamic_patch": 12, "vision_feature_layer": -1})
        top.fixed(
            {
                "model_type": NATIVE,
                "downsample_ratio": 0.5,
                "projector_hidden_act": "gelu",
                "vision_feature_select_strategy": "default",
                "ps_version": "v2",
            }
        )
        vision = _native_vision(top)
        top.fixed({"image_seq_length": vision.patches // 4})
        part = top.section("text_config", {"model_type": "qwen2"})
        part.text("model_type", NATIVE_LANGUAGES)
        kind: Language = part["model_type"]
        decoder, context = read_language(part, kind)
        decoder = replace(decoder, is_tied=_is_tied(top, part))
        top = Fields(data, "", {**top.absent, "template": NATIVE_LANGUAGES[kind]})
        return cls(
            vision=vision,
            decoder=decoder,
            language=kind,
            template=top.text("template", LANGUAGES_OF),
            context=context,
            **_shared(top),
        )


def read_config(data: Mapping[str, Any]) -> InternVLConfig:
    """The settings of a config.json in either form; raises ConfigError."""
    if data.get("model_type") == NATIVE:
        return InternVLConfig.from_native(data)
    return InternVLConfig.from_json(data)


def read_vision(data: Mapping[str, Any]) -> ViTConfig:
    """Sizes of an InternViT that is published by itself, from its config.json.

    Raises:
        ConfigError: a field is missing, or of a value that the encoder has not.
    """
    return _vision(Fields({"vision_config": data}, "", _ABSENT))


def _is_tied(top: Fields, text: Fields) -> bool:
    """Whether a native model's output is its embedding: what the top says goes before the text's.

    Where neither says so the files must hold an output: newer libraries tie it silently then, and
    older ones do not.
    """
    for part in (top, text):
        if part.data.get("tie_word_embeddings") is not None:
            return part.flag("tie_word_embeddings")
    return False


def _shared(top: Fields) -> dict[str, Any]:
    """What both forms say in the same way."""
    system = top.data.get("system_message")
    if system is not None and not isinstance(system, str):
        raise top.fault("system_message", "text")
    return {
        "system": system,
        "min_tiles": top.count("min_dynamic_patch"),
        "max_tiles": top.count("max_dynamic_patch"),
        "has_thumbnail": top.flag("use_thumbnail"),
        "is_dynamic": top.flag("dynamic_image_size"),
        "dtype": _dtype(top),
    }


def _dtype(top: Fields) -> torch.dtype | None:
    """What the weights are kept in; newer files call it ``dtype``, older ones ``torch_dtype``."""
    named = [name for name in ("dtype", "torch_dtype") if top.data.get(name) is not None]
    found = {DTYPES[top.text(name, DTYPES)] for name in named}
    if len(found) > 1:
        raise ConfigError(
            f"config.json: dtype is {top['dtype']!r} and torch_dtype is {top['torch_dtype']!r}; "
            "the two contradict each other. Correct one."
        )
    return found.pop() if found else None


def _vision(top: Fields) -> ViTConfig:
    part = top.section("vision_config", _ABSENT_VISION)
    part.fixed({"hidden_act": "gelu", "num_channels": 3})
    return _vit(
        part,
        has_qkv_bias=part.flag("qkv_bias"),
        has_qk_norm=part.flag("qk_normalization"),
        select_layer=top["select_layer"],
    )


def _native_vision(top: Fields) -> ViTConfig:
    part = top.section("vision_config", _ABSENT_NATIVE_VISION)
    part.fixed(
        {
            "hidden_act": "gelu",
            "num_channels": 3,
            "use_mask_token": False,
            "use_absolute_position_embeddings": True,
            "use_mean_pooling": True,  # the only way to have no norm behind the last layer
        }
    )
    vision = _vit(
        part,
        has_qkv_bias=part.flag("attention_bias"),
        has_qk_norm=part.flag("use_qk_norm"),
        select_layer=top["vision_feature_layer"],
    )
    if not vision.has_qk_norm or vision.norm_eps == NATIVE_QK_EPS:
        return vision
    return replace(vision, qk_norm_eps=NATIVE_QK_EPS)


def _vit(part: Fields, *, has_qkv_bias: bool, has_qk_norm: bool, select_layer: object) -> ViTConfig:
    if isinstance(select_layer, bool) or not isinstance(select_layer, int):
        raise ConfigError(
            f"config.json: the chosen layer of the vision encoder is {select_layer!r}; a whole "
            "number can be read. Correct it."
        )
    drop = part["drop_path_rate"]
    return ViTConfig(
        tile=part.side("image_size"),
        patch=part.side("patch_size"),
        width=part.count("hidden_size"),
        layers=part.count("num_hidden_layers"),
        heads=part.count("num_attention_heads"),
        mlp=part.count("intermediate_size"),
        norm_eps=part.number("layer_norm_eps"),
        norm=_NORMS[part.text("norm_type", _NORMS)],
        has_pre_norm=False,
        has_patch_bias=True,
        has_qkv_bias=has_qkv_bias,
        has_qk_norm=has_qk_norm,
        activation="gelu",
        has_layer_scale=True,
        drop_path=part.number("drop_path_rate") if drop else 0.0,
        select_layer=select_layer,
    )
