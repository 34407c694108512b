"""What is learned from a pack: cross-entropy at the positions that have labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

from tilewise.models.pack import IGNORE
from tilewise.nn.cross_entropy import cross_entropy_sum
from tilewise.nn.decoder import Decoder

Reduction = Literal["token", "sample", "square", "mean"]
"""How much the positions of a sample weigh, of which n have labels.

"token": 1 each; "sample": 1 / n, so that all samples weigh the same; "square": 1 / √n, between
the two. "mean" is "token" by the name that it has where samples are not packed.
"""

POWERS: Final[dict[Reduction, float]] = {"token": 0.0, "sample": 1.0, "square": 0.5, "mean": 0.0}

CHUNK: Final = 1024
"""Positions whose logits there are at a time."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a pack loses, before it is divided: by ``weight``, or that of several packs together.

    ``total`` is the sum of losses times their weights, ``weight`` that of the weights.
    """

    total: Tensor
    weight: float


def loss_weights(labels: Sequence[Sequence[int]], reduction: Reduction) -> list[list[float]]:
    """What each position weighs, 0 where it has no label.

    Args:
        labels: of each example, not shifted.
        reduction: how much the positions of an example weigh.

    Source: InternVL's training code, loss reduction of packed samples.
    """
    found = []
    for own in labels:
        count = sum(label != IGNORE for label in own)
        weight = count ** -POWERS[reduction] if count else 0.0
        found.append([0.0 if label == IGNORE else weight for label in own])
    return found


def packed_loss(
    decoder: Decoder,
    hidden: Tensor,
    labels: Sequence[Sequence[int]],
    weights: Sequence[Sequence[float]],
    *,
    chunk: int = CHUNK,
) -> Loss:
    """What a pack loses by next-token cross-entropy.

    A position is told by the one in front of it, and the first of an example by none. Logits
    are made for positions with a label alone, some at a time, and never kept.

    Args:
        decoder: its norm and its output make logits of hidden states.
        hidden: before the final norm, of all examples one behind another, (positions, width).
        labels: of each example, not shifted.
        weights: of each position, as ``loss_weights`` gives them.
        chunk: positions whose logits there are at a time; memory grows with it.
    """
    places, targets, own = [], [], []
    at = 0
    for some, their in zip(labels, weights, strict=True):
        for place, (label, weight) in enumerate(zip(some, their, strict=True)):
            if place and label != IGNORE:
                places.append(at + place - 1)
                targets.append(label)
                own.append(weight)
        at += len(some)
    assert at == len(hidden), "labels stand at all positions"
    picked = hidden.index_select(0, torch.tensor(places, dtype=torch.int64, device=hidden.device))
    normed = decoder.norm(picked.to(decoder.norm.weight.device))
    output = decoder.embed.weight if decoder.cfg.is_tied else decoder.output.weight
    device = output.device
    total = cross_entropy_sum(
        normed.to(device),
        output,
        torch.tensor(targets, dtype=torch.int64, device=device),
        torch.tensor(own, dtype=torch.float32, device=device),
        chunk=chunk,
    )
    return Loss(total, sum(own))
