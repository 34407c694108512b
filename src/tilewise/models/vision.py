"""A vision encoder by itself, read from a model or from files of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import nn

from tilewise.errors import ConfigError, WeightsError
from tilewise.models.folders import find
from tilewise.models.internvl.config import read_config as read_internvl
from tilewise.models.internvl.config import read_vision
from tilewise.models.internvl.keys import vision_rules
from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.ixc2.keys import rules as ixc2_rules
from tilewise.models.names import TABLES
from tilewise.nn.vit import ViT, ViTConfig
from tilewise.weights.files import TensorFiles, TensorInfo, read_config
from tilewise.weights.keymap import KeyRule, groups_of, load_weights
from tilewise.weights.valueless import valueless

_PART: Final = "vit"
_IXC2_TOWER: Final = "vit.vision_tower."

Read = Callable[[Mapping[str, Any]], tuple[ViTConfig, Sequence[KeyRule]]]
"""Sizes and table of names from a config.json."""


def _ixc2(data: Mapping[str, Any]) -> tuple[ViTConfig, Sequence[KeyRule]]:
    cfg = Ixc2Config.from_json(data)
    return cfg.vision, ixc2_rules(cfg)


def _internvl(data: Mapping[str, Any]) -> tuple[ViTConfig, Sequence[KeyRule]]:
    return read_internvl(data).vision, TABLES[str(data["model_type"])](data, None)


def _internvit(data: Mapping[str, Any]) -> tuple[ViTConfig, Sequence[KeyRule]]:
    cfg = read_vision(data)
    return cfg, vision_rules(cfg, "")


def _clip(data: Mapping[str, Any]) -> tuple[ViTConfig, Sequence[KeyRule]]:
    """CLIP as the transformers library names its weights, which IXC2 puts behind a prefix."""
    section = data.get("vision_config", data)
    said = {ours: section.get(theirs) for ours, theirs in _CLIP_SIZES.items()}
    absent = [_CLIP_SIZES[name] for name, value in said.items() if not isinstance(value, int)]
    if absent or section.get("hidden_act", "quick_gelu") != "quick_gelu":
        raise ConfigError(
            f"config.json: {', '.join(absent) or 'hidden_act'} of CLIP's vision_config is missing "
            "or of a value that is not read; give CLIP ViT-L/14 as OpenAI published it."
        )
    cfg = ViTConfig(**cast(Any, said))
    table = [
        replace(rule, theirs=tuple(name.removeprefix(_IXC2_TOWER) for name in rule.theirs))
        for rule in ixc2_rules(Ixc2Config(vision=cfg))
    ]
    return cfg, table


_CLIP_SIZES: Final = {
    "tile": "image_size",
    "patch": "patch_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "mlp": "intermediate_size",
}

KINDS: Final[Mapping[str, Read]] = {
    "internlmxcomposer2": _ixc2,
    "internvl_chat": _internvl,
    "internvl": _internvl,
    "intern_vit_6b": _internvit,
    "clip": _clip,
    "clip_vision_model": _clip,
}
"""What gives a vision encoder, by the ``model_type`` of ``config.json``."""


def read_vit(name_or_folder: str | Path, *, dtype: torch.dtype = torch.float32) -> ViT:
    """The vision encoder of a folder; no other tensors of its files are read.

    Args:
        name_or_folder: of an InternVL, an InternLM-XComposer2-4KHD, an InternViT or a CLIP.
        dtype: to have it in.

    Raises:
        ConfigError: a model of another family.
        WeightsError: missing or damaged files.
    """
    folder = find(name_or_folder)
    data = read_config(folder)
    kind = str(data.get("model_type"))
    if kind not in KINDS:
        raise ConfigError(
            f"{folder}: a model of the kind {kind!r} gives no vision encoder; those of "
            f"{', '.join(KINDS)} do."
        )
    cfg, table = KINDS[kind](data)
    model = valueless(lambda: nn.ModuleDict({_PART: ViT(cfg)}), dtype)
    rules = [rule for rule in table if _is_vision(rule.made)]
    load_weights(model, _Some(folder, rules), rules)
    vit = model[_PART]
    assert isinstance(vit, ViT), "it was made as one"
    return vit.eval().requires_grad_(False)


class _Some(TensorFiles):
    """Of a folder's tensors those that a table names."""

    def __init__(self, folder: Path, rules: Sequence[KeyRule]) -> None:
        super().__init__(folder)
        groups, _ = groups_of(self.infos, rules)
        named = {name for group in groups for name in group.theirs}
        if not named:
            raise WeightsError(f"{folder}: holds no vision encoder; get the folder again.")
        self.infos: dict[str, TensorInfo] = {
            name: info for name, info in self.infos.items() if name in named
        }


def _is_vision(made: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{_PART}.") for name in made)


@torch.no_grad()
def begin_as(vit: ViT, other: ViT) -> list[str]:
    """Give a vision encoder the weights of another one of the same width and depth.

    The table of positions is stretched to its grid. What the other has not gets the values at
    which it does nothing: biases 0, scales of layers 1.

    Args:
        vit: what is filled.
        other: whose weights it gets, e.g. of CLIP.

    Returns:
        Names of the other's weights that there is no place for.

    Raises:
        ConfigError: a weight has another shape.
    """
    theirs = dict(other.named_parameters())
    theirs["positions"] = nn.Parameter(other.table(vit.cfg.side, vit.cfg.side))
    for name, weight in vit.named_parameters():
        value = theirs.pop(name, None)
        if value is None:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
            continue
        if value.shape != weight.shape:
            raise ConfigError(
                f"{name} of the vision encoder is {tuple(weight.shape)} and {tuple(value.shape)} "
                "in the one that it is to begin as; the two need the same width, MLP and patch."
            )
        weight.copy_(value)
    return sorted(theirs)
