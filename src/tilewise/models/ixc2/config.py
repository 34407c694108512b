"""Settings of InternLM-XComposer2-4KHD, read from the published config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tilewise.errors import ConfigError
from tilewise.nn.decoder import DecoderConfig, PartialLoraConfig
from tilewise.nn.vit import ViTConfig
from tilewise.tiling.config import TilingConfig

MODEL_TYPE: Final = "internlmxcomposer2"
"""``model_type`` of the config; the relatives of other sizes of tile have it too."""

VISION: Final = ViTConfig(
    tile=336, patch=14, width=1024, layers=24, heads=16, mlp=4096, norm_eps=1e-5
)
"""CLIP ViT-L/14 at 336 px. The published config has no section for it."""

PARTIAL_LORA: Final = PartialLoraConfig(qkv_rank=8, qkv_scale=2.0, rank=256, scale=1.0)
"""As in the released weights, whose size in bytes they explain; the paper says 256 for all."""

DECODER: Final = DecoderConfig(
    vocabulary=92_544,
    width=4096,
    layers=32,
    heads=32,
    kv_heads=8,
    mlp=14_336,
    norm_eps=1e-5,
    rope_theta=1_000_000.0,
    partial_lora=PARTIAL_LORA,
)
"""InternLM2-7B."""

_SIZES: Final = {
    "vocabulary": "vocab_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "mlp": "intermediate_size",
    "norm_eps": "rms_norm_eps",
    "rope_theta": "rope_theta",
}
"""Fields of the decoder and what the published config calls them."""

_VISION_SIZES: Final = {
    "tile": "image_size",
    "patch": "patch_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "mlp": "intermediate_size",
    "norm_eps": "layer_norm_eps",
}

_FRACTIONS: Final = ("norm_eps", "rope_theta", "scale")
"""Numbers that need not be whole."""

_FIXED: Final[Mapping[str, tuple[object, ...]]] = {
    "hidden_act": ("silu",),
    "bias": (False,),
    "tie_word_embeddings": (False,),
    "rope_scaling": (None, {"type": "dynamic", "factor": 1.0}),  # a factor of 1 scales nothing
}
"""Fields that the model code knows one meaning of, the released value first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ixc2Config:
    """The whole model; the defaults are those of the released one.

    ``projector_width`` is that of the projector's inner layer, ``context`` counts positions of
    a prompt with its answer, ``default_tiles`` is the tile limit of the authors' chat function.
    """

    vision: ViTConfig = VISION
    projector_width: int = 4096
    decoder: DecoderConfig = DECODER
    context: int = 16_384
    default_tiles: int = 25

    @property
    def merged_width(self) -> int:
        """Channels of a visual token before the projector: those of 2 × 2 patches."""
        return 4 * self.vision.width

    def tiling(self, max_tiles: int) -> TilingConfig:
        """How pages are cut for this model."""
        return TilingConfig(tile=self.vision.tile, patch=self.vision.patch, max_tiles=max_tiles)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ixc2Config:
        """Read the published config.json.

        The object ``tiny_extra``, which small test models have, gives the sizes that the
        published code fixes: ``vision``, ``projector`` (widths) and ``plora``.

        Raises:
            ConfigError: a field is missing, no number, or of a value that the model has not.
        """
        for name, allowed in _FIXED.items():
            if data.get(name, allowed[0]) not in allowed:
                raise ConfigError(
                    f"config.json: {name} is {data[name]!r}; InternLM-XComposer2-4KHD has "
                    f"{allowed[0]!r}. Give a folder of that model."
                )
        extra = _section(data, "tiny_extra")
        vision = VISION
        if "vision" in extra:
            vision = ViTConfig(**_numbers(_section(extra, "vision"), _VISION_SIZES))
        return cls(
            vision=vision,
            projector_width=_projector_width(extra),
            decoder=DecoderConfig(**_numbers(data, _SIZES), partial_lora=_partial_lora(extra)),
            context=_numbers(data, {"context": "max_length"})["context"],
        )


def _projector_width(extra: Mapping[str, Any]) -> int:
    widths = extra.get("projector", [4096, 4096, 4096])
    if not isinstance(widths, list) or len(widths) != 3 or not isinstance(widths[1], int):
        raise ConfigError(f"config.json: projector is {widths!r}; three widths are needed.")
    return widths[1]


def _partial_lora(extra: Mapping[str, Any]) -> PartialLoraConfig:
    if "plora" not in extra:
        return PARTIAL_LORA
    sizes = _section(extra, "plora")
    qkv = _numbers(_section(sizes, "wqkv"), {"rank": "rank", "scale": "scale"})
    others = _numbers(_section(sizes, "others"), {"rank": "rank", "scale": "scale"})
    return PartialLoraConfig(
        qkv_rank=qkv["rank"], qkv_scale=qkv["scale"], rank=others["rank"], scale=others["scale"]
    )


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, Mapping):
        raise ConfigError(f"config.json: {name} is {value!r}; an object is needed. Correct it.")
    return value


def _numbers(data: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Positive numbers of ``data`` by our names, whole but for ``_FRACTIONS``."""
    found = {ours: data.get(theirs) for ours, theirs in names.items()}
    wrong = [
        f"{names[ours]} is {value!r}"
        for ours, value in found.items()
        if isinstance(value, bool)
        or not isinstance(value, (int, float) if ours in _FRACTIONS else int)
        or value <= 0
    ]
    if wrong:
        raise ConfigError(
            f"config.json: {', '.join(wrong)}; numbers above 0 are needed. "
            "Give a folder of InternLM-XComposer2-4KHD."
        )
    return found
