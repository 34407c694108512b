"""Rules of names that the tables of several families are made of."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from tilewise.nn.decoder import DecoderConfig
from tilewise.weights.keymap import KeyRule


def same(theirs: str, ours: str) -> KeyRule:
    """A tensor published as it is."""
    return KeyRule(theirs=(theirs,), ours=ours)


def flat(theirs: str, ours: str, axes: int) -> KeyRule:
    """A vector, published with axes of length one before it."""
    return KeyRule(
        theirs=(theirs,),
        ours=ours,
        load=lambda value: value.reshape(-1),
        store=lambda value: (value.reshape(*[1] * (axes - 1), -1),),
    )


def joined(theirs: tuple[str, ...], ours: str, rows: tuple[int, ...]) -> KeyRule:
    """Rows of one tensor of ours, published as several tensors of so many rows each."""
    return KeyRule(
        theirs=theirs,
        ours=ours,
        load=lambda *parts: torch.cat(parts),
        store=lambda value: tuple(part.contiguous() for part in value.split(rows)),
    )


def parted(theirs: str, ours: tuple[str, ...]) -> KeyRule:
    """One published tensor, whose rows are those of several of ours, all equally many."""
    return KeyRule(
        theirs=(theirs,),
        ours=ours,
        load=lambda value: tuple(value.chunk(len(ours))),
        store=lambda *parts: (torch.cat(parts),),
    )


def grouped(theirs: str, ours: str, cfg: DecoderConfig) -> KeyRule:
    """Rows published by key head, each with its queries, its key and its value."""
    queries = cfg.heads // cfg.kv_heads

    def load(value: Tensor) -> Tensor:
        groups = rearrange(value, "(g p d) c -> p g d c", g=cfg.kv_heads, p=queries + 2)
        q = rearrange(groups[:queries], "p g d c -> (g p d) c")
        return torch.cat([q, *groups[queries:].flatten(1, 2)])

    def store(value: Tensor) -> tuple[Tensor, ...]:
        q, k, v = value.split([cfg.width, *[cfg.kv_heads * cfg.head_size] * 2])
        q = rearrange(q, "(g p d) c -> g p d c", g=cfg.kv_heads, p=queries)
        k, v = (rearrange(x, "(g d) c -> g 1 d c", g=cfg.kv_heads) for x in (k, v))
        return (torch.cat([q, k, v], dim=1).flatten(0, 2),)

    return KeyRule(theirs=(theirs,), ours=ours, load=load, store=store)
