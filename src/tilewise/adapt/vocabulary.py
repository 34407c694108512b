"""New rows of the vocabulary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from tilewise.errors import ConfigError

_STD: Final = 0.02
"""Spread of the first values of new embeddings: ``initializer_range`` of the language models."""


@torch.no_grad()
def grow_vocabulary(network: Any, count: int, *, seed: int = 0) -> None:
    """Add ids at the end of a network's vocabulary, in place; its config says so afterwards.

    New rows of the output are the mean of the old ones, so that a new id is at first as probable
    as an id is on average. New embeddings are drawn, unless the two are the same tensor.

    Args:
        network: of any family; it has a ``decoder`` and a ``cfg`` that holds the decoder's.
        count: of new ids.
        seed: of the embeddings.

    Raises:
        ConfigError: ``count`` is negative.

    Source: InternVL's training code.
    """
    if count < 0:
        raise ConfigError(f"{count} ids are to be added to the vocabulary; give 0 or more.")
    decoder = network.decoder
    cfg = replace(decoder.cfg, vocabulary=decoder.cfg.vocabulary + count)
    old = decoder.embed.weight
    if cfg.is_tied:
        new = old.mean(0, keepdim=True).expand(count, -1)
    else:
        drawn = torch.randn(count, cfg.width, generator=torch.Generator().manual_seed(seed))
        new = (drawn * _STD).to(old)
        output = decoder.output.weight
        mean = output.float().mean(0, keepdim=True).to(output.dtype)
        decoder.output = _linear(torch.cat([output, mean.expand(count, -1)]), output)
    decoder.embed = nn.Embedding.from_pretrained(
        torch.cat([old, new]), freeze=not old.requires_grad
    )
    decoder.cfg = cfg
    network.cfg = replace(network.cfg, decoder=cfg)


def _linear(weight: Tensor, like: nn.Parameter) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=like.requires_grad)
    return layer
