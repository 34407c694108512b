"""What a network does on held-out pairs, in numbers and in pictures, beside bicubic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tilewise.records import Pixels
from tilewise.superres.losses import colour_matched
from tilewise.superres.sdan import Enlarged, Sdan, reference_of
from tilewise.train.draw import number
from tilewise.train.superres.batches import Source
from tilewise.train.superres.made import Sample

SEED: Final = 7003
"""Of held-out pairs, the same in all runs."""

SHOWN: Final = 4
"""Pairs that pictures are made of."""

BORDER: Final = 8
"""Target pixels cut from all sides before measuring."""

SIGMA: Final = 1.5
_TAPS: Final = 11


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
        numbers = {
            "PSNR": psnr(image, truth),
            "SSIM": ssim(image, truth),
            "bicubic PSNR": psnr(plain, truth),
            "bicubic SSIM": ssim(plain, truth),
        }
        if self._network.align is not None:
            reference = reference_of(target, *own.shape[-2:])
            numbers["P2 PSNR"] = psnr(self._network(x, reference).image, target)
            numbers["P1 offset"] = _length(self._network(x, own))
        return numbers


def psnr(image: Tensor, truth: Tensor, border: int = BORDER) -> float:
    """Peak signal to noise of RGB from 0 to 1, in dB; (1, 3, h, w) both."""
    error = (_cut(image.clamp(0, 1), border) - _cut(truth.clamp(0, 1), border)).square().mean()
    return float(-10 * error.clamp(min=1e-10).log10())


def ssim(image: Tensor, truth: Tensor, border: int = BORDER) -> float:
    """Structural similarity of RGB from 0 to 1, the mean over channels; (1, 3, h, w) both.

    Windows of 11 x 11 px, Gaussian with sigma 1.5, where they lie inside.

    Source: Z. Wang et al., "Image quality assessment" (IEEE TIP 2004).
    """
    a, b = (_cut(part.clamp(0, 1), border).transpose(0, 1) for part in (image, truth))
    places = torch.arange(_TAPS, device=a.device) - _TAPS // 2
    taps = torch.exp(-0.5 * (places / SIGMA) ** 2)
    window = (taps[:, None] * taps / taps.sum() ** 2)[None, None]
    mean_a, mean_b, aa, bb, ab = (F.conv2d(t, window) for t in (a, b, a * a, b * b, a * b))
    var_a, var_b, both = aa - mean_a**2, bb - mean_b**2, ab - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    alike = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    return float((alike / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def _length(made: Enlarged) -> float:
    assert made.offset is not None
    return float(made.offset.unflatten(1, (-1, 2)).norm(dim=2).mean())


def _cut(x: Tensor, border: int) -> Tensor:
    return x[..., border : x.shape[-2] - border, border : x.shape[-1] - border]
