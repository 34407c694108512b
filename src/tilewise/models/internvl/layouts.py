"""A checkpoint from the published layout to the transformers library's own, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from tilewise.errors import ConfigError
from tilewise.models.internvl.config import (
    DTYPES,
    NATIVE,
    NATIVE_QK_EPS,
    InternVLConfig,
    read_config,
)
from tilewise.models.internvl.keys import name_form, open_files, rules
from tilewise.models.internvl.language import ARCHITECTURES, Language
from tilewise.models.internvl.network import MEAN, STD, InternVL
from tilewise.models.internvl.pictures import PREPROCESSOR, with_pictures
from tilewise.models.internvl.prompt import random_tokens
from tilewise.models.key_rules import same
from tilewise.nn.rope import DynamicNtk, LongRope
from tilewise.text.templates import IMAGE_SLOT, TEMPLATES
from tilewise.text.tokenizer import load_tokenizer
from tilewise.weights.files import CONFIG
from tilewise.weights.files import read_config as read_file
from tilewise.weights.keymap import KeyRule, check_fits, has_our_names
from tilewise.weights.quantised import form_of
from tilewise.weights.renaming import Layout, Renaming
from tilewise.weights.valueless import valueless

_OWN: Final = frozenset(
    "architectures auto_map downsample_ratio dtype force_image_size image_seq_length "
    "llm_architecture llm_config model_type pad2square projector_hidden_act "
    "ps_version select_layer text_config tie_word_embeddings torch_dtype transformers_version "
    "use_backbone_lora use_llm_lora vision_config vision_feature_layer "
    "vision_feature_select_strategy _name_or_path _commit_hash".split()
)
"""Fields of either layout that say the same in other words; what else a config has is kept.

So is the native ``image_token_id``: the published class overlooks it, and a random model for tests
has no other place for it.
"""

_TOKEN_IDS: Final = ("bos_token_id", "eos_token_id", "pad_token_id")
_CLASSES: Final = {kind: name for name, kind in ARCHITECTURES.items()}
_NATIVE_KINDS: Final[Mapping[Language, Language]] = {"internlm2": "llama"}
"""Language models that the library knows under another name."""


def renaming(folder: Path, layout: Layout) -> Renaming:
    """What a folder's tensors, and its files about them, become in a layout.

    Adapters are merged on the way.

    Raises:
        ConfigError: the config cannot hold, the weights are quantised, or the layout has no place
            for what the model has, as the library has none for version 1 of the merge.
        WeightsError: missing, damaged, extra or misshapen tensors, or no tokenizer.
    """
    data = read_file(folder)
    cfg = with_pictures(read_config(data), data, folder)
    files = open_files(folder, cfg)
    if form_of(files.infos) is not None:
        raise ConfigError(
            f"{folder}: its weights are quantised, and only others change their layout; convert "
            "the model that it was made of."
        )
    before: Sequence[KeyRule] = rules(cfg)
    if has_our_names(files.infos, before):
        before = [same(name, name) for rule in before for name in rule.made]
    else:
        before = rules(cfg, name_form(files.infos, folder))
    check_fits(valueless(lambda: InternVL(cfg), torch.float32), files, before)
    config = _written(data, cfg, layout)
    if layout == "native":
        config["image_token_id"] = _context_id(folder, data, cfg)
    preprocessor = (_native_preprocessor if layout == "native" else _official_preprocessor)(cfg)
    made = read_config(config)
    made = replace(made, decoder=replace(made.decoder, is_tied=cfg.decoder.is_tied))
    texts = {CONFIG: config}
    if (folder / PREPROCESSOR).is_file() and config["model_type"] != data["model_type"]:
        texts[PREPROCESSOR] = preprocessor
    return Renaming(
        files=files,
        before=before,
        after=rules(made, layout),
        texts={name: json.dumps(value, indent=2) + "\n" for name, value in texts.items()},
    )


def in_layout(data: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """A config.json of either layout in one of them, but for the id of visual tokens.

    Raises:
        ConfigError: the config cannot hold, or has no such form.
    """
    return _written(data, read_config(data), layout)


def _written(data: Mapping[str, Any], cfg: InternVLConfig, layout: Layout) -> dict[str, Any]:
    return _native(data, cfg) if layout == "native" else _official(data, cfg)


def _native(data: Mapping[str, Any], cfg: InternVLConfig) -> dict[str, Any]:
    """The library's config.json. It has no place for some fields, which keep their names."""
    if cfg.is_transposed:
        raise ConfigError(
            "config.json: ps_version is 'v1', and the transformers library has version 2 of the "
            "merge alone; the model stays in the official layout (--layout official)."
        )
    _check_qk_eps(cfg, NATIVE_QK_EPS, "the transformers library has")
    return {
        "architectures": ["InternVLForConditionalGeneration"],
        "model_type": NATIVE,
        "downsample_ratio": 0.5,
        **_dtype(cfg, "dtype"),
        "image_seq_length": cfg.vision.patches // 4,
        "llm_architecture": _official_class(data, cfg),
        "projector_hidden_act": "gelu",
        "text_config": _native_language(data, cfg),
        "tie_word_embeddings": cfg.decoder.is_tied,  # left out, newer libraries tie the head
        "vision_config": _native_vision(cfg),
        "vision_feature_layer": cfg.vision.select_layer,
        "vision_feature_select_strategy": "default",
        **_kept(data, cfg),
    }


def _official(data: Mapping[str, Any], cfg: InternVLConfig) -> dict[str, Any]:
    """The published config.json."""
    _check_qk_eps(cfg, cfg.vision.norm_eps, "the official layout has, from its layer_norm_eps,")
    return {
        "architectures": ["InternVLChatModel"],
        "model_type": "internvl_chat",
        "downsample_ratio": 0.5,
        "force_image_size": cfg.vision.tile,
        "llm_config": _language(data, cfg, _official_class(data, cfg)),
        "pad2square": False,
        "ps_version": "v1" if cfg.is_transposed else "v2",
        "select_layer": cfg.vision.select_layer,
        **_dtype(cfg, "torch_dtype"),
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "vision_config": _vision(cfg),
        **_kept(data, cfg),
    }


def _check_qk_eps(cfg: InternVLConfig, only: float, whose: str) -> None:
    """Raises ConfigError where a layout has another eps in the norms of queries and keys."""
    vit = cfg.vision
    eps = vit.norm_eps if vit.qk_norm_eps is None else vit.qk_norm_eps
    if vit.has_qk_norm and eps != only:
        raise ConfigError(
            "config.json: norms of queries and keys in the vision encoder have an eps of "
            f"{eps}, and {whose} {only}; the model stays in its layout."
        )


def _official_class(data: Mapping[str, Any], cfg: InternVLConfig) -> str:
    """The language model's class in the published layout.

    That of a native Llama may have been InternLM2, which has no other native form: what the
    config says, or else its template, tells.
    """
    said = data.get("llm_architecture")
    if cfg.language != "llama" or data["model_type"] != NATIVE:
        return _CLASSES[cfg.language]
    if said in (_CLASSES["internlm2"], _CLASSES["llama"]):
        return str(said)
    return _CLASSES["internlm2" if cfg.template == "internlm2-chat" else "llama"]


def _kept(data: Mapping[str, Any], cfg: InternVLConfig) -> dict[str, Any]:
    """Fields that both layouts have by the same name, and those that are of neither."""
    own = {
        "dynamic_image_size": cfg.is_dynamic,
        "max_dynamic_patch": cfg.max_tiles,
        "min_dynamic_patch": cfg.min_tiles,
        "template": cfg.template,
        "use_thumbnail": cfg.has_thumbnail,
    }
    return {name: value for name, value in data.items() if name not in _OWN} | own


def _dtype(cfg: InternVLConfig, name: str) -> dict[str, str]:
    known = [key for key, dtype in DTYPES.items() if dtype == cfg.dtype]
    return {name: known[0]} if known else {}


def _vision(cfg: InternVLConfig) -> dict[str, Any]:
    vit = cfg.vision
    return {
        "architectures": ["InternVisionModel"],
        "model_type": "intern_vit_6b",
        "drop_path_rate": vit.drop_path,
        "hidden_act": "gelu",
        "hidden_size": vit.width,
        "image_size": vit.tile,
        "intermediate_size": vit.mlp,
        "layer_norm_eps": vit.norm_eps,
        "norm_type": f"{vit.norm}_norm",
        "num_attention_heads": vit.heads,
        "num_channels": 3,
        "num_hidden_layers": vit.layers,
        "patch_size": vit.patch,
        "qk_normalization": vit.has_qk_norm,
        "qkv_bias": vit.has_qkv_bias,
    }


def _native_vision(cfg: InternVLConfig) -> dict[str, Any]:
    vit = cfg.vision
    return {
        "model_type": "internvl_vision",
        "attention_bias": vit.has_qkv_bias,
        "drop_path_rate": vit.drop_path,
        "hidden_act": "gelu",
        "hidden_size": vit.width,
        "image_size": [vit.tile, vit.tile],
        "intermediate_size": vit.mlp,
        "layer_norm_eps": vit.norm_eps,
        "norm_type": f"{vit.norm}_norm",
        "num_attention_heads": vit.heads,
        "num_channels": 3,
        "num_hidden_layers": vit.layers,
        "patch_size": [vit.patch, vit.patch],
        "use_absolute_position_embeddings": True,
        "use_mask_token": False,
        "use_mean_pooling": True,
        "use_qk_norm": vit.has_qk_norm,
    }


def _native_language(data: Mapping[str, Any], cfg: InternVLConfig) -> dict[str, Any]:
    kind = _NATIVE_KINDS.get(cfg.language, cfg.language)
    section = _language(data, cfg, _CLASSES[kind])
    if section["rope_scaling"] is not None:
        name = section["rope_scaling"].pop("type")
        section["rope_scaling"]["rope_type"] = "longrope" if name == "su" else name
    section.setdefault("pad_token_id")  # the library's default may lie outside the vocabulary
    if kind == "llama":
        section |= {"attention_bias": False, "mlp_bias": False}
    if kind != "phi3":
        section["head_dim"] = cfg.decoder.head_size
    return section | {"tie_word_embeddings": cfg.decoder.is_tied}


def _language(data: Mapping[str, Any], cfg: InternVLConfig, name: str) -> dict[str, Any]:
    """The language model's section, alike in both layouts but for the kind."""
    decoder, kind = cfg.decoder, ARCHITECTURES[name]
    old = data.get("llm_config", data.get("text_config", {}))
    section: dict[str, Any] = {
        "architectures": [name],
        "model_type": kind,
        "hidden_act": "silu",
        "hidden_size": decoder.width,
        "intermediate_size": decoder.mlp,
        "max_position_embeddings": cfg.context,
        "num_attention_heads": decoder.heads,
        "num_hidden_layers": decoder.layers,
        "num_key_value_heads": decoder.kv_heads,
        "rms_norm_eps": decoder.norm_eps,
        "rope_scaling": None,
        "rope_theta": decoder.rope_theta,
        "tie_word_embeddings": False,
        "vocab_size": decoder.vocabulary,
        **{key: old[key] for key in _TOKEN_IDS if key in old},
    }
    if kind == "internlm2":
        section["bias"] = False
    match decoder.rope_scaling:
        case DynamicNtk(factor=factor):
            section["rope_scaling"] = {"type": "dynamic", "factor": factor}
        case LongRope(short=short, long=long, original=original):
            factors = {"short_factor": list(short), "long_factor": list(long)}
            section["rope_scaling"] = {"type": "su", **factors}
            section["original_max_position_embeddings"] = original
    return section


def _context_id(folder: Path, data: Mapping[str, Any], cfg: InternVLConfig) -> int:
    """Id of the token that stands for one visual token, which the library's config names."""
    if isinstance(data.get("image_token_id"), int):
        return int(data["image_token_id"])
    tokens = random_tokens(data, cfg, TEMPLATES[cfg.template])
    found = load_tokenizer(folder, cfg.decoder.vocabulary, tokens).id_of(IMAGE_SLOT)
    if found is None:
        raise ConfigError(
            f"{folder}: its tokenizer has no {IMAGE_SLOT}, which the native layout names; put "
            "the tokenizer of this very model there."
        )
    return found


def _native_preprocessor(cfg: InternVLConfig) -> dict[str, Any]:
    return {
        "crop_to_patches": cfg.is_dynamic,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": list(MEAN),
        "image_processor_type": "GotOcr2ImageProcessor",
        "image_std": list(STD),
        "max_patches": cfg.max_tiles,
        "min_patches": cfg.min_tiles,
        "processor_class": "InternVLProcessor",
        "resample": 3,
        "size": {"height": cfg.vision.tile, "width": cfg.vision.tile},
    }


def _official_preprocessor(cfg: InternVLConfig) -> dict[str, Any]:
    return {
        "crop_size": cfg.vision.tile,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": list(MEAN),
        "image_std": list(STD),
        "resample": 3,
        "size": cfg.vision.tile,
    }
