"""The decoder of tilewise-nano: reads the question behind the page, points, copies the answer.

An answer is a start place and then, character by character, «copy the next», a separator, or
the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.models.nano.alphabet import CLASSES, VOCABULARY
from tilewise.models.nano.config import DecoderConfig
from tilewise.models.nano.pointer import EVIDENCE_FEATURES, PageMemory, Pointer
from tilewise.models.nano.question import TAGS, QuestionEncoder
from tilewise.models.nano.reading import BLOCK
from tilewise.models.nano.visual import Visual
from tilewise.nn.kv_cache import KVCache
from tilewise.nn.rope import rope_table, rotate

PAGE_END = BLOCK + 1
GAPS = BLOCK + 3
NO_GAP = BLOCK + 2
"""Gap of text that was not copied from the page."""
WORDS = 16
STEP_FEATURES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Feedback:
    """What is known of the place that the next character would be copied from; each (length, …)."""

    gap: Tensor
    cls: Tensor
    words: Tensor
    token: Tensor
    features: Tensor


def feedback(memory: PageMemory, chars: list[int], words: list[int]) -> Feedback:
    """Feedback after each of ``chars`` (places in the reading, -1 for text not copied)."""
    reading, token = memory.reading, memory.tokens
    n = len(reading)
    gaps, classes, tokens, features = [], [], [], []
    for i in chars:
        nxt = i + 1
        if i < 0 or nxt >= n:
            gaps.append(NO_GAP if i < 0 else PAGE_END)
            classes.append(0)
            tokens.append(-1)
            features.append((0.0,) * STEP_FEATURES)
            continue
        gaps.append(int(reading.gap[i]))
        classes.append(int(reading.chars.cls[nxt]))
        tokens.append(int(token[nxt]))
        a, b = reading.chars.height[i], reading.chars.height[nxt]
        dx, dy = (
            reading.chars.x[nxt] - reading.chars.x[i],
            reading.chars.y[nxt] - reading.chars.y[i],
        )
        is_inside = float(reading.segment[i] == reading.segment[nxt])
        features.append(
            (3 * math.log(b / a), max(-4.0, min(4.0, float(dx / a))) / 2,
             max(-4.0, min(4.0, float(dy / a))) / 2, is_inside)
        )  # fmt: skip

    def whole(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long)

    return Feedback(
        whole(gaps),
        whole(classes),
        whole([min(w, WORDS - 1) for w in words]),
        whole(tokens),
        torch.tensor(features, dtype=torch.float32).reshape(len(chars), STEP_FEATURES),
    )


class Layer(nn.Module):
    """Attention over the page and the text so far, then a gated MLP."""

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__()
        self.heads = cfg.heads
        self.norm = nn.RMSNorm(cfg.width)
        self.query = nn.Linear(cfg.width, cfg.width, bias=False)
        self.key_value = nn.Linear(cfg.width, 2 * cfg.width, bias=False)
        self.out = nn.Linear(cfg.width, cfg.width, bias=False)
        self.mlp_norm = nn.RMSNorm(cfg.width)
        self.gate_up = nn.Linear(cfg.width, 2 * cfg.mlp, bias=False)
        self.down = nn.Linear(cfg.mlp, cfg.width, bias=False)

    def keys_values(self, x: Tensor, table: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Keys and values (1, heads, n, head size) of (n, width); keys turned by a table."""
        k, v = self.key_value(self.norm(x)).chunk(2, dim=-1)
        k, v = self._heads(k), self._heads(v)
        return (_half_rotate(k, table) if table is not None else k), v

    def attend(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        table: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
    ) -> Tensor:
        """Attention of (n, width) to keys and values, causal without a mask; then the MLP."""
        q = self._heads(self.query(self.norm(x)))
        q = _half_rotate(q, table) if table is not None else q
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, is_causal=mask is None)
        x = x + self.out(y[0].transpose(0, 1).flatten(1))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(1, x.shape[0], self.heads, -1).transpose(1, 2)


def _half_rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the first half of every head; the other half matches content wherever it stands."""
    turned, still = x.chunk(2, dim=-1)
    return torch.cat([rotate(turned, table), still], dim=-1)


class Decoder(nn.Module):
    """Everything of the reader behind the encoder."""

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.visual = Visual(cfg)
        self.question = QuestionEncoder(cfg)
        self.pointer = Pointer(cfg)
        self.embed = nn.Embedding(VOCABULARY, cfg.width)
        self.tag = nn.Linear(TAGS, cfg.width, bias=False)
        self.summary = nn.Linear(cfg.question_width + EVIDENCE_FEATURES, cfg.width)
        self.next_gap = nn.Embedding(GAPS, cfg.width)
        self.next_class = nn.Embedding(CLASSES, cfg.width)
        self.words = nn.Embedding(WORDS, cfg.width)
        self.next_token = nn.Linear(cfg.width, cfg.width, bias=False)
        self.next_place = nn.Linear(STEP_FEATURES, cfg.width)
        self.layers = nn.ModuleList(Layer(cfg) for _ in range(cfg.layers))
        self.norm = nn.RMSNorm(cfg.width)
        self.output = nn.Linear(cfg.width, VOCABULARY)
        for table in (self.embed, self.next_gap, self.next_class, self.words):
            nn.init.normal_(table.weight, std=0.3)

    def _each_layer(self) -> Iterable[Layer]:
        return cast("Iterable[Layer]", self.layers)

    def new_cache(self, room: int = 256) -> KVCache:
        """An empty cache for one page and its text."""
        return KVCache(self.cfg.layers, 1, self.cfg.heads, self.cfg.width // self.cfg.heads, room)

    def page(self, sequence: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Run the image sequence (n, width); keys and values of every layer.

        In the last layer only keys and values of the page are used, so nothing else is computed.
        """
        x, kept = sequence, []
        for i, layer in enumerate(self._each_layer()):
            keys, values = layer.keys_values(x, None)
            kept.append((keys, values))
            if i + 1 < len(self.layers):
                x = layer.attend(x, keys, values, None, None)
        return kept

    def text(
        self, x: Tensor, positions: Tensor, page: list[tuple[Tensor, Tensor]], mask: Tensor
    ) -> Tensor:
        """Text (n, width) at integer positions behind a page; mask (n, page + n): what is seen."""
        table = rope_table(positions, self.cfg.width // self.cfg.heads // 2, self.cfg.rope_theta)
        for layer, (page_keys, page_values) in zip(self._each_layer(), page, strict=True):
            keys, values = layer.keys_values(x, table)
            x = layer.attend(
                x, torch.cat([page_keys, keys], 2), torch.cat([page_values, values], 2), table, mask
            )
        return self.norm(x)

    def step(self, x: Tensor, first_position: int, cache: KVCache) -> Tensor:
        """Append text (n, width) to a cache that holds the page; its hidden states (n, width)."""
        positions = torch.arange(first_position, first_position + len(x))
        table = rope_table(positions, self.cfg.width // self.cfg.heads // 2, self.cfg.rope_theta)
        past = cache.length
        mask = torch.ones(len(x), past + len(x), dtype=torch.bool).tril(past)
        for i, layer in enumerate(self._each_layer()):
            keys, values = cache.write(i, *layer.keys_values(x, table))
            x = layer.attend(x, keys, values, table, mask)
        cache.advance(len(x))
        return self.norm(x)

    def embed_question(self, ids: Tensor, tags: Tensor) -> Tensor:
        """Question characters (n,) with tag probabilities (n, 4) → (n, width)."""
        return self.embed(ids) + self.tag(tags)

    def embed_start(self, answer_id: Tensor, summary: Tensor, evidence: Tensor) -> Tensor:
        """The answer mark with what was understood and what was found → (width,)."""
        return self.embed(answer_id) + self.summary(torch.cat([summary, evidence]))

    def embed_answer(self, ids: Tensor, back: Feedback, tokens: Tensor) -> Tensor:
        """Emitted characters (n,) with what comes next on the page → (n, width)."""
        seen = torch.where(
            (back.token >= 0)[:, None], tokens[back.token.clamp(min=0)], tokens.new_zeros(())
        )
        return (
            self.embed(ids)
            + self.next_gap(back.gap)
            + self.next_class(back.cls)
            + self.words(back.words)
            + self.next_token(seen)
            + self.next_place(back.features)
        )
