"""A model's vision encoder by itself, read without the rest of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from tilewise.errors import ConfigError, WeightsError
from tilewise.models.folders import find
from tilewise.models.internvl.config import read_config as read_internvl
from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.names import TABLES
from tilewise.nn.vit import ViT, ViTConfig
from tilewise.weights.files import TensorFiles, TensorInfo, read_config
from tilewise.weights.keymap import groups_of, load_weights
from tilewise.weights.valueless import valueless

_PART: Final = "vit"

SIZES: Final[Mapping[str, Callable[[Mapping[str, Any]], ViTConfig]]] = {
    "internlmxcomposer2": lambda data: Ixc2Config.from_json(data).vision,
    "internvl_chat": lambda data: read_internvl(data).vision,
    "internvl": lambda data: read_internvl(data).vision,
}
"""Sizes of the vision encoder from a model's config, by its ``model_type``."""


def read_vit(name_or_folder: str | Path, *, dtype: torch.dtype = torch.float32) -> ViT:
    """The vision encoder of a model; of its files no other tensors are read.

    Args:
        name_or_folder: of an InternVL or an InternLM-XComposer2-4KHD.
        dtype: to have it in.

    Raises:
        ConfigError: a model of another family.
        WeightsError: missing or damaged files.
    """
    folder = find(name_or_folder)
    data = read_config(folder)
    kind = str(data.get("model_type"))
    if kind not in SIZES:
        raise ConfigError(
            f"{folder}: a model of the kind {kind!r} gives no vision encoder; those of "
            f"{', '.join(SIZES)} do."
        )
    cfg = SIZES[kind](data)
    model = valueless(lambda: nn.ModuleDict({_PART: ViT(cfg)}), dtype)
    rules = [rule for rule in TABLES[kind](data, None) if _is_vision(rule.made)]
    load_weights(model, _Some(folder, rules), rules)
    vit = model[_PART]
    assert isinstance(vit, ViT), "it was made as one"
    return vit.eval().requires_grad_(False)


class _Some(TensorFiles):
    """Of a folder's tensors those that a table names."""

    def __init__(self, folder: Path, rules: Any) -> None:
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
