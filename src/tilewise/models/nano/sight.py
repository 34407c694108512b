"""Tiles → what every page says: the encoder run on each different tile once.

The encoder reads type of 13 to 20 px per em best. So the page is also looked at at three quarters,
half and a quarter of its size, for larger type and for what tile borders cut, and tiles of small
type once more, enlarged (measured in docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tilewise.models.nano.config import COLUMN, HALF_ROW, TILE
from tilewise.models.nano.detect import (
    MOST_LIKELY,
    SIZE_RANGE,
    Level,
    SlotMap,
    assemble,
    slot_map,
    token_inputs,
)
from tilewise.models.nano.encoder import LINKS, PLACES, Encoder
from tilewise.models.nano.slots import EM
from tilewise.models.nano.visual import View
from tilewise.records import Pixels, Tiles
from tilewise.tiling.partition import small_view

CHUNK = 4
"""Tiles that run together; more only take more memory."""

SMALLER = (0.5, 0.25)
MIDDLE = 0.75
MIDDLE_PX = 18.0
"""At this scale a page is looked at where it has type above this: of 20 to 34 px per em, two of
three mistakes go."""
BLOCK = 4 * TILE
"""Side of what runs together of a page made smaller: tile borders matter there, memory hardly."""

LARGER = 4 / 3
SMALL_PX = 15.0
"""Tiles whose middle character is below this are enlarged: to what 10 to 15 px per em then are, the
encoder's mistakes halve."""
FEW = 6
"""Characters from which on a tile has a middle one."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One page after the encoder: the slots of its canvas, and of its global view.

    ``levels``: all scales at which characters were looked for, finest first; ``local`` is one.
    """

    local: SlotMap
    overview: SlotMap | None
    levels: tuple[Level, ...]
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
    greys = [_grey(t.local) for t in pages]
    flats = [
        np.concatenate([g, _grey(small_view(t.canvas, TILE)[None])]) if has_global else g
        for g, t in zip(greys, pages, strict=True)
    ]
    maps = _encode(encoder, np.concatenate(flats), dedup, progress)
    out: list[Seen] = []
    at = 0
    for tiles, grey in zip(pages, greys, strict=True):
        own = maps[at : at + len(grey)]
        at += len(grey)
        overview = maps[at] if has_global else None
        at += has_global
        local = assemble(own, tiles.fit.grid.cols)
        scales = (MIDDLE, *SMALLER) if _has_middle(own) else SMALLER
        levels = (
            *_enlarged(encoder, grey, own, tiles.fit.grid.cols, dedup),
            Level(local),
            *_reduced(encoder, tiles.canvas, scales),
        )
        out.append(Seen(local, overview, levels, tiles))
    return out


def _enlarged(
    encoder: Encoder, grey: Pixels, maps: Sequence[SlotMap], cols: int, dedup: bool
) -> list[Level]:
    """The tiles of small type once more, larger; nothing where there are none."""
    small = np.array([_is_small(one) for one in maps])
    if not small.any():
        return []
    side = round(TILE * LARGER)
    picked = [
        np.asarray(Image.fromarray(tile).resize((side, side), Image.Resampling.BICUBIC))
        for tile in grey[small]
    ]
    seen = iter(_encode(encoder, np.stack(picked), dedup, None))
    blank = _blank(side)
    slots = assemble([next(seen) if is_small else blank for is_small in small], cols)
    return [Level(slots, LARGER, side, small.reshape(-1, cols))]


def _is_small(tile: SlotMap) -> bool:
    """Whether a tile holds mostly type below ``SMALL_PX``."""
    size = _sizes(tile)
    return len(size) >= FEW and float(np.median(size)) < SMALL_PX


def _has_middle(maps: Sequence[SlotMap]) -> bool:
    """Whether a page has type above ``MIDDLE_PX``."""
    return sum(int((_sizes(tile) > MIDDLE_PX).sum()) for tile in maps) >= FEW


def _sizes(tile: SlotMap) -> NDArray[np.float32]:
    """Heights in px per em of what seem to be characters of a tile, (n,)."""
    logs = np.clip(tile.place[2][tile.prob.sum(0) > 0.5], *SIZE_RANGE)
    return np.asarray(EM * np.exp(logs), np.float32)


def _blank(side: int) -> SlotMap:
    """Slots of a square block that was not looked at."""
    rows, cols = side // HALF_ROW, side // COLUMN
    return SlotMap(
        np.ones((MOST_LIKELY, rows, cols), np.int64),
        np.zeros((MOST_LIKELY, rows, cols), np.float32),
        np.zeros((LINKS, rows, cols), np.float32),
        np.zeros((PLACES, rows, cols), np.float32),
    )


def _reduced(encoder: Encoder, canvas: Pixels, scales: Sequence[float]) -> Iterator[Level]:
    """The whole canvas made smaller, in blocks; sides of blocks are multiples of 84 px."""
    page = Image.fromarray(canvas).convert("L")
    for scale in scales:
        width, height = (round(side * scale) for side in page.size)
        grey = np.asarray(page.resize((width, height), Image.Resampling.BICUBIC))
        rows = [
            [
                _run(encoder, grey[None, top : top + BLOCK, left : left + BLOCK])[0]
                for left in range(0, width, BLOCK)
            ]
            for top in range(0, height, BLOCK)
        ]
        strips = [assemble(row, len(row)) for row in rows]
        yield Level(assemble(strips, 1), scale, BLOCK)


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
