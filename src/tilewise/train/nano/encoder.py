"""The encoder's stage: it learns what every slot of a tile holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tilewise.models.nano.encoder import Dense, Encoder
from tilewise.models.nano.slots import EM, IGNORE
from tilewise.train.loop import Size
from tilewise.train.nano.tiles import Tile, synthetic_tiles
from tilewise.train.objectives import Loss

BLANK_WEIGHT: Final = 0.5

SEEN_SEED, UNSEEN_SEED = 7001, 7002
"""Of held-out tiles, in fonts that training has and in one that it has not."""


class Reading:
    """What a batch of tiles loses: the reading loss, each batch counting the same.

    Args:
        encoder: learns.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __call__(self, batch: Sequence[Tile]) -> Loss:
        """What it loses."""
        tiles = ink(batch).to(memory_format=torch.channels_last)
        return Loss(dense_loss(self._encoder(tiles), batch), 1.0)

    def size(self, batch: Sequence[Tile]) -> Size:
        """Characters stand for tokens."""
        characters = sum(int((tile.targets.char > 0).sum()) for tile in batch)
        return Size(characters, len(batch), ())


def ink(tiles: Sequence[Tile]) -> Tensor:
    """Tiles → (n, 1, 336, 336) float32, 1 for black."""
    stack = np.stack([tile.pixels for tile in tiles])
    return torch.from_numpy(1.0 - stack.astype(np.float32) / 255.0)[:, None]


def dense_loss(out: Dense, tiles: Sequence[Tile], blank_weight: float = BLANK_WEIGHT) -> Tensor:
    """Reading loss: characters on all slots, links and places where characters stand.

    A slot just beside a character may stay blank, but its class and place are asked for, or one
    character would be found twice (docs/log.md).
    """
    char = torch.from_numpy(np.stack([t.targets.char for t in tiles]))
    link = torch.from_numpy(np.stack([t.targets.link for t in tiles]))
    near = torch.from_numpy(np.stack([t.targets.near for t in tiles]))
    place = torch.from_numpy(np.stack([t.targets.place for t in tiles]))
    # A tile of large type has few characters; without a weight by size it would hardly count.
    by_size = (place[:, 2].exp() * (EM / 20.0)).clamp(0.8, 3.0)
    weight = torch.where(char > 0, by_size, torch.tensor(blank_weight))
    each = F.cross_entropy(out.char, char, ignore_index=IGNORE, reduction="none")
    read = (each * weight).sum()
    stands = char > 0
    count = stands.sum().clamp(min=1)
    follows = F.cross_entropy(out.link, link, ignore_index=IGNORE, reduction="sum")
    off = F.smooth_l1_loss(out.place, place, reduction="none", beta=0.2).sum(1)
    beside = near > 0
    off_all = off[stands].sum() + 0.5 * off[beside].sum()
    # Classes are 1 and up; the blank, class 0, takes no part in what a neighbour says.
    named = F.cross_entropy(
        out.char[:, 1:], torch.where(beside, near - 1, IGNORE), ignore_index=IGNORE, reduction="sum"
    )
    read = read + 0.3 * named
    return read / (count * 1.6) + 0.5 * follows / count + 0.5 * off_all / count


def held_out(encoder: Encoder, count: int) -> Mapping[str, float]:
    """Shares of characters of held-out tiles, in fonts that were seen and in one that was not."""
    kinds = {"seen fonts": _held(SEEN_SEED, count), "unseen font": _held(UNSEEN_SEED, count)}
    return {
        f"{kind} {name}": share
        for kind, tiles in kinds.items()
        for name, share in shares(encoder, tiles).items()
    }


def shares(encoder: Encoder, tiles: Sequence[Tile]) -> dict[str, float]:
    """Of characters: right class in the true slot, found, found where none is, right link."""
    out: Dense = encoder(ink(tiles))
    char = torch.from_numpy(np.stack([t.targets.char for t in tiles]))
    link = torch.from_numpy(np.stack([t.targets.link for t in tiles]))
    stands = char > 0
    best = out.char[:, 1:].argmax(1) + 1
    found = out.char.softmax(1)[:, 0] < 0.5
    blank = (char == 0) & found
    return {
        "identity": float((best == char)[stands].float().mean()),
        "found": float(found[stands].float().mean()),
        "false": float(blank.sum() / stands.sum()),
        "link": float((out.link.argmax(1) == link)[stands].float().mean()),
    }


@cache
def _held(seed: int, count: int) -> tuple[Tile, ...]:
    is_unseen = seed == UNSEEN_SEED
    return tuple(islice(synthetic_tiles(seed, test=True, unseen_font=is_unseen), count))
