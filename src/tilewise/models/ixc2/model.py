"""InternLM-XComposer2-4KHD as a reader: wiring of network, prompt, cache and tokenizer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, takewhile
from pathlib import Path

import torch
from torch import Tensor

from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.ixc2.keys import NEWLINE, QUANTISED, check_kind, rules
from tilewise.models.ixc2.memory import CHUNK, VIEW_CHUNK, footprint, places, room, slow_part
from tilewise.models.ixc2.network import Ixc2
from tilewise.models.ixc2.prompt import (
    Image,
    Ixc2Prompt,
    Unit,
    assemble,
    chat_ids,
    common,
    image_segments,
    positions,
)
from tilewise.models.ixc2.told import Told
from tilewise.models.reader import Footprint, Progress, VisionStore
from tilewise.nn.kv_cache import KVCache
from tilewise.nn.partial_lora import Segment, window
from tilewise.records import Evidence, Page, Plan, Tiles, Turn
from tilewise.text.chat import IXC2, SYSTEM
from tilewise.text.tokenizer import Tokenizer, load_tokenizer
from tilewise.tiling.grid import hd_grid
from tilewise.tiling.layout import plan
from tilewise.tiling.partition import cut
from tilewise.weights.files import TensorFiles, read_config
from tilewise.weights.keymap import load_weights
from tilewise.weights.quantised import check_runs, fill, form_of, hollow, quantised_rules

_LOG = logging.getLogger(__name__)

ANSWER_ROOM = 512
"""Positions kept free behind a prompt before the cache has to grow."""


@dataclass(slots=True, eq=False)
class Ixc2Cache:
    """Keys and values of a batch, how each row is padded on the left, and what it holds.

    ``pads`` counts positions, (batch,), and is None where no row is padded. ``held`` is what each
    row holds but for the ids that ``note`` was given since they were last asked for.
    """

    kv: KVCache
    pads: Tensor | None
    held: list[list[Unit]]
    noted: list[Tensor] = field(default_factory=list)

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

    def note(self, ids: Tensor) -> None:
        """Take note of one more id of each row, (batch,), without waiting for a GPU to give it."""
        self.noted.append(ids)


class Ixc2Reader:
    """The reader. See ``models.reader.Reader`` for what its methods promise.

    ``chunk`` positions and ``view_chunk`` views run at a time; memory grows with both, results
    do not depend on them. ``system`` is the text of the system turn, None for none.
    """

    name = "internlm-xcomposer2-4khd"

    def __init__(self, network: Ixc2, tokenizer: Tokenizer) -> None:
        self.cfg = network.cfg
        self.context = self.cfg.context
        self.default_tiles = self.cfg.default_tiles
        self.system: str | None = SYSTEM
        self.chunk = CHUNK
        self.view_chunk = VIEW_CHUNK
        self.store: VisionStore | None = None
        self.network = network
        self.tokenizer = tokenizer
        marker = tokenizer.id_of(IXC2.end)
        self._stops = frozenset({tokenizer.eos_id} | ({marker} if marker is not None else set()))

    def raster_size(self, width_pt: float, height_pt: float, max_tiles: int) -> tuple[int, int]:
        """Pixels at which a vector page fills its grid, so that it is not resized again."""
        scale = 100 if max(width_pt, height_pt) < 10_000 else 1
        size = (max(1, round(width_pt * scale)), max(1, round(height_pt * scale)))
        for _ in range(3):  # truncation may take a pixel off once or twice
            fit = hd_grid(*size, self.cfg.tiling(max_tiles))
            if size == (fit.width, fit.height):
                break
            size = (fit.width, fit.height)
        return size

    def tiles(self, page: Page, max_tiles: int) -> Tiles:
        """Cut a page; it is enlarged or shrunk to fill its grid."""
        return cut(page, self.cfg.tiling(max_tiles))

    def plan(self, width: int, height: int, max_tiles: int) -> Plan:
        """The image sequence of a page of this size."""
        cfg = self.cfg.tiling(max_tiles)
        return plan(hd_grid(width, height, cfg).grid, cfg)

    def prompt(self, turns: Sequence[Turn], pages: Sequence[Tiles]) -> Ixc2Prompt:
        """A conversation about pages; raises PromptError."""
        return self.prompt_of(chat_ids(turns, len(pages), self.tokenizer, self.system), pages)

    def prompt_of(self, parts: Sequence[Sequence[int]], pages: Sequence[Tiles]) -> Ixc2Prompt:
        """Ids before, between and after pages as a prompt; raises PromptError."""
        plans = [plan(page.fit.grid, self.cfg.tiling(page.fit.grid.tiles)) for page in pages]
        return assemble(parts, pages, plans, self.context)

    def penalised_ids(self, prompt: Ixc2Prompt) -> tuple[int, ...]:
        """Ids of the prompt that a repetition penalty counts: those of a prompt without pages.

        The published code hands its engine ids for text and embeddings for pages, so this is
        what a penalty meets there.
        """
        return tuple(unit for unit in prompt.units if isinstance(unit, int) and not prompt.images)

    @torch.inference_mode()
    def prefill(
        self,
        prompts: Sequence[Ixc2Prompt],
        cache: Ixc2Cache | None = None,
        progress: Progress | None = None,
    ) -> tuple[Tensor, Ixc2Cache]:
        """Run prompts; of a single one, only what a single row's ``cache`` does not hold yet.

        Rows are run one after another, so that none pays for another's length and a batch gives
        what single runs give; left padding brings their ends together for ``decode``.
        """
        told = Told(prompts, progress)
        if len(prompts) == 1 and cache is not None and len(cache.rows) == 1 and cache.pads is None:
            return self._continue(prompts[0], cache, told), cache
        longest = max(map(len, prompts))
        pads = [longest - len(prompt) for prompt in prompts]
        kv = self.network.decoder.new_cache(len(prompts), longest + ANSWER_ROOM)
        logits = [
            self._run(prompt.units, kv.row(row, pads[row]), told)
            for row, prompt in enumerate(prompts)
        ]
        kv.advance(longest)
        rows = [list(prompt.units) for prompt in prompts]
        return torch.stack(logits), Ixc2Cache(kv, self._ids(pads) if any(pads) else None, rows)

    def _continue(self, prompt: Ixc2Prompt, cache: Ixc2Cache, told: Told) -> Tensor:
        """Run what a cache of one row does not hold of a prompt yet; logits (1, vocabulary)."""
        kept = common(cache.rows[0], prompt.units)
        kept -= kept == len(prompt.units)  # something has to run to give logits
        cache.kv.truncate(positions(prompt.units[:kept]))
        told.skip(prompt.units[:kept])
        logits = self._run(prompt.units[kept:], cache.kv, told)
        cache.rows[0] = list(prompt.units)
        return logits[None]

    def _run(self, units: Sequence[Unit], kv: KVCache, told: Told) -> Tensor:
        """Append units to a cache of one row; logits (vocabulary,) of the next id."""
        decoder, segments = self.network.decoder, image_segments(units)
        x = self._embeddings(units, segments, told)
        hidden = x[None]
        for start in range(0, len(x), self.chunk):
            stop = min(start + self.chunk, len(x))
            own = window(segments, start, stop)
            hidden = decoder(x[None, start:stop], own, kv, is_last_only=True)
            told.positions(stop - start)
        return decoder.logits(hidden[0, -1])

    def _embeddings(self, units: Sequence[Unit], segments: Sequence[Segment], told: Told) -> Tensor:
        """Ids and pages as embeddings (positions, width)."""
        ids = chain.from_iterable([0] * len(u.plan) if isinstance(u, Image) else [u] for u in units)
        x = self.network.decoder.embed(self._ids(list(ids)))
        images = [unit for unit in units if isinstance(unit, Image)]
        for (_, start, stop), image in zip(segments, images, strict=True):
            x[start:stop] = self._image(image, told)
        return x

    def _image(self, image: Image, told: Told) -> Tensor:
        """A page's image sequence, from the store if it has it."""
        key = None if self.store is None else self.store.key(image.tiles, image.plan)
        if self.store is not None and key is not None:
            kept = self.store.get(key)
            if kept is not None:
                told.views(len(image.tiles.local) + 1)
                return kept["sequence"].to(self.network.newline.device)
        sequence = self.network.image(
            image.tiles, image.plan, chunk=self.view_chunk, progress=told.views
        )
        if self.store is not None and key is not None:
            self.store.put(key, {"sequence": sequence})
        return sequence

    @torch.inference_mode()
    def embeddings(self, prompt: Ixc2Prompt) -> Tensor:
        """What the decoder is given for a prompt, (length, width)."""
        units = prompt.units
        return self._embeddings(units, image_segments(units), Told([prompt], None))

    @torch.inference_mode()
    def all_logits(self, prompt: Ixc2Prompt) -> Tensor:
        """Logits behind every position of a prompt, (length, vocabulary), in one run.

        For scoring text and for comparisons; answering needs those of the last position only.
        """
        x, segments = self.embeddings(prompt), image_segments(prompt.units)
        decoder = self.network.decoder
        return decoder.logits(decoder(x[None], segments)[0])

    def _ids(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(ids, device=self.network.decoder.embed.weight.device)

    @torch.inference_mode()
    def decode(self, ids: Tensor, cache: Ixc2Cache) -> Tensor:
        """Append one id to each row; logits (batch, vocabulary) of the next."""
        decoder = self.network.decoder
        x = decoder.embed(ids.to(decoder.embed.weight.device))[:, None]
        hidden = decoder(x, (), cache.kv, cache.pads)
        cache.note(ids)
        return decoder.logits(hidden[:, -1])

    def select(self, cache: Ixc2Cache, rows: Tensor) -> Ixc2Cache:
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
        return Ixc2Cache(cache.kv.select(rows, same), pads, held)

    def footprint(self) -> Footprint:
        """Memory that the reader takes, from its sizes."""
        return footprint(self.network, self.chunk, self.view_chunk)

    def stop_ids(self) -> frozenset[int]:
        """The end of the text and the end of a turn."""
        return self._stops

    def text(self, ids: Sequence[int]) -> str:
        """Ids of an answer → text, up to the first stop id."""
        return self.tokenizer.decode(list(takewhile(lambda i: i not in self._stops, ids)))

    def evidence(self, cache: Ixc2Cache, row: int = 0) -> tuple[Evidence, ...]:
        """Nothing: the model does not say where on a page it reads."""
        return ()

    def is_found(self, ids: Sequence[int]) -> bool:
        """True: the model says in its own words where a page lacks something."""
        return True


def load_ixc2(
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    devices: Sequence[torch.device] = (torch.device("cpu"),),
    progress: Progress | None = None,
) -> Ixc2Reader:
    """Load InternLM-XComposer2-4KHD from a folder with the published files.

    Args:
        folder: config.json, weights (safetensors or pickles) and tokenizer.model.
        dtype: to run in; None takes that of the files.
        devices: where to run; layers that one has no room for go to the next.
        progress: told ("weights", MiB read, MiB in all).

    Raises:
        ConfigError: the config says something that this model has not.
        WeightsError: files missing or damaged, or of another model, or too little memory.
    """
    folder = Path(folder)
    cfg = Ixc2Config.from_json(read_config(folder))
    files = TensorFiles(folder)
    check_kind({name: info.shape for name, info in files.infos.items()}, cfg, folder)
    tokenizer = load_tokenizer(folder, cfg.decoder.vocabulary)
    kind, table, form = dtype or files.infos[NEWLINE].dtype, rules(cfg), form_of(files.infos)
    with torch.device("meta"):
        network = Ixc2(cfg).to(kind)
        if form is not None:
            table = quantised_rules(table, QUANTISED, form)
            hollow(network, QUANTISED, form)
    placed = places(network, room(network, devices))
    if slow := slow_part(placed):
        _LOG.warning(slow)
    if form is not None:
        check_runs(form, kind, map(torch.device, placed.values()))
    load_weights(network, files, table, device=placed.__getitem__, progress=progress)
    if form is not None:
        fill(network, form, kind)
    network.eval().requires_grad_(False)
    return Ixc2Reader(network, tokenizer)
