"""Views of pages on their way through a vision encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
    images: Sequence[Image],
    told: Told,
    device: torch.device,
    make: Callable[[Sequence[Image], Told], Sequence[Tensor]],
    *,
    chunk: int,
) -> list[Tensor]:
    """Image sequences of pages, from the store if it has them, else made and kept there.

    Args:
        store: of the reader; None for none.
        images: the pages.
        told: counts their views.
        device: where the sequences are wanted.
        make: runs the encoder: (plan length, width) for each page. It is given pages of ``chunk``
            views together, or one of more, so that small ones do not pass the encoder one by one
            and what is made is kept soon.
        chunk: views that run through the encoder at a time.
    """
    keys: list[str] = []
    found: dict[int, Tensor] = {}
    if store is not None:
        keys = [store.key(image.tiles, image.plan) for image in images]
        for place, key in enumerate(keys):
            kept = store.get(key)
            if kept is not None:
                told.views(images[place].views)
                found[place] = kept["sequence"].to(device)
    new = [place for place in range(len(images)) if place not in found]
    for group in _groups(new, images, chunk):
        found |= zip(group, make([images[place] for place in group], told), strict=True)
        if store is not None:
            for place in group:
                store.put(keys[place], {"sequence": found[place]})
    return [found[place] for place in range(len(images))]


def _groups(places: Sequence[int], images: Sequence[Image], chunk: int) -> Iterator[list[int]]:
    """Places of pages in groups, each as many as bring ``chunk`` views together."""
    group: list[int] = []
    for place in places:
        group.append(place)
        if sum(images[one].views for one in group) >= chunk:
            yield group
            group = []
    if group:
        yield group
