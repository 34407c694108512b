"""LoRA on the linear layers of a network: attached, detached, merged.

An adapter hangs on its layer and adds to what the layer gives. The layer's own weights keep their
names and their values, so that what reads or writes them need not know of adapters, and taking
the adapters off leaves the network as it was, bit for bit.

Source: LoRA (arXiv 2106.09685).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.errors import ConfigError
from tilewise.nn.partial_lora import PartialLinear
from tilewise.weights.keymap import KeyRule

DECODER_TARGETS: Final = tuple(
    f"decoder.layers.{{i}}.{part}"
    for part in ("attention.qkv", "attention.out", "mlp.gate", "mlp.up", "mlp.down")
)
"""The linear layers of a language model that published recipes adapt: all but the output."""

VIT_TARGETS: Final = tuple(f"vit.layers.{{i}}.{part}" for part in ("qkv", "out", "up", "down"))
"""Those of a vision encoder."""

_NUMBER: Final = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraConfig:
    """What adapters are like and where they go.

    ``alpha`` over ``rank`` scales what an adapter adds; None is twice the rank, as in InternVL's
    recipes. ``dropout`` is the share of inputs that an adapter does not see while it learns.
    ``targets`` are layers by our names, ``{i}`` for the number. ``seed`` gives the first values.
    ``dtype`` of the adapters; None is that of the layer.
    """

    rank: int = 16
    alpha: float | None = None
    dropout: float = 0.05
    targets: tuple[str, ...] = DECODER_TARGETS
    seed: int = 0
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"the rank of LoRA is {self.rank}; give 1 or more.")
        if self.alpha is not None and not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ConfigError(f"alpha of LoRA is {self.alpha}; give a number above 0.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout of LoRA is {self.dropout}; 0 <= dropout < 1 must hold.")
        if not self.targets:
            raise ConfigError("LoRA has no targets; name one layer at least.")

    @property
    def scale(self) -> float:
        """What the product of the two matrices is multiplied by."""
        return (2.0 * self.rank if self.alpha is None else self.alpha) / self.rank


class Adapter(nn.Module):
    """What is added to a linear layer: ``scale * b(a(dropout(x)))``.

    ``rows`` says how the layer's output is made of parts that each have matrices of their own, as
    where queries, keys and values are published as three layers: ``a`` holds the parts' matrices
    one above the other, ``b`` the rows of each part, which read their part of ``a`` alone.

    Shape: (..., in) -> (..., out).
    """

    def __init__(
        self, in_size: int, rows: Sequence[int], cfg: LoraConfig, *, like: Tensor | None = None
    ) -> None:
        super().__init__()
        self.rows, self.rank, self.scale, self.dropout = (
            tuple(rows),
            cfg.rank,
            cfg.scale,
            cfg.dropout,
        )
        dtype = cfg.dtype or (like.dtype if like is not None else torch.float32)
        device = like.device if like is not None else None
        self.a = nn.Parameter(
            torch.zeros(len(self.rows) * cfg.rank, in_size, dtype=dtype, device=device)
        )
        self.b = nn.Parameter(torch.zeros(sum(self.rows), cfg.rank, dtype=dtype, device=device))

    @property
    def alpha(self) -> float:
        """``scale`` times the rank."""
        return self.scale * self.rank

    def forward(self, x: Tensor) -> Tensor:
        dtype = x.dtype
        x = F.dropout(x.to(self.a.dtype), self.dropout, self.training)
        low = F.linear(x, self.a) * self.scale
        if len(self.rows) == 1:
            return F.linear(low, self.b).to(dtype)
        pairs = zip(low.chunk(len(self.rows), -1), self.b.split(self.rows), strict=True)
        return torch.cat([F.linear(part, b) for part, b in pairs], -1).to(dtype)

    def delta(self) -> Tensor:
        """What merging adds to the layer's weight: float32 (out, in)."""
        pairs = zip(self.a.chunk(len(self.rows)), self.b.split(self.rows), strict=True)
        return torch.cat([b.float() @ a.float() for a, b in pairs]) * self.scale


def attach(network: nn.Module, cfg: LoraConfig, rules: Sequence[KeyRule] = ()) -> list[str]:
    """Hang new adapters on layers of a network; what it computes does not change yet.

    Attaching twice with other targets gives the vision encoder another rank than the decoder.

    Args:
        network: of any family.
        cfg: which layers, and how.
        rules: the family's table of published names. Adapters are cut as these layers are: where
            several published layers make one of ours, each gets matrices of its own, and where
            one makes several of ours, these share theirs. So each adapter has a published form.
            Without a table each layer has one pair.

    Returns:
        Our names of the layers, in their order.

    Raises:
        ConfigError: a target that the network has not, or that has an adapter already.
    """
    layers = _targets(network, cfg)
    cuts = _cuts(rules)
    shared: dict[tuple[str, int] | None, nn.Parameter] = {}
    generator = torch.Generator().manual_seed(cfg.seed)
    for name, layer in layers.items():
        rule = cuts.get(pattern(name))
        adapter = Adapter(layer.in_features, _rows(layer, rule), cfg, like=_like(layer))
        key = (_NUMBER.findall(name)[0], id(rule)) if rule and len(rule.made) > 1 else None
        if key in shared:
            adapter.a = shared[key]
        else:
            _first_values(adapter.a, cfg.rank, generator)
        if key is not None:
            shared[key] = adapter.a
        hang(layer, adapter)
    return list(layers)


def hang(layer: nn.Linear, adapter: Adapter) -> None:
    """Make a layer add what an adapter gives; the adapter is in training if the layer is."""
    layer.adapter = adapter.train(layer.training)
    layer.register_forward_hook(_add)


def adapters(network: nn.Module) -> dict[str, Adapter]:
    """The adapters of a network by the names of their layers."""
    return {
        name.removesuffix(".adapter"): module
        for name, module in network.named_modules()
        if isinstance(module, Adapter)
    }


def detach(network: nn.Module) -> dict[str, Adapter]:
    """Take all adapters off; the network is then as it was before ``attach``, bit for bit.

    Returns:
        What was taken off, by the names of the layers.
    """
    found = adapters(network)
    for name in found:
        layer = network.get_submodule(name)
        del layer.adapter
        hooks = layer._forward_hooks
        for key in [key for key, hook in hooks.items() if hook is _add]:
            del hooks[key]
    return found


@torch.no_grad()
def merge(network: nn.Module) -> None:
    """Add all adapters to the weights of their layers, in float32, rounded once, and take them off.

    Partial LoRA of a layer is not part of its weight and stays beside it.

    Raises:
        ConfigError: a layer's weight is quantised; nothing is merged then.
    """
    found = adapters(network)
    weights = {name: network.get_parameter(f"{name}.weight") for name in found}
    for name, weight in weights.items():
        if type(weight.data) is not Tensor or not weight.is_floating_point():
            raise ConfigError(
                f"{name} has quantised weights, into which no adapter can be merged; load the "
                "model without quantisation, or keep the adapter beside it."
            )
    for name, adapter in found.items():
        weight = weights[name]
        weight.copy_((weight.float() + adapter.delta().to(weight.device)).to(weight.dtype))
    detach(network)


def pattern(name: str) -> str:
    """A name with ``{i}`` in place of the number of its layer."""
    return _NUMBER.sub("{i}", name)


def _add(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    """Forward hook of a layer with an adapter; a function of the module, so that copies work."""
    adapter = cast(Adapter, layer.adapter)
    return output + adapter(args[0])


def _targets(network: nn.Module, cfg: LoraConfig) -> dict[str, nn.Linear]:
    wanted = set(cfg.targets)
    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and pattern(name) in wanted
    }
    absent = sorted(wanted - {pattern(name) for name in layers})
    if absent:
        raise ConfigError(
            f"LoRA targets {', '.join(absent)}, which {type(network).__name__} has not; targets "
            "are linear layers by their names, such as decoder.layers.{i}.attention.qkv."
        )
    taken = [name for name, layer in layers.items() if hasattr(layer, "adapter")]
    if taken:
        raise ConfigError(
            f"{taken[0]} has an adapter already; merge it or take it off before attaching another."
        )
    return layers


def _cuts(rules: Sequence[KeyRule]) -> Mapping[str, KeyRule]:
    """Rules of weights by our names of the layers; of several the first counts, as in loading."""
    found: dict[str, KeyRule] = {}
    for rule in rules:
        for ours in rule.made:
            if ours.endswith(".weight"):
                found.setdefault(ours.removesuffix(".weight"), rule)
    return found


def _rows(layer: nn.Linear, rule: KeyRule | None) -> tuple[int, ...]:
    """Rows of each published layer that is a part of this one."""
    if rule is None or len(rule.theirs) == 1:
        return (layer.out_features,)
    parts = rule.store(torch.empty(layer.out_features, 1, device="meta"))
    return tuple(len(part) for part in parts)


def _like(layer: nn.Linear) -> Tensor:
    """A tensor of the dtype and device that the layer computes in."""
    if isinstance(layer, PartialLinear) and layer.rank:
        return layer.lora_a.weight
    return layer.weight


def _first_values(a: nn.Parameter, rank: int, generator: torch.Generator) -> None:
    """As the linear layers of torch begin, drawn on the CPU, so that all devices get the same."""
    for part in a.data.split(rank):
        drawn = torch.empty(part.shape)
        nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
        part.copy_(drawn)
