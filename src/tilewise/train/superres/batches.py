"""Batches of pairs by their number: the same number, the same batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from tilewise.superres.losses import Pairs, SdanLossConfig, drawn_drops
from tilewise.train.draw import number
from tilewise.train.drawn import Order
from tilewise.train.superres.made import Sample, joined


class Source(Protocol):
    """Gives the pair of a key."""

    def __call__(self, *key: int) -> Sample:
        """The pair."""


class PairBatch(NamedTuple):
    """Pairs, which of them are shown their own input as reference, their names, and its number."""

    pairs: Pairs
    drops: Tensor
    names: tuple[str, ...]
    number: int


class PairBatches:
    """Makes the batch of a number; it travels to workers.

    Args:
        source: of pairs.
        seed: of the run.
        batch: pairs.
        loss: says how many references are dropped.
    """

    def __init__(self, source: Source, seed: int, batch: int, loss: SdanLossConfig) -> None:
        self._source, self._seed, self._batch, self._loss = source, seed, batch, loss

    def __call__(self, order: Order) -> Sequence[PairBatch]:
        """One batch."""
        seed = number(self._seed, order.number)
        samples = [self._source(seed, place) for place in range(self._batch)]
        generator = torch.Generator().manual_seed(seed & (2**63 - 1))
        drops = drawn_drops(self._batch, self._loss, generator)
        names = tuple(sample.name for sample in samples)
        return [PairBatch(Pairs(*joined(samples)), drops, names, order.number)]
