"""tilewise-nano as a reader: wiring of encoder, reading order, match, decoder and prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from tilewise.models.nano.alphabet import (
    ANSWER,
    END,
    NOT_FOUND,
    QUESTION,
    UNSUPPORTED,
    VOCABULARY,
    decode,
)
from tilewise.models.nano.answer import NanoCache, Row, first_logits, fork, next_logits, only_first
from tilewise.models.nano.config import TILE, NanoConfig
from tilewise.models.nano.decoder import Decoder, feedback
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.kept import recall
from tilewise.models.nano.parts import read_parts
from tilewise.models.nano.pointer import look, page_memory
from tilewise.models.nano.prompt import NOT_FOUND_TEXT, UNSUPPORTED_TEXT, NanoPrompt, build_prompt
from tilewise.models.nano.proof import Proofreader, proofread
from tilewise.models.nano.question import KINDS, question_ids, wanted
from tilewise.models.nano.reading import read
from tilewise.models.nano.sight import Seen, fused, see, view
from tilewise.models.reader import Footprint, Progress, VisionStore
from tilewise.records import Evidence, Fit, Page, Plan, Tiles, Turn
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.grid import hd_grid
from tilewise.tiling.layout import plan, tokens
from tilewise.tiling.partition import cut

BEST_DPI = 150
"""Vector pages are rendered no finer than this: 10 pt type then has 21 px per em, well legible."""


class NanoReader:
    """The default reader. See ``models.reader.Reader`` for what its methods promise.

    ``dedup``: encode equal tiles once. ``has_global`` and ``has_newline``: parts of the image
    sequence that can be left out, for experiments.
    """

    name = "tilewise-nano"

    def __init__(
        self, cfg: NanoConfig, encoder: Encoder, proof: Proofreader, decoder: Decoder
    ) -> None:
        self.cfg = cfg
        self.context = cfg.decoder.context
        self.default_tiles = cfg.default_tiles
        self.dedup = True
        self.has_global = True
        self.has_newline = True
        self.store: VisionStore | None = None
        self.encoder = encoder
        self.proof = proof
        self.decoder = decoder

    def _tiling(self, max_tiles: int) -> TilingConfig:
        return TilingConfig(
            tile=TILE,
            max_tiles=max_tiles,
            upscale=False,
            has_global=self.has_global,
            has_newline=self.has_newline,
        )

    def raster_size(self, width_pt: float, height_pt: float, max_tiles: int) -> tuple[int, int]:
        """Pixels at which a vector page is best rendered, at most ``BEST_DPI``."""
        width = max(1, round(width_pt * BEST_DPI / 72))
        height = max(1, round(height_pt * BEST_DPI / 72))
        fit = hd_grid(width, height, self._tiling(max_tiles))
        return fit.width, fit.height

    def tiles(self, page: Page, max_tiles: int) -> Tiles:
        """Cut a page; it is never enlarged."""
        return cut(page, self._tiling(max_tiles))

    def fit(self, width: int, height: int, max_tiles: int) -> Fit:
        """Where a page of this size lies on its tiles."""
        return hd_grid(width, height, self._tiling(max_tiles))

    def plan(self, width: int, height: int, max_tiles: int) -> Plan:
        """The image sequence of a page of this size."""
        cfg = self._tiling(max_tiles)
        return plan(hd_grid(width, height, cfg).grid, cfg)

    def prompt(self, turns: Sequence[Turn], pages: Sequence[Tiles]) -> NanoPrompt:
        """The last turn's question about pages; raises PromptError."""
        cfg = self._tiling(1)
        return build_prompt(turns, pages, sum(tokens(p.fit.grid, cfg) for p in pages), self.context)

    @torch.inference_mode()
    def prefill(
        self,
        prompts: Sequence[NanoPrompt],
        cache: NanoCache | None = None,
        progress: Progress | None = None,
    ) -> tuple[Tensor, NanoCache]:
        """Read pages, unless ``cache`` has, and take in questions; logits (batch, vocabulary)."""
        if cache is None or [r.pages for r in cache.rows] != [p.pages for p in prompts]:
            cache = self._read_pages(prompts, progress)
        logits = [self._ask(row, p.question) for row, p in zip(cache.rows, prompts, strict=True)]
        return torch.stack(logits), cache

    def _read_pages(self, prompts: Sequence[NanoPrompt], progress: Progress | None) -> NanoCache:
        pages = [page for p in prompts for page in p.pages]

        def tell(done: int, total: int) -> None:
            if progress is not None:
                progress("tiles", done, total)

        def look_at(new: Sequence[Tiles]) -> list[Seen]:
            return see(
                self.encoder, new, has_global=self.has_global, dedup=self.dedup, progress=tell
            )

        seen = (
            look_at(pages) if self.store is None else recall(self.store, self._plan, pages, look_at)
        )
        rows, at = [], 0
        for number, p in enumerate(prompts):
            rows.append(self._row(p.pages, seen[at : at + len(p.pages)]))
            at += len(p.pages)
            if progress is not None:
                progress("prefill", number + 1, len(prompts))
        return NanoCache(rows)

    def _plan(self, page: Tiles) -> Plan:
        return plan(page.fit.grid, self._tiling(page.fit.grid.tiles))

    def _row(self, pages: tuple[Tiles, ...], seen: list[Seen]) -> Row:
        """Run the image sequence of one prompt's pages and keep their keys and values."""
        memories, maps = [], []
        kv = self.decoder.new_cache()
        for one in seen:
            entries = self._plan(one.tiles).entries
            overview = view(one.overview) if one.overview is not None else None
            sequence, local = self.decoder.visual(view(one.local), overview, entries)
            for i, (keys, values) in enumerate(self.decoder.page(sequence)):
                kv.write(i, keys, values)
            kv.advance(len(sequence))
            found = proofread(self.proof, one.levels)
            memories.append(page_memory(read(found, is_proofread=True)))
            maps.append(local)
        return Row(pages, memories, maps, kv)

    def _ask(self, row: Row, question: str) -> Tensor:
        """Append one question behind a row's pages; logits (vocabulary,) of its first character."""
        row.restart()
        ids = question_ids([question])
        said = self.decoder.question(ids)
        tags = said.tags[0].softmax(1)
        asked = wanted(
            question, KINDS[int(said.kinds[0].argmax())], said.tags[0].argmax(1).tolist()
        )
        looks = [look(memory, asked) for memory in row.memories]
        found = [
            self.decoder.pointer(memory, seen, tokens, said.summary[0])
            for memory, seen, tokens in zip(row.memories, looks, row.maps, strict=True)
        ]
        best = min(range(len(found)), key=lambda i: float(found[i][1]))
        mark = self.decoder.embed_start(torch.tensor(ANSWER), said.summary[0], looks[best].evidence)
        start = self.decoder.embed(torch.tensor([QUESTION]))
        text = torch.cat([start, self.decoder.embed_question(ids[0], tags), mark[None]])
        hidden = self.decoder.step(text, 0, row.kv)
        row.position = len(text)
        row.scores = [scores for scores, _ in found]
        row.is_title = asked.kind == "title"
        if asked.kind == "all":
            row.is_whole, row.scores = True, only_first(row.scores)
        return first_logits(row, self.decoder.output(hidden[-1]), found[best][1])

    @torch.inference_mode()
    def decode(self, ids: Tensor, cache: NanoCache) -> Tensor:
        """Append one id to each row; logits (batch, vocabulary) of the next."""
        return torch.stack(
            [self._append(row, int(i)) for row, i in zip(cache.rows, ids, strict=True)]
        )

    def _append(self, row: Row, token: int) -> Tensor:
        if token in (END, NOT_FOUND, UNSUPPORTED) or row.is_ended:
            row.is_ended = True
            return _only(END)
        row.take(token)
        page, local = row.page, row.local
        back = feedback(row.memories[page], [local], [row.words])
        x = self.decoder.embed_answer(torch.tensor([token]), back, row.maps[page])
        hidden = self.decoder.step(x, row.position, row.kv)
        row.position += 1
        return next_logits(row, self.decoder.output(hidden[-1]))

    def select(self, cache: NanoCache, rows: Tensor) -> NanoCache:
        """Rows of a cache, in any order; of one that comes repeatedly there are copies."""
        chosen: list[int] = rows.tolist()
        return NanoCache(
            [
                fork(cache.rows[row]) if row in chosen[:place] else cache.rows[row]
                for place, row in enumerate(chosen)
            ]
        )

    def penalised_ids(self, prompt: NanoPrompt) -> tuple[int, ...]:
        """None: a question's characters may well stand in its answer."""
        return ()

    def footprint(self) -> Footprint:
        """Bytes that it takes; all but weights and cache as measured on pages of noise."""
        modules = [part for part in vars(self).values() if isinstance(part, torch.nn.Module)]
        cfg = self.cfg.decoder
        return Footprint(
            weights_bytes=sum(p.nbytes for module in modules for p in module.parameters()),
            token_bytes=3 * 2 * 4 * cfg.layers * cfg.width,  # buffers grow into ones twice as large
            tile_bytes=4 << 20,
            vision_bytes=32 << 20,
            run_bytes=4 << 10,
            run_tokens=self.context,
        )

    def stop_ids(self) -> frozenset[int]:
        """The end mark."""
        return frozenset({END})

    def text(self, ids: Sequence[int]) -> str:
        """Ids of an answer → text."""
        if NOT_FOUND in ids:
            return NOT_FOUND_TEXT
        if UNSUPPORTED in ids:
            return UNSUPPORTED_TEXT
        return decode(list(ids))

    def evidence(self, cache: NanoCache, row: int = 0) -> tuple[Evidence, ...]:
        """Boxes of the characters copied so far, one a line, in pixels of their page."""
        return cache.rows[row].evidence()

    def is_found(self, ids: Sequence[int]) -> bool:
        """False for «not found» and for requests that a look-up reader cannot serve."""
        return bool(ids) and NOT_FOUND not in ids and UNSUPPORTED not in ids


def _only(token: int) -> Tensor:
    logits = torch.full((VOCABULARY,), float("-inf"))
    logits[token] = 0.0
    return logits


def load_nano(folder: str | Path) -> NanoReader:
    """Load tilewise-nano from a folder with config.json and model.safetensors.

    Raises:
        WeightsError: files missing, damaged, of another shape, or a config.json with wrong sizes.
    """
    parts = read_parts(folder)
    parts.modules.eval().requires_grad_(False)
    return NanoReader(parts.cfg, fused(parts.encoder), parts.proof, parts.decoder)
