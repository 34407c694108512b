"""Sequences one behind another through a decoder's layers, for training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor

from tilewise.nn.checkpoint import run_layer
from tilewise.nn.decoder import Decoder, DecoderLayer, Run
from tilewise.nn.rope import rope_table


def run_packed(
    decoder: Decoder,
    x: Tensor,
    image_rows: Tensor,
    lengths: Sequence[int],
    *,
    is_checkpointed: bool = False,
) -> Tensor:
    """Run sequences that lie one behind another, each as if it were alone.

    Attention is causal inside each, without a matrix of scores; positions start anew with each,
    and each has the rotary table of its own length.

    Args:
        decoder: whose layers run.
        x: embeddings of all sequences, (positions, width).
        image_rows: positions of images, (count,), which Partial LoRA adds to.
        lengths: of the sequences.
        is_checkpointed: activations inside layers are computed again in the backward pass.

    Returns:
        Hidden states before the final norm, (positions, width).
    """
    assert sum(lengths) == len(x), "lengths are those of all sequences"
    cos, sin = (part.to(x.dtype) for part in _table(decoder, lengths, x.device))
    run = Run((cos, sin), None, image_rows, None, tuple(lengths))
    x = x[None]
    for i, layer in enumerate(cast("Iterable[DecoderLayer]", decoder.layers)):
        device = layer.attention_norm.weight.device
        if x.device != device:
            x = x.to(device)
            run = run.to(x)
        x = run_layer(layer, x, run, i, is_checkpointed=is_checkpointed)
    return x[0]


def _table(decoder: Decoder, lengths: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of all positions, (positions, head size)."""
    cfg = decoder.cfg
    tables = {}
    for regime in {decoder.regime(length) for length in lengths}:
        longest = max(length for length in lengths if decoder.regime(length) == regime)
        positions = torch.arange(longest, device=device)
        tables[regime] = rope_table(
            positions, cfg.head_size, cfg.rope_theta, cfg.rope_scaling, [regime]
        )
    own = [[part[:length] for part in tables[decoder.regime(length)]] for length in lengths]
    cos, sin = (torch.cat(parts) for parts in zip(*own, strict=True))
    return cos, sin
