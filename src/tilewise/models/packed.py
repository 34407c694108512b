"""Packs of examples as one sequence of embeddings, and through the decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilewise.models.pack import Pack
from tilewise.models.units import Image
from tilewise.models.views import moved
from tilewise.nn.decoder import Decoder
from tilewise.nn.packed import run_packed
from tilewise.tiling.partition import first_equals


def first_views(pack: Pack, before: int = 0, *, is_each: bool = False) -> list[int]:
    """For each view of a pack the first one of its page that equals it pixel for pixel.

    Args:
        pack: whose pages are looked at.
        before: views in front of a page's tiles, which are not compared, as those behind.
        is_each: every view is its own first, for encoders that do not say the same of equals.
    """
    if is_each:
        return list(range(pack.tiles))
    firsts: list[int] = []
    for image in pack.images:
        at = len(firsts)
        others = image.views - before - len(image.tiles.local)
        firsts += range(at, at + before)
        firsts += [at + before + first for first in first_equals(image.tiles.local)]
        firsts += range(len(firsts), len(firsts) + others)
    return firsts


def run_pack(
    decoder: Decoder,
    pack: Pack,
    tokens: Tensor | None,
    rows: Sequence[int],
    specials: Mapping[int, Tensor],
    *,
    is_checkpointed: bool,
) -> Tensor:
    """Hidden states of a pack, (positions, width), before the final norm.

    Args:
        decoder: the language model.
        pack: what runs.
        tokens: visual tokens as embeddings, (views, tokens, width); None where there are none.
        rows: for each view of the pack, in order, where it lies among them.
        specials: embeddings, (width,), by the entries of plans that are no visual tokens.
        is_checkpointed: activations inside layers are computed again in the backward pass.
    """
    ids, index, images = _places(pack, rows, 0 if tokens is None else tokens.shape[0], specials)
    device = decoder.embed.weight.device
    text: Tensor = decoder.embed(torch.tensor(ids, device=device))
    parts = [text]
    if tokens is not None:
        parts = [tokens.flatten(0, 1), *(special[None] for special in specials.values()), text]
    table = torch.cat([part.to(device) for part in parts])
    x = table.index_select(0, torch.from_numpy(index).to(device))
    lengths = [len(example) for example in pack.examples]
    where = torch.from_numpy(images).to(device)
    return run_packed(decoder, x, where, lengths, is_checkpointed=is_checkpointed)


def _places(
    pack: Pack, rows: Sequence[int], views: int, specials: Mapping[int, Tensor]
) -> tuple[list[int], NDArray[np.int64], NDArray[np.int64]]:
    """Ids of the text; for each position its row among visual tokens, specials and text; pages."""
    per_tile = pack.images[0].plan.tokens_per_tile if pack.images else 0
    special_rows = {entry: views * per_tile + n for n, entry in enumerate(specials)}
    base = views * per_tile + len(specials) if pack.images else 0
    ids: list[int] = []
    index: list[NDArray[np.int64]] = []
    images: list[NDArray[np.int64]] = []
    view = at = start = 0
    for unit in (unit for example in pack.examples for unit in example.units):
        if not isinstance(unit, Image):
            ids.append(unit)
            continue
        entries = moved(unit.plan, rows[view : view + unit.views]).entries.astype(np.int64)
        for entry, row in special_rows.items():
            entries[entries == entry] = row
        index += [base + np.arange(start, len(ids)), entries]
        at += len(ids) - start
        images.append(np.arange(at, at + len(entries)))
        at, start, view = at + len(entries), len(ids), view + unit.views
    index.append(base + np.arange(start, len(ids)))
    none = np.zeros(0, np.int64)
    return ids, np.concatenate(index), np.concatenate([none, *images])
