"""Adapters by published names: their two matrices as each published layer has them, and back.

A family's table takes weights from published names to ours. Rows of an adapter's second matrix
are moved as rows of the weight are, and the first matrices go with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from tilewise.adapt.lora import Adapter, LoraConfig, adapters, hang
from tilewise.errors import WeightsError
from tilewise.weights.keymap import KeyRule, groups_of, groups_to_publish
from tilewise.weights.names import listed

HALF: Final = re.compile(r"(.+)\.lora_([AB])(?:\.[^.]+)?\.weight")
"""Name of one of the two matrices of an adapter; the adapter may have a name of its own."""

_PREFIXES: Final = ("", "language_model.", "vision_model.", "model.")
"""Where in a model the names of an adapter's layers may begin."""


@dataclass(frozen=True, slots=True)
class Half:
    """The two matrices of one published layer, (rank, in) and (out, rank), and what scales them."""

    a: Tensor
    b: Tensor
    scale: float


def published_adapters(network: nn.Module, rules: Sequence[KeyRule]) -> dict[str, Half]:
    """The adapters of a network by the published names of their layers, in published form.

    Raises:
        WeightsError: there are none, or some were not attached with this table and have no form
            in it.
    """
    found = adapters(network)
    if not found:
        raise WeightsError("the network has no adapters; attach some, or save its weights.")
    made: dict[str, Half] = {}
    for group in groups_to_publish([f"{name}.weight" for name in found], rules):
        ours = [found[name.removesuffix(".weight")] for name in group.ours]
        firsts = ours[0].a.detach().chunk(len(ours[0].rows))
        if len(firsts) not in (1, len(group.theirs)) or any(
            not torch.equal(adapter.a, ours[0].a) for adapter in ours
        ):
            raise WeightsError(
                f"the adapter of {', '.join(group.ours)} has no published form as "
                f"{', '.join(group.theirs)}; attach adapters with the family's table of names."
            )
        seconds = group.rule.store(*(adapter.b.detach() for adapter in ours))
        for number, (name, b) in enumerate(zip(group.theirs, seconds, strict=True)):
            a = firsts[number % len(firsts)]
            made[name.removesuffix(".weight")] = Half(a, b, ours[0].scale)
    return made


def paired(
    tensors: Mapping[str, Tensor], folder: Path, scale: Callable[[str, int], float]
) -> dict[str, Half]:
    """Matrices by the names of their layers, from single ones by theirs.

    Args:
        tensors: by names that ``HALF`` fits.
        folder: for messages.
        scale: gives that of an adapter from its layer's name and its rank.

    Raises:
        WeightsError: a tensor that is no matrix of an adapter, or one without its other half.
    """
    pairs: dict[str, dict[str, Tensor]] = {}
    odd = []
    for name, value in tensors.items():
        match = HALF.fullmatch(name)
        if match is None or value.ndim != 2:
            odd.append(name)
        else:
            pairs.setdefault(match[1], {})[match[2]] = value
    odd += [n for n, pair in pairs.items() if len(pair) < 2 or len(pair["A"]) != pair["B"].shape[1]]
    if odd:
        raise WeightsError(
            f"{folder}: these are no adapters, or halves of some: {listed(odd)}; get it again."
        )
    return {
        name: Half(pair["A"], pair["B"], scale(name, len(pair["A"])))
        for name, pair in pairs.items()
    }


def attach_published(
    network: nn.Module,
    halves: Mapping[str, Half],
    rules: Sequence[KeyRule],
    dropout: float,
    folder: Path,
) -> list[str]:
    """Attach adapters by the published names of their layers; the network has none yet.

    Args:
        network: of the family that ``rules`` are the table of.
        halves: their matrices. Names may begin at the whole model or at one of its parts.
        rules: the family's table of names.
        dropout: of the adapters while they learn.
        folder: for messages.

    Returns:
        Our names of the layers.

    Raises:
        WeightsError: an adapter that fits no layer; nothing is attached then.
    """
    layers = {name: m for name, m in network.named_modules() if isinstance(m, nn.Linear)}
    if adapters(network):
        raise WeightsError(f"{folder}: the network has adapters already; merge or detach them.")
    named = _by_our_prefix(halves, rules, folder)
    made: dict[str, Adapter] = {}
    for group in groups_of([f"{name}.weight" for name in named], rules)[0]:
        found = [named.get(name.removesuffix(".weight")) for name in group.theirs]
        ours = [name.removesuffix(".weight") for name in group.ours]
        absent = [name for name in ours if name not in layers]
        if absent:
            raise WeightsError(f"{folder}: has adapters of {listed(absent)}, which are not here.")
        made |= _built(group.rule, found, {name: layers[name] for name in ours}, dropout, folder)
    for name, adapter in made.items():
        hang(layers[name], adapter)
    return list(made)


def _by_our_prefix(
    halves: Mapping[str, Half], rules: Sequence[KeyRule], folder: Path
) -> Mapping[str, Half]:
    """The same by names of the whole model, wherever the saved ones began."""
    unknown: list[str] = []
    for prefix in _PREFIXES:
        named = {f"{prefix}{name}": half for name, half in halves.items()}
        wrong = groups_of([f"{name}.weight" for name in named], rules)[1]
        if not wrong:
            return named
        unknown = unknown or wrong
    raise WeightsError(
        f"{folder}: has adapters of layers that this model has not: {listed(unknown)}; give an "
        "adapter of this model."
    )


def _built(
    rule: KeyRule,
    found: Sequence[Half | None],
    layers: Mapping[str, nn.Linear],
    dropout: float,
    folder: Path,
) -> dict[str, Adapter]:
    """Our adapters of one group of published ones; those that are absent add nothing."""
    first, *rest = (half for half in found if half is not None)
    names = list(layers)
    if any(half.scale != first.scale or half.a.shape != first.a.shape for half in rest):
        raise WeightsError(
            f"{folder}: the adapters that make that of {names[0]} differ in rank or scale; merge "
            "them with the library that made them."
        )
    wanted = rule.store(*(layer.weight.to("meta") for layer in layers.values()))
    rank = len(first.a)
    firsts, seconds = [], []
    for half, part in zip(found, wanted, strict=True):
        a = torch.zeros_like(first.a) if half is None else half.a
        b = first.b.new_zeros(len(part), rank) if half is None else half.b
        if a.shape[1] != part.shape[1] or len(b) != len(part):
            raise WeightsError(
                f"{folder}: an adapter of {names[0]} is {tuple(b.shape)} by {tuple(a.shape)} and "
                f"its layer {tuple(part.shape)}; give an adapter of this model."
            )
        firsts.append(a)
        seconds.append(b)
    cfg = LoraConfig(rank=rank, alpha=first.scale * rank, dropout=dropout, dtype=first.a.dtype)
    made: dict[str, Adapter] = {}
    rows = [len(b) for b in seconds] if len(seconds) > 1 else None
    for (name, layer), b in zip(layers.items(), rule.loaded(seconds), strict=True):
        adapter = Adapter(layer.in_features, rows or [layer.out_features], cfg, like=layer.weight)
        if made:
            adapter.a = made[names[0]].a
        else:
            adapter.a.data.copy_(torch.cat(firsts))
        adapter.b.data.copy_(b)
        made[name] = adapter
    return made
