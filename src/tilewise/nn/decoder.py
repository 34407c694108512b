"""The decoder of language models of the Llama kind, set by its fields alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.errors import ConfigError, PromptError
from tilewise.nn.attention import (
    attend,
    attend_each,
    causal_mask,
    join_heads,
    moved_mask,
    split_heads,
)
from tilewise.nn.kv_cache import KVCache
from tilewise.nn.norm import RMSNorm
from tilewise.nn.partial_lora import PartialLinear, Segment, Where, window
from tilewise.nn.rope import RopeScaling, rope_table, rotate


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialLoraConfig:
    """Rank and scale of Partial LoRA in qkv, and in the four other linear layers.

    ``dropout`` is the share of its input that is left out in training.
    """

    qkv_rank: int
    qkv_scale: float
    rank: int
    scale: float
    dropout: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    """Sizes of a decoder; ``width`` = ``heads`` × head size.

    ``kv_heads`` key heads serve all query heads. ``rope_scaling`` stretches the rotary table to
    long sequences. Without ``partial_lora`` image rows are run like any other.
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    norm_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None = None
    has_qkv_bias: bool = False
    is_tied: bool = False
    partial_lora: PartialLoraConfig | None = None

    def __post_init__(self) -> None:
        if self.width % self.heads or self.heads % self.kv_heads or self.head_size % 2:
            raise ConfigError(
                f"decoder width is {self.width}, heads {self.heads}, key heads {self.kv_heads}; "
                "width must be a multiple of the heads with an even quotient, and heads one of "
                "the key heads. Correct the config."
            )
        if self.rope_scaling is not None:
            self.rope_scaling.check(self.head_size)

    @property
    def head_size(self) -> int:
        """Channels of one head."""
        return self.width // self.heads


class Run(NamedTuple):
    """What all layers of one pass share: rotary table, attention mask, image ranges, cache.

    ``lengths`` are those of the sequences that run one behind another without a cache; none
    where each row is one sequence.
    """

    table: tuple[Tensor, Tensor]
    mask: Tensor | None
    segments: Where
    cache: KVCache | None
    lengths: tuple[int, ...] = ()

    def to(self, like: Tensor) -> Run:
        """The same for layers on the device of this tensor."""
        cos, sin = (part.to(like.device) for part in self.table)
        where = self.segments
        return self._replace(
            table=(cos, sin),
            mask=moved_mask(self.mask, like),
            segments=where.to(like.device) if isinstance(where, Tensor) else where,
        )

    def of_last(self, count: int) -> Run:
        """The same for the last of ``count`` positions alone, which may look at all others."""
        cos, sin = self.table
        mask = self.mask if count == 1 else None
        assert not isinstance(self.segments, Tensor), "training runs all positions"
        segments = window(self.segments, count - 1, count)
        return self._replace(
            table=(cos[..., -1:, :], sin[..., -1:, :]), mask=mask, segments=segments
        )


class Attention(nn.Module):
    """Self-attention with rotary positions. ``qkv`` gives all queries, all keys, all values."""

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads = cfg.heads, cfg.kv_heads
        kv_width = cfg.kv_heads * cfg.head_size
        self.parts = (cfg.width, kv_width, kv_width)
        self.qkv = _qkv(cfg, sum(self.parts))
        self.out = _linear(cfg, cfg.width, cfg.width)

    def forward(self, x: Tensor, run: Run, layer: int, *, is_last_only: bool) -> Tensor:
        q, k, v = self._heads(self.qkv(x, run.segments), run.table, is_last_only=is_last_only)
        if run.cache is not None:
            k, v = run.cache.write(layer, k, v)
        if is_last_only:
            run = run.of_last(x.shape[1])
        y = attend_each(q, k, v, run.lengths) if run.lengths else attend(q, k, v, run.mask)
        return self.out(join_heads(y), run.segments)

    def _heads(
        self, qkv: Tensor, table: tuple[Tensor, Tensor], *, is_last_only: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys, rotated, and values, by heads; queries of the last position alone."""
        q, k, v = (split_heads(part, heads) for part, heads in self._parts(qkv))
        if q.shape[2] == 1:  # while decoding every launch of a kernel counts: both in one go
            q, k = rotate(torch.cat([q, k], dim=1), table).split([self.heads, self.kv_heads], 1)
            return q, k, v
        if is_last_only:
            cos, sin = table
            last = cos[..., -1:, :], sin[..., -1:, :]
            return rotate(q[:, :, -1:], last), rotate(k, table), v
        return rotate(q, table), rotate(k, table), v

    def _parts(self, qkv: Tensor) -> Iterable[tuple[Tensor, int]]:
        counts = (self.heads, self.kv_heads, self.kv_heads)
        return zip(qkv.split(self.parts, dim=-1), counts, strict=True)


class Mlp(nn.Module):
    """Gated MLP: down(silu(gate) * up)."""

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__()
        self.gate = _linear(cfg, cfg.width, cfg.mlp)
        self.up = _linear(cfg, cfg.width, cfg.mlp)
        self.down = _linear(cfg, cfg.mlp, cfg.width)

    def forward(self, x: Tensor, segments: Where) -> Tensor:
        hidden = F.silu(self.gate(x, segments)) * self.up(x, segments)
        return self.down(hidden, segments)


class DecoderLayer(nn.Module):
    """x + attention, then x + MLP, each behind a norm. Shape: (batch, n, width), kept."""

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(cfg.width, cfg.norm_eps)
        self.attention = Attention(cfg)
        self.mlp_norm = RMSNorm(cfg.width, cfg.norm_eps)
        self.mlp = Mlp(cfg)

    def forward(self, x: Tensor, run: Run, layer: int, *, is_last_only: bool = False) -> Tensor:
        y = self.attention(self.attention_norm(x), run, layer, is_last_only=is_last_only)
        if is_last_only:
            x, run = x[:, -1:], run.of_last(x.shape[1])
        x = x + y
        return x + self.mlp(self.mlp_norm(x), run.segments)


class Decoder(nn.Module):
    """Embedding, layers, norm and output of a language model.

    Layers may lie on different devices; values follow them. ``embed`` and the first layer share
    one, ``norm`` and ``output`` another.

    Source: InternLM2 (arXiv 2403.17297); Llama, Qwen2 and Phi-3 differ in fields only.
    """

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.embed = nn.Embedding(cfg.vocabulary, cfg.width)
        self.layers = nn.ModuleList(DecoderLayer(cfg) for _ in range(cfg.layers))
        self.norm = RMSNorm(cfg.width, cfg.norm_eps)
        if not cfg.is_tied:
            self.output = nn.Linear(cfg.width, cfg.vocabulary, bias=False)

    def new_cache(self, batch: int, room: int) -> KVCache:
        """An empty cache in the dtype of the weights, each layer's part where the layer is."""
        norms = [layer.attention_norm.weight for layer in self._each_layer()]
        return KVCache(
            self.cfg.layers,
            batch,
            self.cfg.kv_heads,
            self.cfg.head_size,
            room,
            dtype=norms[0].dtype,
            devices=[weight.device for weight in norms],
        )

    def forward(
        self,
        x: Tensor,
        segments: Sequence[Segment] | None,
        cache: KVCache | None = None,
        pads: Tensor | None = None,
        *,
        total: int | None = None,
        is_last_only: bool = False,
    ) -> Tensor:
        """Run embeddings behind what the cache holds.

        Args:
            x: (batch, n, width).
            segments: where image rows lie in ``x``; empty where there are none.
            cache: keys and values so far, which grow by n; None runs ``x`` as a whole.
            pads: positions of left padding of each row in the cache, (batch,); for n = 1 only.
            total: positions of the whole sequence, whose length picks the rotary table, where
                ``x`` is a part that more will follow; None if ``x`` ends it, or ends it so far.
            is_last_only: give the last position alone, and save the last layer's work on others.

        Returns:
            Hidden states before the final norm, (batch, n, width), or (batch, 1, width).

        Raises:
            PromptError: ``segments`` is None in a model with Partial LoRA, where leaving images
                out would give plausible, wrong output.
            ValueError: the cache's keys were rotated by another rotary table than this length
                needs. See ``stale_rows``.
        """
        if segments is None and self.cfg.partial_lora is not None:
            raise PromptError(
                "embeddings come without the ranges of their images, and this model runs images "
                "through weights of their own; give segments, empty for text alone."
            )
        run = self._run(x, segments or (), cache, pads, total)
        for i, layer in enumerate(self._each_layer()):
            device = layer.attention_norm.weight.device
            if x.device != device:
                x = x.to(device)
                run = run.to(x)
            x = layer(x, run, i, is_last_only=is_last_only and i + 1 == self.cfg.layers)
        if cache is not None:
            cache.advance(run.table[0].shape[-2])
        return x

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., width) → logits (..., vocabulary), float32."""
        weight = self.embed.weight if self.cfg.is_tied else self.output.weight
        normed = self.norm(hidden.to(self.norm.weight.device))
        return F.linear(normed.to(weight.device), weight).float()

    def regime(self, total: int) -> int:
        """Which rotary table a sequence of ``total`` positions has: lengths alike, tables alike.

        Always 0 without ``rope_scaling``, and 0 up to the length from which on it stretches.
        """
        scaling = self.cfg.rope_scaling
        return 0 if scaling is None else scaling.regime(total)

    def stale_rows(self, cache: KVCache, pads: Tensor | None = None) -> list[int]:
        """Rows of a cache that one more position takes to a length with another rotary table.

        All that such a row holds has to run again, with ``total``, into ``cache.row``: its keys
        were rotated by the old table, and later layers have read what came of that.

        Args:
            cache: of which no row is empty.
            pads: as ``forward`` takes them.
        """
        kept = cache.regimes
        regimes = self._regimes(cache.length + 1, pads, len(kept))
        return [row for row, pair in enumerate(zip(kept, regimes, strict=True)) if len({*pair}) > 1]

    def _regimes(self, total: int, pads: Tensor | None, rows: int) -> list[int]:
        """The regime of each row, of ``total`` positions less its padding."""
        longest = self.regime(total)
        if pads is None or not longest:  # then shorter rows have regime 0 as well
            return [longest] * rows
        return [self.regime(total - pad) for pad in pads.tolist()]

    def _run(
        self,
        x: Tensor,
        segments: Sequence[Segment],
        cache: KVCache | None,
        pads: Tensor | None,
        total: int | None,
    ) -> Run:
        past, new = 0 if cache is None else cache.length, x.shape[1]
        positions = torch.arange(past, past + new, device=x.device)
        mask = causal_mask(new, past + new, x)
        regimes = [0]
        if self.cfg.rope_scaling is not None:
            end = past + new
            assert total is None or total >= end, (
                f"{end} positions are more than a total of {total}"
            )
            regimes = self._regimes(total or end, None if total else pads, x.shape[0])
            _keep(cache, regimes)
        if pads is not None:
            assert new == 1, "padded rows are decoded together, one position at a time"
            seen = torch.arange(past + new, device=x.device) >= pads[:, None]
            mask = seen[:, None, None]  # batch 1 1 m
            positions = (positions - pads[:, None])[:, None]  # batch 1 1
        cfg = self.cfg
        cos, sin = rope_table(positions, cfg.head_size, cfg.rope_theta, cfg.rope_scaling, regimes)
        return Run((cos.to(x.dtype), sin.to(x.dtype)), mask, segments, cache)

    def _each_layer(self) -> Iterable[DecoderLayer]:
        return cast("Iterable[DecoderLayer]", self.layers)


def _keep(cache: KVCache | None, regimes: Sequence[int]) -> None:
    """Note in a cache by which tables its rows are rotated, which must stay the same."""
    if cache is None:
        return
    if cache.length and cache.regimes != regimes:
        raise ValueError(
            f"the keys of a cache of {cache.length} positions were rotated for regime "
            f"{cache.regimes} and are continued in {regimes}; run those rows again from the start"
        )
    cache.regimes = list(regimes)


def _qkv(cfg: DecoderConfig, out_size: int) -> PartialLinear:
    lora = cfg.partial_lora
    if lora is None:
        return PartialLinear(cfg.width, out_size, bias=cfg.has_qkv_bias)
    return PartialLinear(
        cfg.width,
        out_size,
        bias=cfg.has_qkv_bias,
        rank=lora.qkv_rank,
        scale=lora.qkv_scale,
        dropout=lora.dropout,
    )


def _linear(cfg: DecoderConfig, in_size: int, out_size: int) -> PartialLinear:
    lora = cfg.partial_lora
    if lora is None:
        return PartialLinear(in_size, out_size)
    return PartialLinear(in_size, out_size, rank=lora.rank, scale=lora.scale, dropout=lora.dropout)
