"""Which parts of a network learn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from torch import nn

from tilewise.adapt.lora import adapters
from tilewise.errors import ConfigError

Part = Literal["vit", "projector", "separators", "partial_lora", "decoder", "adapter"]
"""The parts that a family may have; ``separators`` and ``partial_lora`` are of one family."""

PARTS: Final[tuple[Part, ...]] = get_args(Part)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeConfig:
    """What does not learn, as InternVL's training options say it.

    ``vit``, ``projector`` and ``decoder`` are frozen where True (freeze_backbone, freeze_mlp,
    freeze_llm). ``vit_layers``: layers of the vision encoder from this one on learn all the same;
    negative counts from the end, 0 is none. ``has_open_output``: the output layer of the language
    model learns all the same. A part with adapters is frozen but for these, whatever is said.
    """

    vit: bool = False
    projector: bool = False
    decoder: bool = False
    vit_layers: int = 0
    has_open_output: bool = False


def part_of(name: str) -> Part:
    """The part that a parameter belongs to, by its name."""
    pieces = name.split(".")
    if "adapter" in pieces:
        return "adapter"
    if pieces[0] in ("vit", "projector"):
        return cast(Part, pieces[0])
    if pieces[0] in ("newline", "view_separator"):
        return "separators"
    if "lora_a" in pieces or "lora_b" in pieces:
        return "partial_lora"
    if pieces[0] == "decoder":
        return "decoder"
    raise ConfigError(f"{name} is in no known part of a network ({', '.join(PARTS)}).")


def train_only(network: nn.Module, *parts: Part) -> list[str]:
    """Let these parts learn and no others.

    Args:
        network: of any family.
        parts: of ``PARTS``; a part that the network has not is refused.

    Returns:
        Names of the parameters that learn.

    Raises:
        ConfigError: an unknown part, or one that this network has not.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise ConfigError(f"{', '.join(unknown)} is no part of a network; {', '.join(PARTS)} are.")
    there = {part_of(name) for name, _ in network.named_parameters()}
    absent = [part for part in parts if part not in there]
    if absent:
        raise ConfigError(
            f"{', '.join(absent)} is to learn and {type(network).__name__} has none; it has "
            f"{', '.join(part for part in PARTS if part in there)}."
        )
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(part_of(name) in parts)
    return trained(network)


def freeze(network: nn.Module, cfg: FreezeConfig) -> list[str]:
    """Freeze parts of a network by options; all other parts learn.

    Returns:
        Names of the parameters that learn.

    Raises:
        ConfigError: ``vit_layers`` names a layer that is not there, or nothing learns.
    """
    frozen = {part for part in ("vit", "projector", "decoder") if getattr(cfg, part)}
    frozen |= {name.partition(".")[0] for name in adapters(network)}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(part_of(name) not in frozen)
    open_more(network, cfg.vit_layers, has_open_output=cfg.has_open_output)
    names = trained(network)
    if not names:
        raise ConfigError("all parts are frozen and there is no adapter; let one of them learn.")
    return names


def open_more(network: nn.Module, vit_layers: int = 0, *, has_open_output: bool = False) -> None:
    """Let layers of the vision encoder, and the output of the language model, learn besides.

    Args:
        network: of any family.
        vit_layers, has_open_output: as in ``FreezeConfig``.

    Raises:
        ConfigError: ``vit_layers`` names a layer that is not there.
    """
    for layer in _open_layers(network, vit_layers):
        layer.requires_grad_(True)
    if has_open_output:
        decoder = cast(Any, network).decoder
        is_tied = decoder.cfg.is_tied
        (decoder.embed if is_tied else decoder.output).weight.requires_grad_(True)


def trained(network: nn.Module) -> list[str]:
    """Names of the parameters that learn."""
    return [name for name, value in network.named_parameters() if value.requires_grad]


def _open_layers(network: nn.Module, first: int) -> Iterable[nn.Module]:
    if not first:
        return ()
    layers = list(cast(Any, network).vit.layers)
    if not -len(layers) <= first < len(layers):
        raise ConfigError(
            f"layers of the vision encoder from {first} on are to learn, and it has {len(layers)} "
            f"layers; give {-len(layers)} to {len(layers) - 1}."
        )
    return layers[first:]
