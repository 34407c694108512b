"""The model that a run begins with: read or drawn, with adapters, and the parts that learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

import torch
from torch import nn

from tilewise.adapt.freeze import open_more, train_only
from tilewise.adapt.lora import attach
from tilewise.errors import ConfigError
from tilewise.models.folders import find
from tilewise.models.internvl.config import read_config as read_internvl_config
from tilewise.models.internvl.model import IMAGE_ENDS, InternVLReader
from tilewise.models.internvl.network import InternVL
from tilewise.models.internvl.prompt import random_tokens
from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.ixc2.model import Ixc2Reader
from tilewise.models.ixc2.network import Ixc2
from tilewise.models.load import devices, load
from tilewise.models.names import TABLES
from tilewise.nn.partial_lora import PartialLinear
from tilewise.text.templates import TEMPLATES
from tilewise.text.tokenizer import check_tokens, load_tokenizer
from tilewise.train.config import ModelConfig
from tilewise.weights.files import CONFIG, read_config
from tilewise.weights.keymap import KeyRule
from tilewise.weights.valueless import valueless

Reader = Ixc2Reader | InternVLReader

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A model that is ready to learn: its reader, the folder it came from, its table of names."""

    reader: Reader
    folder: Path
    rules: Sequence[KeyRule]

    @property
    def network(self) -> nn.Module:
        """The network."""
        return cast(nn.Module, self.reader.network)


def open_model(
    cfg: ModelConfig, *, seed: int, device: str = "cpu", is_empty: bool = False
) -> Start:
    """Make the model of a run, in float32.

    Args:
        cfg: what to load, what learns.
        seed: of drawn weights.
        device: as for ``models.load.load``; of several, all of it goes on the first.
        is_empty: weights have no values and lie on the meta device; no files of them are read.

    Raises:
        ConfigError: no folder, a family that cannot be trained here, or parts it has not.
        WeightsError: missing or damaged weights.
    """
    if not cfg.folder:
        raise ConfigError("model.folder is empty; give the model to begin with (--model FOLDER).")
    folder, place = find(cfg.folder), devices(device)[0]
    data = read_config(folder)
    kind = str(data.get("model_type"))
    if kind not in FAMILIES:
        raise ConfigError(
            f"{folder / CONFIG}: a model of the kind {kind!r} is not trained here; those of "
            f"{', '.join(FAMILIES)} are."
        )
    if is_empty:
        reader = FAMILIES[kind](folder, lambda build: valueless(build, torch.float32))
    elif cfg.is_random:
        reader = FAMILIES[kind](folder, lambda build: build())
        draw(reader.network, seed)
        reader.network.to(place)
    else:
        reader = cast(Reader, load(folder, dtype="float32", device=str(place)))
    rules = TABLES[kind](data, None)
    _set_up(reader.network, cfg, rules)
    return Start(reader=reader, folder=folder, rules=rules)


class Make(Protocol):
    """Calls a function that builds a network, with weights of some kind."""

    def __call__(self, build: Callable[[], Network]) -> Network:
        """The network."""


def _empty_ixc2(folder: Path, make: Make) -> Reader:
    cfg = Ixc2Config.from_json(read_config(folder))
    return Ixc2Reader(make(lambda: Ixc2(cfg)), load_tokenizer(folder, cfg.decoder.vocabulary))


def _empty_internvl(folder: Path, make: Make) -> Reader:
    data = read_config(folder)
    cfg = read_internvl_config(data)
    template = TEMPLATES[cfg.template]
    tokenizer = load_tokenizer(folder, cfg.decoder.vocabulary, random_tokens(data, cfg, template))
    check_tokens(tokenizer, (*template.markers, *IMAGE_ENDS), folder)
    return InternVLReader(make(lambda: InternVL(cfg)), tokenizer)


FAMILIES: Final[Mapping[str, Callable[[Path, Make], Reader]]] = {
    "internlmxcomposer2": _empty_ixc2,
    "internvl_chat": _empty_internvl,
    "internvl": _empty_internvl,
}
"""Makers of readers without weights, by the ``model_type`` of ``config.json``."""


def draw(network: nn.Module, seed: int) -> None:
    """Draw all weights of a network, the same ones for the same seed.

    Matrices and tables get normal numbers of a variance of one over their inputs, or over their
    width, which keeps the sizes of what passes at every width (the 0.02 of published configs is
    that of a width of 2500). The second matrices of Partial LoRA get zeros, norms and scales of
    layers ones, biases zeros. Filters of patches sum to zero, so that at first even paper says
    nothing and what is drawn on it stands out.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.copy_(_first_values(name, weight, generator))


def _first_values(name: str, weight: nn.Parameter, generator: torch.Generator) -> torch.Tensor:
    leaf = name.rpartition(".")[2]
    if leaf == "bias" or "lora_b" in name:
        return torch.zeros(weight.shape)
    if leaf in ("scale", "mlp_scale") or ("norm" in name and weight.ndim == 1):
        return torch.ones(weight.shape)
    drawn = torch.randn(weight.shape, generator=generator) * _inputs(weight) ** -0.5
    return drawn - drawn.mean(dim=(1, 2, 3), keepdim=True) if weight.ndim == 4 else drawn


def _inputs(weight: torch.Tensor) -> int:
    """Numbers that one of a layer's outputs is made of; of a table or vector, its width."""
    return weight[0].numel() if weight.ndim > 1 else weight.numel()


def _set_up(network: nn.Module, cfg: ModelConfig, rules: Sequence[KeyRule]) -> None:
    """Hang adapters on, set dropping, and let the parts learn that are to."""
    if cfg.lora is not None:
        attach(network, cfg.lora, rules)
    if cfg.vit_lora is not None:
        attach(network, cfg.vit_lora, rules)
    has_adapters = cfg.lora is not None or cfg.vit_lora is not None
    train_only(network, *cfg.trained, *(("adapter",) if has_adapters else ()))
    open_more(network, cfg.vit_layers, has_open_output=cfg.has_open_output)
    if cfg.drop_path is not None:
        layers = list(cast(Any, network).vit.layers)
        for number, layer in enumerate(layers):
            layer.drop = cfg.drop_path * number / max(1, len(layers) - 1)
    if cfg.partial_lora_dropout is not None:
        for module in network.modules():
            if isinstance(module, PartialLinear):
                module.dropout = cfg.partial_lora_dropout
