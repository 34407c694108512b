"""A whole reader in small: tiles of 8 px, two layers of attention over a cache, seeded weights.

It reads nothing sensible, but all of it is real: what it says depends on every pixel, on the
question and on the earlier turns, and comes out of a cache that grows id by id.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from tilewise.errors import PromptError
from tilewise.models.reader import Footprint, Progress, VisionStore
from tilewise.nn.kv_cache import KVCache
from tilewise.records import Box, Evidence, Fit, Page, Plan, Tiles, Turn
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.grid import hd_grid
from tilewise.tiling.layout import plan
from tilewise.tiling.partition import cut

STOP, ABSENT = 0, 1
LETTERS = "abcdefghijklmnop "  # one id each
PAIRS = "äßñ→日本語🙂"  # two ids each: a first half and a second half
FIRST = 2 + len(LETTERS)
SECOND = FIRST + len(PAIRS)
ANSWER_IDS = SECOND + len(PAIRS)
DIM, HEADS, LAYERS = 32, 4, 2


@dataclass(frozen=True)
class TinyPrompt:
    """Pages, the plan entries of all of them in one row, and the text as bytes."""

    pages: tuple[Tiles, ...]
    plans: tuple[Plan, ...]
    text: bytes

    def __len__(self) -> int:
        return sum(map(len, self.plans)) + len(self.text)


@dataclass
class TinyCache:
    """Keys and values of each row, its prompt, where its answer starts and what it looked at."""

    rows: list[KVCache]
    prompts: list[TinyPrompt]
    starts: list[int]
    looks: list[int]

    @property
    def length(self) -> int:
        return max(row.length for row in self.rows)


class TinyReader(nn.Module):
    """See the module. ``tiles_encoded`` and ``positions_run`` count the work done.

    ``hurry``: how much more probable the end grows with every id. ``vocabulary``: fewer ids than
    all of them make searching every answer possible. ``stops``: ids that end an answer.
    """

    def __init__(
        self,
        seed: int = 0,
        context: int = 2000,
        hurry: float = 0.3,
        vocabulary: int = ANSWER_IDS,
        stops: Sequence[int] = (STOP,),
    ) -> None:
        super().__init__()
        self.name, self.context, self.default_tiles = "tiny", context, 4
        self.store: VisionStore | None = None
        self.hurry, self.stops = hurry, frozenset(stops)
        self.tiles_encoded = self.positions_run = 0
        self.cfg = TilingConfig(tile=8, patch=2, merge=2, upscale=False)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.see = nn.Linear(48, DIM)
            self.embed = nn.Embedding(256 + ANSWER_IDS + 2, DIM)
            self.qkv = nn.ModuleList(nn.Linear(DIM, 3 * DIM) for _ in range(LAYERS))
            self.out = nn.ModuleList(nn.Linear(DIM, DIM) for _ in range(LAYERS))
            self.head = nn.Linear(DIM, vocabulary)
            for weight in self.parameters():
                nn.init.normal_(weight, std=0.7 if weight.ndim == 2 else 0.3)

    def raster_size(self, width_pt: float, height_pt: float, max_tiles: int) -> tuple[int, int]:
        scale = 8 * math.sqrt(max_tiles) / max(width_pt, height_pt)
        return max(1, round(width_pt * scale)), max(1, round(height_pt * scale))

    def _config(self, max_tiles: int) -> TilingConfig:
        return TilingConfig(tile=8, patch=2, merge=2, upscale=False, max_tiles=max_tiles)

    def tiles(self, page: Page, max_tiles: int) -> Tiles:
        return cut(page, self._config(max_tiles))

    def fit(self, width: int, height: int, max_tiles: int) -> Fit:
        return hd_grid(width, height, self._config(max_tiles))

    def plan(self, width: int, height: int, max_tiles: int) -> Plan:
        cfg = self._config(max_tiles)
        return plan(hd_grid(width, height, cfg).grid, cfg)

    def prompt(self, turns: Sequence[Turn], pages: Sequence[Tiles]) -> TinyPrompt:
        text = "".join(f"{turn.role[0]}:{turn.text}\n" for turn in turns)
        plans = tuple(plan(tiles.fit.grid, self.cfg) for tiles in pages)
        prompt = TinyPrompt(tuple(pages), plans, text.encode())
        if len(prompt) >= self.context:
            raise PromptError(
                f"pages and question are {len(prompt)} tokens; tiny holds {self.context}."
            )
        return prompt

    def prefill(
        self,
        prompts: Sequence[TinyPrompt],
        cache: TinyCache | None = None,
        progress: Progress | None = None,
    ) -> tuple[Tensor, TinyCache]:
        count, reused = len(prompts), 0
        rows = [KVCache(LAYERS, 1, HEADS, DIM // HEADS) for _ in prompts]
        if cache is not None:
            (prompt,), (before,), rows = prompts, cache.prompts, cache.rows
            assert before.pages == prompt.pages, "a cache is of the same pages"
            reused = len(prompt) - len(prompt.text)
            rows[0].truncate(reused)
        cache = TinyCache(rows, list(prompts), [len(prompt) for prompt in prompts], [0] * count)
        last = []
        for row, prompt in enumerate(prompts):
            inputs = self._inputs(prompt, reused, progress)
            last.append(self._run(inputs, cache, row)[-1])
            if progress is not None:
                progress("prefill", row + 1, len(prompts))
        return self._logits(torch.stack(last), cache, None), cache

    def decode(self, ids: Tensor, cache: TinyCache) -> Tensor:
        rows = [self._run(self.embed(ids[i : i + 1] + 256), cache, i)[-1] for i in range(len(ids))]
        return self._logits(torch.stack(rows), cache, ids)

    def select(self, cache: TinyCache, rows: Tensor) -> TinyCache:
        chosen = rows.tolist()
        return TinyCache(
            rows=[deepcopy(cache.rows[row]) for row in chosen],
            prompts=[cache.prompts[row] for row in chosen],
            starts=[cache.starts[row] for row in chosen],
            looks=[cache.looks[row] for row in chosen],
        )

    def penalised_ids(self, prompt: TinyPrompt) -> tuple[int, ...]:
        if prompt.pages:
            return ()
        return tuple(2 + LETTERS.index(c) for c in prompt.text.decode() if c in LETTERS)

    def footprint(self) -> Footprint:
        return Footprint(
            weights_bytes=sum(weight.nbytes for weight in self.parameters()),
            token_bytes=LAYERS * 2 * DIM * 4,
            tile_bytes=1000,
            vision_bytes=100_000,
            run_bytes=DIM * 4,
            run_tokens=256,
        )

    def stop_ids(self) -> frozenset[int]:
        return self.stops

    def text(self, ids: Sequence[int]) -> str:
        text, half = "", -1
        for token in ids:
            if half >= 0 and token != half + len(PAIRS):
                text += "?"
            if 2 <= token < FIRST:
                text += LETTERS[token - 2]
            elif token >= SECOND:
                text += PAIRS[token - SECOND] if half >= 0 else "!"
            half = token if FIRST <= token < SECOND else -1
        return text

    def evidence(self, cache: TinyCache, row: int = 0) -> tuple[Evidence, ...]:
        if not cache.prompts[row].pages:
            return ()
        tiles = cache.prompts[row].pages[0]
        token = cache.looks[row] % (len(tiles.local) * 4)
        tile, inner = divmod(token, 4)
        top, left = divmod(tile, tiles.fit.grid.cols)
        y, x = top * 8 + inner // 2 * 4, left * 8 + inner % 2 * 4
        box = tiles.fit.to_page(Box(x, y, x + 4, y + 4))
        return (Evidence(page=1, box=box, text="seen"),)

    def is_found(self, ids: Sequence[int]) -> bool:
        return list(ids[:1]) != [ABSENT]

    def _inputs(self, prompt: TinyPrompt, skip: int, progress: Progress | None) -> Tensor:
        parts = []
        for tiles, order in zip(prompt.pages, prompt.plans, strict=True):
            if skip:
                break
            seen = self._seen(tiles, order)
            if progress is not None:
                progress("tiles", len(tiles.local), len(tiles.local))
            index = torch.from_numpy(order.entries).long()
            marks = self.embed(256 + ANSWER_IDS - 1 - index.clamp(max=-1))
            parts.append(torch.where(index[:, None] < 0, marks, seen[index]))
        parts.append(self.embed(torch.frombuffer(bytearray(prompt.text), dtype=torch.uint8).int()))
        return torch.cat(parts)

    def _seen(self, tiles: Tiles, order: Plan) -> Tensor:
        key = None if self.store is None else self.store.key(tiles, order)
        kept = None if self.store is None or key is None else self.store.get(key)
        if kept is not None:
            return kept["seen"]
        view = tiles.canvas[:: tiles.fit.grid.rows, :: tiles.fit.grid.cols][None]
        pixels = torch.from_numpy(np.concatenate([view, tiles.local])).float() / 255
        self.tiles_encoded += len(tiles.local)
        seen: Tensor = self.see(rearrange(pixels, "n (y a) (x b) c -> (n y x) (a b c)", a=4, b=4))
        if self.store is not None and key is not None:
            self.store.put(key, {"seen": seen})
        return seen

    def _run(self, x: Tensor, cache: TinyCache, row: int) -> Tensor:
        kept, new = cache.rows[row], len(x)
        self.positions_run += new
        where = torch.arange(kept.length, kept.length + new)
        turns = where[:, None] * torch.exp(torch.arange(DIM // 2) * -0.3)
        x = x + 4 * torch.cat([torch.sin(turns), torch.cos(turns)], 1)
        is_past = torch.arange(kept.length + new)[None] <= where[:, None]
        for layer in range(LAYERS):
            q, k, v = rearrange(self.qkv[layer](x), "t (n h d) -> n 1 h t d", n=3, h=HEADS)
            keys, values = kept.write(layer, k, v)
            scores = (q @ keys.mT / math.sqrt(DIM)).masked_fill(~is_past, -torch.inf)
            seen = rearrange(scores.softmax(-1) @ values, "1 h t d -> t (h d)")
            x = nn.functional.normalize(x + self.out[layer](seen), dim=-1) * math.sqrt(DIM)
        kept.advance(new)
        cache.looks[row] = int(scores[0, 0, -1].argmax())
        return x

    def _logits(self, x: Tensor, cache: TinyCache, ids: Tensor | None) -> Tensor:
        logits = self.head(x)
        for row, token in enumerate([] if ids is None else ids.tolist()):
            logits[row, token] -= 8  # no stammering
            if FIRST <= token < SECOND:
                logits[row, token + len(PAIRS)] += 9  # mostly, not always, the other half
        answered = torch.tensor([row.length for row in cache.rows]) - torch.tensor(cache.starts)
        logits[:, STOP] += self.hurry * answered  # so that every answer ends
        return logits.float()


def tiny_page(width: int = 20, height: int = 12, seed: int = 0, name: str = "page") -> Page:
    """A page of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Page(pixels=pixels, name=name)


def load_tiny(
    folder: Path,
    *,
    dtype: torch.dtype | None,
    devices: tuple[torch.device, ...],
    progress: Progress | None,
) -> TinyReader:
    """Stand in for a family's loader; the folder's name is not looked at."""
    return TinyReader().to(dtype=dtype, device=devices[0])
