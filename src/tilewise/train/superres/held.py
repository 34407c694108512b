"""What a network does on held-out pairs, in numbers and in pictures, beside bicubic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tilewise.records import Pixels
from tilewise.superres.losses import colour_matched
from tilewise.superres.metrics import psnr, ssim
from tilewise.superres.sdan import Enlarged, Sdan, reference_of
from tilewise.train.draw import number
from tilewise.train.superres.batches import Source
from tilewise.train.superres.made import Sample

SEED: Final = 7003
"""Of held-out pairs, the same in all runs."""

SHOWN: Final = 4
"""Pairs that pictures are made of."""

MOST_DB: Final = 60.0
"""Rounding to 8 bits alone leaves 59 dB."""

BORDER: Final = 8
"""Target pixels cut from all sides before measuring."""


class HeldPairs:
    """Measures the network without a reference (P0), beside bicubic, against the aligned target.

    A pair that knows no aligned target is measured against its target. Where the network aligns,
    also with the target as reference (P2, an upper bound), against the target; and how far windows
    move when the reference is the input itself (P1), where they should not.

    Args:
        network: in its mode for use.
        source: of pairs.
        count: pairs.
        device: of the network.
        has_colour_match: targets take the colours of inputs, as in the loss.
    """

    def __init__(
        self,
        network: Sdan,
        source: Source,
        count: int,
        *,
        device: str = "cpu",
        has_colour_match: bool = False,
    ) -> None:
        self._network, self._source, self._count = network, source, count
        self._device, self._has_colour_match = device, has_colour_match

    def __call__(self) -> Mapping[str, float]:
        """Means over the pairs: PSNR in dB, SSIM, offsets in input pixels."""
        found: dict[str, list[float]] = {}
        for sample in self._samples:
            for name, value in self._measured(sample).items():
                found.setdefault(name, []).append(value)
        return {name: float(np.mean(values)) for name, values in found.items()}

    def pictures(self) -> Mapping[str, Pixels]:
        """Pictures by name: input enlarged by bicubic, the network's, the target, side by side."""
        made = {}
        for place, sample in enumerate(self._samples[:SHOWN]):
            x, own, truth, _ = self._parts(sample)
            image = self._network(x).image
            row = torch.cat([self._bicubic(own), image, truth], -1)[0].clamp(0, 1)
            pixels = (row * 255).round().permute(1, 2, 0).to(torch.uint8).cpu().numpy()
            made[f"held {place}: bicubic, network, target"] = pixels
        return made

    @cached_property
    def _samples(self) -> Sequence[Sample]:
        return [self._source(number(SEED, place)) for place in range(self._count)]

    def _parts(self, sample: Sample) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Input, input in RGB, aligned target, target; each with a batch axis."""
        truth = sample.target if sample.aligned is None else sample.aligned
        x, own, truth, target = (
            part[None].to(self._device) for part in (sample.x, sample.own, truth, sample.target)
        )
        if self._has_colour_match:
            truth, target = (colour_matched(part, own) for part in (truth, target))
        return x, own, truth, target

    def _bicubic(self, own: Tensor) -> Tensor:
        scale = self._network.cfg.scale
        return F.interpolate(own, scale_factor=scale, mode="bicubic", align_corners=False)

    def _measured(self, sample: Sample) -> Mapping[str, float]:
        x, own, truth, target = self._parts(sample)
        image, plain = self._network(x).image, self._bicubic(own)
        ours, other, wanted = (_plain(part) for part in (image, plain, truth))
        numbers = {
            "PSNR": _psnr(ours, wanted),
            "SSIM": ssim(ours, wanted),
            "bicubic PSNR": _psnr(other, wanted),
            "bicubic SSIM": ssim(other, wanted),
        }
        if self._network.align is not None:
            reference = reference_of(target, *own.shape[-2:])
            oracle = self._network(x, reference).image
            numbers["P2 PSNR"] = _psnr(_plain(oracle), _plain(target))
            numbers["P1 offset"] = _length(self._network(x, own))
        return numbers


def _psnr(image: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """In dB, at most ``MOST_DB``: flat parts come out equal, and a mean must not be infinite."""
    return min(psnr(image, truth), MOST_DB)


def _length(made: Enlarged) -> float:
    assert made.offset is not None
    return float(made.offset.unflatten(1, (-1, 2)).norm(dim=2).mean())


def _plain(image: Tensor) -> NDArray[np.float32]:
    """(1, 3, h, w) → (h, w, 3) without its border, 0 to 1."""
    cut = image[0, :, BORDER:-BORDER, BORDER:-BORDER].clamp(0, 1)
    return cut.permute(1, 2, 0).cpu().numpy()
