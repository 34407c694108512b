"""What a batch of pairs loses, and the running mean of weights that is left in the end."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from tilewise.superres.losses import Pairs, SdanLossConfig, pairs_loss
from tilewise.superres.sdan import Sdan
from tilewise.train.loop import Size
from tilewise.train.report import StepReport
from tilewise.train.superres.batches import PairBatch

TOLD = ("image", "probe", "smoothness", "unmoved", "pin", "mean offset", "largest offset")
"""Numbers beside the loss: its terms, and how far windows moved, in input pixels."""


class Learner(nn.Module):
    """A network that learns, and the running mean of its weights.

    Args:
        network: learns.
        mean: how much of the mean stays at a step; 0 makes it the network itself.
    """

    def __init__(self, network: Sdan, mean: float) -> None:
        super().__init__()
        self.network = network
        self.mean = copy.deepcopy(network).requires_grad_(False)
        self._stays = mean

    @torch.no_grad()
    def follow(self, report: StepReport) -> None:
        """Take a step into the mean; the first ones count more, as the start is random."""
        stays = min(self._stays, report.step / (report.step + 10))
        ours = [weight.detach() for weight in self.mean.parameters()]
        learned = [weight.detach() for weight in self.network.parameters()]
        torch._foreach_lerp_(ours, learned, 1 - stays)


@dataclass(slots=True)
class Lost:
    """What a batch loses, weighed by its pairs."""

    total: Tensor
    weight: float
    numbers: Mapping[str, tuple[float, float]] = field(default_factory=dict)


class Enlarging:
    """What a batch of pairs loses.

    Args:
        network: learns.
        cfg: terms and switches.
        warmup: batches of which the probe's term alone counts.
        device: of the network.
        is_alone: no other process waits for what this one raises.
    """

    def __init__(
        self,
        network: Sdan,
        cfg: SdanLossConfig,
        *,
        warmup: int = 0,
        device: str = "cpu",
        is_alone: bool = True,
    ) -> None:
        self._network, self._cfg, self._warmup = network, cfg, warmup
        self._device, self._is_alone = device, is_alone

    def __call__(self, batch: PairBatch) -> Lost:
        """What it loses.

        Raises:
            TrainingError: a term is no number; it is named.
        """
        own = [None if part is None else part.to(self._device) for part in batch.pairs]
        pairs = Pairs(*own)  # type: ignore[arg-type]
        is_warming = batch.number < self._warmup and self._network.align is not None
        cfg = replace(self._cfg, image=0.0) if is_warming else self._cfg
        found = pairs_loss(self._network, pairs, cfg, batch.drops.to(self._device))
        if self._is_alone:  # else the loop tells of it, so that no process waits for this one
            found.check()
        count = len(batch.names)
        numbers = {
            name: (float(term.detach()) * count, count) for name, term in found.terms.items()
        }
        if found.mean_offset.ndim == 0 and self._network.align is not None:
            numbers["mean offset"] = (float(found.mean_offset) * count, count)
            numbers["largest offset"] = (float(found.max_offset) * count, count)
        return Lost(found.total * count, count, numbers)

    def size(self, batch: PairBatch) -> Size:
        """Input pixels stand for tokens, pairs for tiles."""
        x = batch.pairs.x
        return Size(x.shape[0] * x.shape[2] * x.shape[3], x.shape[0], batch.names)
