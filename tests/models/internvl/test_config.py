"""Both forms of config.json are read, and one that contradicts itself is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.models.internvl.published import TEMPLATES as SMALL
from tests.models.internvl.published import official_config
from tilewise.errors import ConfigError
from tilewise.models.internvl.config import LANGUAGES_OF, InternVLConfig
from tilewise.nn.rope import DynamicNtk, LongRope
from tilewise.text.templates import TEMPLATES


def native_config(**changes: Any) -> dict[str, Any]:
    """A config.json in the library's own form, as short as the library writes it."""
    config: dict[str, Any] = {
        "model_type": "internvl",
        "tie_word_embeddings": False,
        "vision_config": {"attention_bias": True},
        "text_config": {"model_type": "qwen2", "hidden_size": 896, "num_attention_heads": 14},
    }
    config["text_config"] |= {"num_key_value_heads": 2, "intermediate_size": 4864}
    return config | changes


def changed(path: str, value: object, **of: Any) -> dict[str, Any]:
    """A published config with one field changed, or left out where the value is ``...``."""
    config = official_config(**of)
    *sections, name = path.split(".")
    part = config
    for section in sections:
        part = part[section]
    if value is ...:
        del part[name]
    else:
        part[name] = value
    return config


def test_a_published_config_is_read() -> None:
    cfg = InternVLConfig.from_json(official_config())
    assert (cfg.language, cfg.template, cfg.system) == ("internlm2", "internlm2-chat", None)
    assert (cfg.min_tiles, cfg.max_tiles, cfg.has_thumbnail, cfg.is_dynamic) == (1, 12, True, True)
    assert (cfg.is_transposed, cfg.dtype, cfg.context) == (False, torch.float32, 400)
    assert (cfg.vision.norm, cfg.vision.has_qk_norm, cfg.vision.has_qkv_bias) == (
        "layer",
        False,
        True,
    )
    assert cfg.vision.norm_eps == 1e-6
    assert cfg.projector_norm_eps == 1e-5
    assert cfg.decoder.rope_scaling == DynamicNtk(2.0, 400)


def test_language_models_differ_in_fields_alone() -> None:
    read = {name: InternVLConfig.from_json(official_config(name)).decoder for name in SMALL}
    assert [cfg.has_qkv_bias for cfg in read.values()] == [False, True, False, False]
    assert read["LlamaForCausalLM"].rope_scaling is None
    scaling = read["Phi3ForCausalLM"].rope_scaling
    assert isinstance(scaling, LongRope)
    assert (scaling.original, scaling.positions, len(scaling.long)) == (40, 400, 6)


@pytest.mark.parametrize(
    ("field", "read", "value"),
    [
        ("ps_version", "is_transposed", True),  # version 1
        ("max_dynamic_patch", "max_tiles", 6),
        ("min_dynamic_patch", "min_tiles", 1),
        ("dynamic_image_size", "is_dynamic", True),
        ("use_thumbnail", "has_thumbnail", True),
        ("torch_dtype", "dtype", None),
        ("use_llm_lora", "text_lora", 0),
    ],
)
def test_fields_left_out_have_the_published_defaults(field: str, read: str, value: object) -> None:
    assert getattr(InternVLConfig.from_json(changed(field, ...)), read) == value


def test_a_vision_section_without_its_fields_is_the_large_encoder() -> None:
    config = official_config() | {"vision_config": {"image_size": 448}, "force_image_size": 448}
    vision = InternVLConfig.from_json(config).vision
    assert (vision.width, vision.heads, vision.mlp, vision.layers) == (3200, 25, 12_800, 48)
    assert (vision.norm, vision.has_qk_norm, vision.has_qkv_bias) == ("rms", True, False)


def test_the_system_text_of_the_config_is_taken() -> None:
    config = changed("system_message", "You read drawings.")
    assert InternVLConfig.from_json(config).system == "You read drawings."


def test_pages_are_one_tile_where_the_config_says_so() -> None:
    cfg = InternVLConfig.from_json(changed("dynamic_image_size", False))
    assert cfg.tiling(12).max_tiles == 1
    assert InternVLConfig.from_json(changed("min_dynamic_patch", 3)).tiling(2).min_tiles == 2


def test_templates_are_those_that_prompts_know() -> None:
    assert set(LANGUAGES_OF) <= TEMPLATES.keys()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (changed("template", "phi3-chat"), "'phi3-chat' and the language model .* contradict"),
        (changed("template", "vicuna"), "template is 'vicuna'; 'Hermes-2' or"),
        (changed("template", ...), "template is missing"),
        (changed("ps_version", "v3"), "ps_version is 'v3'; 'v1' or 'v2'"),
        (changed("force_image_size", 448), r"force_image_size is 448; .*image_size \(56\)"),
        (changed("downsample_ratio", 0.25), "downsample_ratio is 0.25; 0.5 alone"),
        (changed("pad2square", True), "pad2square is True; False alone"),
        (changed("torch_dtype", "float8"), "torch_dtype is 'float8'; 'float32' or"),
        (changed("dtype", "bfloat16"), "dtype is 'bfloat16' and torch_dtype is 'float32'"),
        (changed("min_dynamic_patch", 13), "least number of tiles is 13 and the most is 12"),
        (changed("max_dynamic_patch", 0), "max_dynamic_patch is 0; a whole number from 1 up"),
        (changed("model_type", "llava"), "model_type is 'llava'"),
        (changed("system_message", 7), "system_message is 7; text"),
        (changed("select_layer", [-1]), r"chosen layer of the vision encoder is \[-1\]"),
        (changed("select_layer", 9), "select_layer is 9"),
        (changed("llm_config", None), "llm_config is None; an object"),
        (changed("llm_config.architectures", ["GPT"]), r"llm_config.architectures is \['GPT'\]"),
        (changed("llm_config.vocab_size", ...), "llm_config.vocab_size is missing"),
        (changed("llm_config.vocab_size", "9"), "llm_config.vocab_size is '9'"),
        (changed("llm_config.bias", True), "llm_config.bias is True; False alone"),
        (changed("llm_config.rope_theta", 0), "llm_config.rope_theta is 0; a number above 0"),
        (changed("llm_config.rope_scaling", {"type": "yarn"}), "rope_scaling.type is 'yarn'"),
        (changed("llm_config.head_dim", 16), "llm_config.head_dim is 16; .* \\(12\\)"),
        (changed("vision_config.image_size", [448, 224]), "image_size is .*pair of equal"),
        (changed("vision_config.norm_type", "batch"), "vision_config.norm_type is 'batch'"),
        (changed("vision_config.hidden_act", "relu"), "hidden_act is 'relu'; 'gelu' alone"),
        (
            changed("llm_config.sliding_window", 40, name="Phi3ForCausalLM"),
            "llm_config.sliding_window is 40; 400",
        ),
        (
            changed("llm_config.rope_scaling.long_factor", [1.0], name="Phi3ForCausalLM"),
            "6 short and 1 long factors",
        ),
        (
            changed("llm_config.rope_scaling.attention_factor", 1.0, name="Phi3ForCausalLM"),
            r"attention_factor is 1.0; 1.27\d+, which follows",
        ),
        (
            changed("llm_config.rope_scaling.partial_rotary_factor", 0.5, name="Phi3ForCausalLM"),
            "partial_rotary_factor is 0.5; 1.0 alone",
        ),
    ],
)
def test_what_cannot_hold_is_said_in_one_sentence(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        InternVLConfig.from_json(config)
    assert "\n" not in str(caught.value)


def test_a_native_config_is_read_with_the_library_s_defaults() -> None:
    cfg = InternVLConfig.from_native(native_config())
    assert (cfg.template, cfg.max_tiles, cfg.is_transposed) == ("Hermes-2", 12, False)
    assert (cfg.vision.width, cfg.vision.tile, cfg.vision.norm) == (1024, 448, "layer")
    assert (cfg.decoder.vocabulary, cfg.decoder.norm_eps, cfg.decoder.rope_theta) == (
        151_936,
        1e-6,
        10_000,
    )
    assert cfg.decoder.has_qkv_bias


def test_a_native_config_may_name_what_its_form_has_no_place_for() -> None:
    config = native_config(template="internvl2_5", max_dynamic_patch=4, system_message="S")
    cfg = InternVLConfig.from_native(config)
    assert (cfg.template, cfg.max_tiles, cfg.system) == ("internvl2_5", 4, "S")


def test_rotary_positions_are_read_as_newer_libraries_write_them() -> None:
    config = native_config()
    config["text_config"]["rope_parameters"] = {
        "rope_type": "dynamic",
        "rope_theta": 5e5,
        "factor": 3.0,
    }
    decoder = InternVLConfig.from_native(config).decoder
    assert (decoder.rope_theta, decoder.rope_scaling) == (5e5, DynamicNtk(3.0, 32_768))


@pytest.mark.parametrize("text", [None, True, False])
@pytest.mark.parametrize("top", [None, True, False])
def test_the_top_of_a_native_config_says_first_whether_the_output_is_the_embedding(
    top: bool | None, text: bool | None
) -> None:
    config = native_config(tie_word_embeddings=top)
    config["text_config"]["tie_word_embeddings"] = text
    cfg = InternVLConfig.from_native(config)
    assert cfg.decoder.is_tied == (text or False if top is None else top)


def test_an_official_model_is_never_tied() -> None:
    config = changed("llm_config.tie_word_embeddings", True) | {"tie_word_embeddings": True}
    assert not InternVLConfig.from_json(config).decoder.is_tied


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1; true or false"),
        ({"image_seq_length": 64}, "image_seq_length is 64; 256 alone"),
        ({"vision_feature_layer": [-1, -2]}, r"chosen layer .* is \[-1, -2\]"),
        ({"text_config": {"model_type": "gpt2"}}, "text_config.model_type is 'gpt2'"),
        ({"vision_config": {"use_mean_pooling": False}}, "use_mean_pooling is False"),
        ({"ps_version": "v1"}, "ps_version is 'v1'"),
    ],
)
def test_a_native_config_that_cannot_hold_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        InternVLConfig.from_native(native_config(**changes))
