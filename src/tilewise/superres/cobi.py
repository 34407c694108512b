"""The contextual bilateral loss, with which SR-RAW's authors train on pairs that are not aligned.

Here to compare with; SDAN does without. Memory grows with the square of the number of positions.

Source: Zoom to Learn, Learn to Zoom (arXiv 1905.05169); contextual loss (arXiv 1803.02077).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

BANDWIDTH: Final = 0.5
SPATIAL: Final = 0.1
"""Share of nearness in the image, beside likeness."""

LAYERS: Final[Mapping[str, float]] = {"conv1_2": 1.0, "conv2_2": 1.0, "conv3_2": 0.5}
"""Layers of VGG-19 whose features are compared, with their weights."""


def feature_cobi(
    found: Tensor, wanted: Tensor, features: Callable[[Tensor], Mapping[str, Tensor]]
) -> Tensor:
    """Compare two images (b, 3, h, w) by their features at ``LAYERS``, each (b, c, h', w')."""
    ours, theirs = features(found), features(wanted)
    parts = [
        weight * contextual_bilateral(_cosine_distances(ours[name], theirs[name]), ours[name])
        for name, weight in LAYERS.items()
    ]
    return torch.stack(parts).sum()


def patch_cobi(found: Tensor, wanted: Tensor, side: int = 3) -> Tensor:
    """Compare two images (b, c, h, w) by their patches of ``side`` x ``side`` pixels."""
    ours, theirs = (F.unfold(x, side).mT for x in (found, wanted))  # b n c*side*side
    distances = (
        ours.square().sum(2)[:, :, None] + theirs.square().sum(2)[:, None] - 2 * ours @ theirs.mT
    )
    return contextual_bilateral(distances.clamp(min=0), found[..., side - 1 :, side - 1 :])


def contextual_bilateral(distances: Tensor, grid: Tensor) -> Tensor:
    """Minus the logarithm of how well each position of the target is met.

    Args:
        distances: from each position of what was found to each of what is wanted, (b, n, n).
        grid: any tensor of that many rows and columns, (..., h, w).
    """
    rows, cols = grid.shape[-2:]
    y, x = (torch.linspace(0, 255, n, device=grid.device, dtype=grid.dtype) for n in (rows, cols))
    places = torch.cartesian_prod(y, x)  # n 2
    near = _likeness((places[:, None] - places).square().sum(-1))
    both = (1 - SPATIAL) * _likeness(distances) + SPATIAL * near
    return -both.amax(1).mean(1).log().mean()


def _likeness(distances: Tensor) -> Tensor:
    """Distances against the least of their row, as shares of 1."""
    relative = distances / (distances.amin(-1, keepdim=True) + 1e-3)
    return torch.softmax((1 - relative) / BANDWIDTH, -1)


def _cosine_distances(ours: Tensor, theirs: Tensor) -> Tensor:
    centre = theirs.mean((-2, -1), keepdim=True)
    ours, theirs = (F.normalize((t - centre).flatten(2), dim=1) for t in (ours, theirs))
    return 1 - ours.mT @ theirs
