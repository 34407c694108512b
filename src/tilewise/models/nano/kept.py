"""Pages that the encoder has seen, as tensors that can be kept, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tilewise.models.nano.detect import Level, SlotMap
from tilewise.models.nano.sight import Seen
from tilewise.models.reader import VisionStore
from tilewise.records import Plan, Tiles

_OVERVIEW = "overview"


def recall(
    store: VisionStore,
    plan: Callable[[Tiles], Plan],
    pages: Sequence[Tiles],
    look_at: Callable[[Sequence[Tiles]], list[Seen]],
) -> list[Seen]:
    """What is seen on pages; the encoder looks at those alone that the store does not have.

    What was looked at now passes through the same tensors as what was kept, so that an answer is
    the same bit for bit.

    Args:
        store: of this reader.
        plan: gives the plan of a page.
        pages: their tiles.
        look_at: runs the encoder.
    """
    keys = [store.key(page, plan(page)) for page in pages]
    kept = [store.get(key) for key in keys]
    new = [place for place, parts in enumerate(kept) if parts is None]
    looked = look_at([pages[place] for place in new]) if new else []
    for place, seen in zip(new, looked, strict=True):
        parts = to_tensors(seen)
        store.put(keys[place], parts)
        kept[place] = parts
    return [
        from_tensors(parts, tiles)
        for parts, tiles in zip(kept, pages, strict=True)
        if parts is not None
    ]


def to_tensors(seen: Seen) -> dict[str, Tensor]:
    """All levels and the overview; names begin with the number of their level."""
    parts: dict[str, Tensor] = {}
    for number, level in enumerate(seen.levels):
        parts |= _slots(f"{number}.", level.slots)
        is_local = level.slots is seen.local
        said = [level.scale, float(level.block), float(is_local)]
        parts[f"{number}.said"] = torch.tensor(said, dtype=torch.float64)
        if level.covers is not None:
            parts[f"{number}.covers"] = torch.from_numpy(np.ascontiguousarray(level.covers))
    if seen.overview is not None:
        parts |= _slots(f"{_OVERVIEW}.", seen.overview)
    return parts


def from_tensors(parts: Mapping[str, Tensor], tiles: Tiles) -> Seen:
    """What ``to_tensors`` took apart."""
    levels: list[Level] = []
    local: SlotMap | None = None
    while f"{len(levels)}.said" in parts:
        start = f"{len(levels)}."
        scale, block, is_local = parts[f"{start}said"].tolist()
        covers = parts.get(f"{start}covers")
        slots = _slot_map(start, parts)
        local = slots if is_local else local
        levels.append(Level(slots, scale, int(block), None if covers is None else covers.numpy()))
    assert local is not None  # the canvas itself is one of the levels
    is_global = f"{_OVERVIEW}.cls" in parts
    overview = _slot_map(f"{_OVERVIEW}.", parts) if is_global else None
    return Seen(local, overview, tuple(levels), tiles)


def _slots(start: str, slots: SlotMap) -> dict[str, Tensor]:
    """Four arrays; classes are few, so that 16 bits hold them."""
    arrays = {
        "cls": slots.cls.astype(np.int16),
        "prob": slots.prob,
        "link": slots.link,
        "place": slots.place,
    }
    return {
        start + name: torch.from_numpy(np.ascontiguousarray(array))
        for name, array in arrays.items()
    }


def _slot_map(start: str, parts: Mapping[str, Tensor]) -> SlotMap:
    return SlotMap(
        parts[f"{start}cls"].numpy().astype(np.int64),
        parts[f"{start}prob"].numpy(),
        parts[f"{start}link"].numpy(),
        parts[f"{start}place"].numpy(),
    )
