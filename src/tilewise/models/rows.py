"""Prompts as rows of one batch: run one after another, decoded together, gone on with later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import torch
from torch import Tensor

from tilewise.models.reader import Progress
from tilewise.models.told import Told
from tilewise.models.units import Image, Prompt, Unit, common, image_segments, positions
from tilewise.nn.decoder import Decoder
from tilewise.nn.kv_cache import KVCache
from tilewise.nn.partial_lora import window
from tilewise.nn.rope import LongRope

ANSWER_ROOM: Final = 512
"""Positions kept free behind a prompt before the cache has to grow."""

Encode = Callable[[Sequence[Image], Told], Sequence[Tensor]]
"""Gives the image sequence of each page, (plan length, decoder width), and tells of its views."""


@dataclass(slots=True, eq=False)
class Rows:
    """Keys and values of a batch, how each row is padded on the left, and what it holds.

    ``pads`` counts positions, (batch,), and is None where no row is padded. ``held`` is what each
    row holds but for the ids that ``note`` was given since they were last asked for, the first
    ``asked`` units of a row being its prompt. ``encoded`` keeps image sequences where rows may
    have to run again.
    """

    kv: KVCache
    pads: Tensor | None
    held: list[list[Unit]]
    noted: list[Tensor] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    encoded: dict[Image, Tensor] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Positions filled, padding included."""
        return self.kv.length

    @property
    def rows(self) -> list[list[Unit]]:
        """What each row holds."""
        if self.noted:
            for row, ids in zip(self.held, torch.stack(self.noted, 1).tolist(), strict=True):
                row += ids
            self.noted = []
        return self.held

    def answer(self, row: int) -> list[int]:
        """The ids that a row was given behind its prompt."""
        return [unit for unit in self.rows[row][self.asked[row] :] if isinstance(unit, int)]

    def note(self, ids: Tensor) -> None:
        """Take note of one more id of each row, (batch,), without waiting for a GPU to give it."""
        self.noted.append(ids)


def prefill(
    decoder: Decoder,
    encode: Encode,
    prompts: Sequence[Prompt],
    cache: Rows | None,
    progress: Progress | None,
    *,
    chunk: int,
) -> tuple[Tensor, Rows]:
    """Run prompts; of a single one, only what a single row's ``cache`` does not hold yet.

    Rows are run one after another, so that none pays for another's length and a batch gives
    what single runs give; left padding brings their ends together for ``decode``.

    Args:
        decoder: the language model.
        encode: gives the embeddings of pages.
        prompts: a row each.
        cache: of an earlier run, used up; None for none.
        progress: told of views and positions.
        chunk: positions that run at a time; memory grows with it, results do not depend on it.

    Returns:
        Logits of the next ids, (batch, vocabulary), and the cache.
    """
    told = Told(prompts, progress)
    if len(prompts) == 1 and cache is not None and len(cache.rows) == 1 and cache.pads is None:
        return _continue(decoder, encode, prompts[0], cache, told, chunk), cache
    longest = max(map(len, prompts))
    pads = [longest - len(prompt) for prompt in prompts]
    kv = decoder.new_cache(len(prompts), longest + ANSWER_ROOM)
    held = [list(prompt.units) for prompt in prompts]
    padded = _ids(decoder, pads) if any(pads) else None
    new = Rows(kv, padded, held, asked=list(map(len, held)))
    encode = _kept(decoder, encode, new)
    logits = [
        _run(decoder, encode, prompt.units, kv.row(row, pads[row]), told, chunk)
        for row, prompt in enumerate(prompts)
    ]
    kv.advance(longest)
    return torch.stack(logits), new


def decode(decoder: Decoder, encode: Encode, ids: Tensor, cache: Rows, *, chunk: int) -> Tensor:
    """Append one id to each row, (batch,); logits (batch, vocabulary) of the next.

    A row that outgrows its rotary table is run again with the next one, once in its life, and
    of beams each for itself; ``encode`` and ``chunk`` are for that.
    """
    for row in decoder.stale_rows(cache.kv, cache.pads):
        _run_again(decoder, _kept(decoder, encode, cache), cache, row, chunk)
    x = decoder.embed(ids.to(decoder.embed.weight.device))[:, None]
    hidden = decoder(x, (), cache.kv, cache.pads)
    cache.note(ids)
    return decoder.logits(hidden[:, -1])


def select(cache: Rows, rows: Tensor) -> Rows:
    """The cache of the given rows, (new batch,), repeats allowed; ``cache`` is used up."""
    chosen = rows.tolist()
    rows_before = cache.rows
    held = [list(rows_before[row]) for row in chosen]
    pads, is_padded_alike = cache.pads, True
    if cache.pads is not None:
        pads = cache.pads[rows.to(cache.pads.device)]
        is_padded_alike = torch.equal(pads, cache.pads)
    same = 0
    if len(chosen) == len(rows_before) and is_padded_alike:
        pairs = zip(held, rows_before, strict=True)
        same = min(positions(new[: common(new, old)]) for new, old in pairs)
    asked = [cache.asked[row] for row in chosen]
    return Rows(cache.kv.select(rows, same), pads, held, asked=asked, encoded=cache.encoded)


def embeddings(decoder: Decoder, encode: Encode, units: Sequence[Unit], told: Told) -> Tensor:
    """Ids and pages as embeddings (positions, width)."""
    ids = chain.from_iterable([0] * len(u.plan) if isinstance(u, Image) else [u] for u in units)
    x: Tensor = decoder.embed(_ids(decoder, list(ids)))
    images = [unit for unit in units if isinstance(unit, Image)]
    sequences = encode(images, told) if images else []
    for (_, start, stop), sequence in zip(image_segments(units), sequences, strict=True):
        x[start:stop] = sequence
    return x


def all_logits(decoder: Decoder, encode: Encode, prompt: Prompt) -> Tensor:
    """Logits behind every position of a prompt, (length, vocabulary), in one run.

    For scoring text and for comparisons; answering needs those of the last position only.
    """
    x = embeddings(decoder, encode, prompt.units, Told([prompt], None))
    return decoder.logits(decoder(x[None], image_segments(prompt.units))[0])


def _continue(
    decoder: Decoder, encode: Encode, prompt: Prompt, cache: Rows, told: Told, chunk: int
) -> Tensor:
    """Run what a cache of one row does not hold of a prompt yet; logits (1, vocabulary)."""
    kept = common(cache.rows[0], prompt.units)
    kept -= kept == len(prompt.units)  # something has to run to give logits
    if decoder.regime(len(prompt)) != cache.kv.regimes[0]:
        kept = 0
    cache.kv.truncate(positions(prompt.units[:kept]))
    cache.held = [list(prompt.units[:kept])]  # true wherever the run may be cut off
    told.skip(prompt.units[:kept])
    cache.encoded = {
        image: cache.encoded[image] for image in prompt.images if image in cache.encoded
    }
    encode = _kept(decoder, encode, cache)
    logits = _run(decoder, encode, prompt.units[kept:], cache.kv, told, chunk)
    cache.held, cache.asked = [list(prompt.units)], [len(prompt.units)]
    return logits[None]


def _run(
    decoder: Decoder,
    encode: Encode,
    units: Sequence[Unit],
    kv: KVCache,
    told: Told,
    chunk: int,
    *,
    ahead: int = 0,
) -> Tensor:
    """Append units to a cache of one row; logits (vocabulary,) of the next id.

    ``ahead`` positions are known to follow at once.
    """
    x, segments = embeddings(decoder, encode, units, told), image_segments(units)
    hidden, total = x[None], kv.length + len(x) + ahead
    for start in range(0, len(x), chunk):
        stop = min(start + chunk, len(x))
        own = window(segments, start, stop)
        hidden = decoder(x[None, start:stop], own, kv, total=total, is_last_only=True)
        told.positions(stop - start)
    return decoder.logits(hidden[0, -1])


def _run_again(decoder: Decoder, encode: Encode, cache: Rows, row: int, chunk: int) -> None:
    """Run all that a row holds once more, for the rotary table that the next position needs."""
    units = cache.rows[row]
    pad = 0 if cache.pads is None else int(cache.pads[row])
    told, kv = Told([Prompt(units=tuple(units))], None), cache.kv.row(row, pad)
    try:
        _run(decoder, encode, units, kv, told, chunk, ahead=1)
    except BaseException:
        kv.regimes = [-1]  # equals none: a row half run does not pass for a whole one
        raise


def _kept(decoder: Decoder, encode: Encode, cache: Rows) -> Encode:
    """Encode pages once for a cache whose rows may have to run again."""
    if not isinstance(decoder.cfg.rope_scaling, LongRope):
        return encode

    def once(images: Sequence[Image], told: Told) -> list[Tensor]:
        new = [image for image in dict.fromkeys(images) if image not in cache.encoded]
        if new:
            cache.encoded |= zip(new, encode(new, told), strict=True)
        known = sum(image.views for image in images) - sum(image.views for image in new)
        if known:
            told.views(known)
        return [cache.encoded[image] for image in images]

    return once


def _ids(decoder: Decoder, ids: Sequence[int]) -> Tensor:
    return torch.tensor(ids, device=decoder.embed.weight.device)
