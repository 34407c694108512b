"""Views of pages on their way through a vision encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tilewise.models.reader import VisionStore
from tilewise.models.told import Told
from tilewise.models.units import Image
from tilewise.records import Pixels, Plan

Channels = tuple[float, float, float]
"""A number for each of red, green and blue."""


def normalised(pixels: Pixels, mean: Channels, std: Channels, device: torch.device) -> Tensor:
    """Pixels as an encoder takes them, float32; ``mean`` and ``std`` are of values in [0, 1].

    Shape: (..., height, width, 3) -> (..., 3, height, width).
    """
    x = torch.from_numpy(pixels).to(device).movedim(-1, -3)
    x = x.to(torch.float32, memory_format=torch.contiguous_format)
    means, stds = (torch.tensor(values, device=device)[:, None, None] for values in (mean, std))
    return x.div_(255).sub_(means).div_(stds)


def encode_different(
    firsts: Sequence[int],
    encode: Callable[[list[int]], Tensor],
    *,
    chunk: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[Tensor, list[int]]:
    """Run an encoder on views that differ; those equal pixel for pixel pass it once.

    Args:
        firsts: for each view the first one that equals it.
        encode: runs the views at these places: (n, tokens, width).
        chunk: views that run at a time; memory grows with it.
        progress: told how many views a chunk stands for.

    Returns:
        Tokens of the views that differ, (different, tokens, width), and the row of each view.
    """
    counts = Counter(firsts)
    different = list(counts)
    parts = []
    for start in range(0, len(different), chunk):
        some = different[start : start + chunk]
        parts.append(encode(some))
        if progress is not None:
            progress(sum(counts[view] for view in some))
    rows = {view: row for row, view in enumerate(different)}
    return torch.cat(parts), [rows[first] for first in firsts]


def moved(plan: Plan, rows: Sequence[int]) -> Plan:
    """A plan whose views lie at other places: view ``i`` at ``rows[i]``, several may share one."""
    entries, size = plan.entries, plan.tokens_per_tile
    view, token = np.divmod(np.maximum(entries, 0), size)
    there = np.asarray(rows, np.int32)[view] * size + token
    return replace(plan, entries=np.where(entries < 0, entries, there).astype(np.int32))


def recalled(
    store: VisionStore | None,
    image: Image,
    told: Told,
    device: torch.device,
    make: Callable[[Image, Told], Tensor],
) -> Tensor:
    """A page's image sequence, from the store if it has it, else made and kept there.

    Args:
        store: of the reader; None for none.
        image: the page.
        told: counts its views.
        device: where the sequence is wanted.
        make: runs the encoder: (plan length, width).
    """
    if store is None:
        return make(image, told)
    key = store.key(image.tiles, image.plan)
    kept = store.get(key)
    if kept is not None:
        told.views(image.views)
        return kept["sequence"].to(device)
    sequence = make(image, told)
    store.put(key, {"sequence": sequence})
    return sequence
