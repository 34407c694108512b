"""Small networks of every kind, with random weights and their family's table of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import torch

from tests.models.internvl import making as internvl
from tests.models.ixc2 import making as ixc2
from tilewise.models.internvl import keys as internvl_keys
from tilewise.models.ixc2 import keys as ixc2_keys
from tilewise.weights.keymap import KeyRule

KINDS: Final = ("internlm2", "qwen2", "phi3", "ixc2")

_TEMPLATES: Final[Mapping[str, str]] = {
    "internlm2": "internlm2-chat",
    "qwen2": "Hermes-2",
    "phi3": "phi3-chat",
}


def network(kind: str) -> tuple[Any, Sequence[KeyRule]]:
    """A network and its table; all parameters may learn."""
    if kind == "ixc2":
        made: Any = ixc2.small_reader().network
        rules: Sequence[KeyRule] = ixc2_keys.rules(made.cfg)
    else:
        fields: Any = {"language": kind, "template": _TEMPLATES[kind]}
        cfg = replace(internvl.SMALL, **fields)
        made = internvl.small_reader(cfg).network
        rules = internvl_keys.rules(cfg)
    return made.requires_grad_(True), rules


def run(net: Any, seed: int = 0) -> torch.Tensor:
    """Logits of a few positions behind an image's tokens."""
    generator = torch.Generator().manual_seed(seed)
    tile = net.cfg.vision.tile
    seen = net.encode(torch.randn(2, 3, tile, tile, generator=generator)).flatten(0, 1)
    if hasattr(net, "newline"):
        seen = net.projector(seen)
    ids = torch.randint(0, 290, (5,), generator=generator)
    x = torch.cat([seen, net.decoder.embed(ids)])[None]
    from tilewise.nn.partial_lora import Segment

    hidden = net.decoder(x, (Segment(0, 0, len(seen)),))
    return net.decoder.logits(hidden)[0]


def stir(net: Any, seed: int = 1) -> None:
    """Give the second matrices of all adapters values, as learning does."""
    from tilewise.adapt.lora import adapters

    generator = torch.Generator().manual_seed(seed)
    for adapter in adapters(net).values():
        adapter.b.data.copy_(torch.randn(adapter.b.shape, generator=generator) * 0.1)
