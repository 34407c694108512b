"""What SDAN learns from: enlarged images that lie on their targets, offsets told by a probe.

Source: SDAN's training code for the two terms, the border and their weights; the switches beside
them are our own, for pairs of users' cameras.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tilewise.errors import ConfigError, TrainingError
from tilewise.superres.sdan import Enlarged, Sdan, reference_of

EPS: Final = 1e-12
"""Under the root, which makes the absolute value smooth at 0."""

EDGE: Final = 10.0
"""How fast a step of brightness (0 to 1) frees the offsets of staying smooth across it."""

POOL: Final = 8
"""Pixels of the input that are averaged before colours are compared, more than pairs are off."""

HOLD: Final = 1e-2
"""Variance with which a colour's gain is held to the ratio of the means.

On crops of 48 px of six pairs, contrast came out at 0.95 to 1.09 of what it should be with it, at
0.88 to 1.10 without, and at 0.80 to 1.08 by least squares; errors of colour were least with it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SdanLossConfig:
    """Weights of the terms, and switches.

    ``border`` is cut from all sides, in target pixels. ``image`` and ``probe`` weigh the two
    published terms; ``image`` of 0 trains the offsets alone, as a warm-up does. ``smoothness``
    weighs how the offsets vary, less across edges. ``dropout`` is the share of samples that are
    shown their own input as reference, as there is no other when images are enlarged; their image
    term weighs ``unaligned``, unless the pair knows a target that lies on the input: one that lies
    elsewhere teaches blur. ``has_colour_match`` maps the target's colours to the input's.

    Kernels can undo a constant shift of all windows, so dropped references alone do not hold
    offsets at zero. ``pin`` weighs the mean shift of samples that are shown their own input, and
    teaches the last convolution of the offsets alone; ``unmoved`` how the probe's picture, where
    nothing is moved, differs from the input.
    """

    border: int = 32
    image: float = 1.0
    probe: float = 1.0
    smoothness: float = 0.01
    dropout: float = 0.25
    unaligned: float = 0.0
    unmoved: float = 0.0
    pin: float = 3.0
    has_colour_match: bool = True

    def __post_init__(self) -> None:
        weights = ("border", "image", "probe", "smoothness", "unaligned", "unmoved", "pin")
        if min(getattr(self, name) for name in weights) < 0 or not 0 <= self.dropout <= 1:
            told = ", ".join(f"{name} {getattr(self, name)}" for name in (*weights, "dropout"))
            raise ConfigError(
                f"the loss has {told}; 0 or more, and dropout of 0 to 1, are allowed."
            )


PUBLISHED: Final = SdanLossConfig(
    smoothness=0.0, dropout=0.0, unmoved=0.0, pin=0.0, has_colour_match=False
)
"""The loss that the authors trained with."""


class Pairs(NamedTuple):
    """A batch: inputs (b, channels, h, w) and targets (b, 3, scale * h, scale * w), 0 to 1.

    ``own`` is the input in RGB, (b, 3, h, w): the input itself, or its mosaic with colours filled
    in. ``aligned`` is the target as it would lie on the input, which made-up pairs alone know.
    """

    x: Tensor
    target: Tensor
    own: Tensor
    aligned: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SdanLoss:
    """The weighted terms of a batch, and how far its windows moved, in input pixels."""

    terms: dict[str, Tensor]
    mean_offset: Tensor
    max_offset: Tensor

    @property
    def total(self) -> Tensor:
        """What is learned from."""
        return torch.stack(list(self.terms.values())).sum()

    def check(self) -> None:
        """Raise if a term is no number.

        Raises:
            TrainingError: names the term.
        """
        odd = [name for name, term in self.terms.items() if not bool(term.isfinite())]
        if odd:
            raise TrainingError(
                f"the loss term {' and '.join(odd)} is no number, with offsets up to "
                f"{float(self.max_offset):.3g} px; lower the learning rate, of the offsets first, "
                "or bound them by max_offset."
            )


def pairs_loss(network: Sdan, pairs: Pairs, cfg: SdanLossConfig, drops: Tensor) -> SdanLoss:
    """Run a batch and tell what it loses.

    Args:
        network: with or without alignment; without, the image term alone is there.
        pairs: the batch.
        cfg: weights and switches.
        drops: (b,), which samples are shown their own input as reference, see ``drawn_drops``.

    Raises:
        ConfigError: nothing is left within the border.
    """
    x, target, own, aligned = pairs
    if cfg.has_colour_match:
        target = colour_matched(target, own)
        aligned = None if aligned is None else colour_matched(aligned, own)
    if network.align is None:
        return pair_terms(network(x), target, target, own, cfg)
    drops = drops.view(-1, 1, 1, 1)
    reference = torch.where(drops, own, reference_of(target, *own.shape[-2:]))
    weight = torch.ones_like(drops, dtype=own.dtype)
    if aligned is None:
        weight = torch.where(drops, cfg.unaligned, weight)
    else:
        target = torch.where(drops, aligned, target)
    made = network(x, reference)
    lost = pair_terms(made, target, reference, own, cfg, weight)
    terms = dict(lost.terms)
    narrow = -(-cfg.border // network.cfg.scale)
    if cfg.unmoved:
        terms["unmoved"] = cfg.unmoved * _cut(distance(network.unmoved(x), own), narrow).mean()
    if cfg.pin and made.offset is not None:
        last = [w for w in network.align.offsets.out.parameters() if w.requires_grad]
        terms["pin"] = cfg.pin * pinned(_cut(made.offset, narrow), drops, last)
    return replace(lost, terms=terms)


def drawn_drops(count: int, cfg: SdanLossConfig, generator: torch.Generator) -> Tensor:
    """Which of ``count`` samples lose their reference, (count,) of bool, on the CPU."""
    return torch.rand(count, generator=generator) < cfg.dropout


def pair_terms(
    made: Enlarged,
    target: Tensor,
    reference: Tensor,
    own: Tensor,
    cfg: SdanLossConfig,
    weight: Tensor | float = 1.0,
) -> SdanLoss:
    """The terms of what the network made.

    Args:
        made: of a batch.
        target: (b, 3, scale * h, scale * w).
        reference: what the probe should tell, (b, 3, h, w).
        own: the input in RGB, whose edges let the offsets jump, (b, 3, h, w).
        cfg: weights and the border.
        weight: of each sample in the image term, (b, 1, 1, 1).

    Raises:
        ConfigError: nothing is left within the border.
    """
    scale = target.shape[-1] // own.shape[-1]
    wide, narrow = cfg.border, -(-cfg.border // scale)
    if min(own.shape[-2:]) <= 2 * narrow:
        raise ConfigError(
            f"input crops are {own.shape[-1]}x{own.shape[-2]} px and the loss cuts {narrow} px "
            "from each side; take larger crops or a smaller border."
        )
    off = _cut(distance(made.image, target), wide) * weight
    none = off.new_zeros(())
    if made.offset is None or made.probe is None or made.mask is None:
        terms = {"image": cfg.image * off.mean()}
        return SdanLoss(terms=terms, mean_offset=none, max_offset=none)
    mask = F.interpolate(made.mask, scale_factor=scale, mode="nearest")
    probe = _cut(distance(made.probe, reference) * made.mask, narrow)
    terms = {
        "image": cfg.image * (off * _cut(mask, wide)).mean(),
        "probe": cfg.probe * probe.mean(),
    }
    if cfg.smoothness:
        rough = roughness(_cut(made.offset, narrow), _cut(own, narrow))
        terms["smoothness"] = cfg.smoothness * rough
    lengths = made.offset.detach().unflatten(1, (-1, 2)).norm(dim=2)
    return SdanLoss(terms=terms, mean_offset=lengths.mean(), max_offset=lengths.max())


def distance(a: Tensor, b: Tensor) -> Tensor:
    """The absolute difference, smooth at 0."""
    return torch.sqrt((a - b).square() + EPS)


def roughness(offset: Tensor, image: Tensor) -> Tensor:
    """Mean change of offsets from pixel to pixel, less where the image changes too.

    Shape: offset (b, n, h, w), image (b, c, h, w) -> ()
    """
    parts = []
    for axis in (-2, -1):
        step = image.diff(dim=axis).abs().mean(1, keepdim=True)
        change = offset.diff(dim=axis).abs() * torch.exp(-EDGE * step)
        parts.append(change.mean() if change.numel() else change.sum())
    return torch.stack(parts).sum()


def pinned(offset: Tensor, drops: Tensor, last: Sequence[Tensor]) -> Tensor:
    """The square of how far the windows of samples without a reference move in the mean.

    Teaches ``last`` alone, the weights of the convolution that gives the offsets. Were what it
    reads taught too, that would fall silent before anything is found by it.

    Shape: offset (b, 2 or 18, h, w), drops (b, 1, 1, 1) -> ()
    """
    if not bool(drops.any()):
        return offset.new_zeros(())
    shift = offset.mean((2, 3))[drops.flatten()].mean(0).square().mean()
    if not shift.requires_grad or not last:
        return shift.detach()
    slopes = torch.autograd.grad(shift, last, retain_graph=True)
    steps = [((w - w.detach()) * slope).sum() for w, slope in zip(last, slopes, strict=True)]
    return shift.detach() + torch.stack(steps).sum()


@torch.no_grad()
def colour_matched(target: Tensor, own: Tensor) -> Tensor:
    """The target in the colours of the input: a gain and a shift for each sample and channel.

    They match mean and spread of averages over blocks. Least squares between the two pictures
    would not do: what does not lie on each other is not alike, and contrast would be lost by it.

    Shape: target (b, 3, scale * h, scale * w), own (b, 3, h, w) -> the target's
    """
    size = (max(1, own.shape[-2] // POOL), max(1, own.shape[-1] // POOL))
    theirs, ours = (F.adaptive_avg_pool2d(t.float(), size).flatten(2) for t in (target, own))
    mean, wanted = theirs.mean(2), ours.mean(2)
    exposure = (wanted / mean.clamp(min=1e-3)).clamp(0.25, 4)
    spread, wanted_spread = (t.var(2, unbiased=False) for t in (theirs, ours))
    gain = torch.sqrt((wanted_spread + HOLD * exposure.square()) / (spread + HOLD))
    shift = wanted - gain * mean
    return target * gain.to(target)[..., None, None] + shift.to(target)[..., None, None]


def _cut(x: Tensor, border: int) -> Tensor:
    return x[..., border : x.shape[-2] - border, border : x.shape[-1] - border]
