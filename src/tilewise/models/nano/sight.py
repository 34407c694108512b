"""Tiles → what every page says: the encoder run on each different tile once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tilewise.models.nano.config import TILE
from tilewise.models.nano.detect import SlotMap, assemble, slot_map, token_inputs
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.visual import View
from tilewise.records import Pixels, Tiles
from tilewise.tiling.partition import small_view

CHUNK = 4
"""Tiles that run together; more only take more memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One page after the encoder: the slots of its canvas, and of its global view."""

    local: SlotMap
    overview: SlotMap | None
    tiles: Tiles


def fused(encoder: Encoder) -> Encoder:
    """Fold every batch norm into the convolution before it, in place; for inference only."""
    encoder.eval()
    for module in encoder.modules():
        children = dict(module.named_children())
        for name, norm in children.items():
            if isinstance(norm, nn.BatchNorm2d):
                conv = children[name.removesuffix("_norm")]
                assert isinstance(conv, nn.Conv2d)
                setattr(module, name.removesuffix("_norm"), fuse_conv_bn_eval(conv, norm))
                setattr(module, name, nn.Identity())
    return encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def see(
    encoder: Encoder,
    pages: Sequence[Tiles],
    *,
    has_global: bool = True,
    dedup: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[Seen]:
    """Encode pages. Tiles that are equal pixel for pixel, such as blank margins, are encoded once.

    Args:
        encoder: the (fused) encoder.
        pages: their tiles.
        has_global: also encode each page as a whole at 336 px.
        dedup: False encodes every tile, to the same result.
        progress: told (tiles done, tiles in all).
    """
    greys = [
        _grey(
            np.concatenate([t.local, small_view(t.canvas, TILE)[None]] if has_global else [t.local])
        )
        for t in pages
    ]
    maps = _encode(encoder, np.concatenate(greys), dedup, progress)
    out: list[Seen] = []
    at = 0
    for tiles, grey in zip(pages, greys, strict=True):
        own = maps[at : at + len(grey)]
        at += len(grey)
        count = len(tiles.local)
        local = assemble(own[:count], tiles.fit.grid.cols)
        out.append(Seen(local, own[count] if has_global else None, tiles))
    return out


def _grey(tiles: Pixels) -> Pixels:
    """RGB tiles (n, 336, 336, 3) → grey (n, 336, 336), by the usual luma weights."""
    n, rows, cols, _ = tiles.shape
    flat = Image.fromarray(tiles.reshape(n * rows, cols, 3)).convert("L")
    return np.asarray(flat).reshape(n, rows, cols)


def _encode(
    encoder: Encoder, tiles: Pixels, dedup: bool, progress: Callable[[int, int], None] | None
) -> list[SlotMap]:
    keys: list[object] = [t.tobytes() if dedup else i for i, t in enumerate(tiles)]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    wanted = sorted(first.values())
    done: dict[int, SlotMap] = {}
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        done |= dict(zip(chunk, _run(encoder, tiles[chunk]), strict=True))
        if progress is not None:
            progress(
                min(len(tiles), round(len(tiles) * (start + len(chunk)) / len(wanted))), len(tiles)
            )
    return [done[first[key]] for key in keys]


def _run(encoder: Encoder, tiles: NDArray[np.uint8]) -> list[SlotMap]:
    ink = torch.from_numpy(1.0 - tiles.astype(np.float32) / 255.0)[:, None]
    with torch.inference_mode():
        return slot_map(encoder(ink.contiguous(memory_format=torch.channels_last)))


def view(slots: SlotMap) -> View:
    """Slots → what their visual tokens are made of."""
    index, weight = token_inputs(slots)
    return View(index, weight, slots.cls.shape[1] // 2, slots.cls.shape[2] // 7)
