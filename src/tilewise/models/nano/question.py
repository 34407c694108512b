"""The question as the reader takes it: what is wanted, and which of its words to look for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.models.nano.alphabet import PAD, VOCABULARY, encode
from tilewise.models.nano.config import DecoderConfig
from tilewise.models.nano.match import number_asked
from tilewise.nn.rope import rope_table, rotate

KINDS: Final = (
    "title",
    "value",
    "table",
    "after",
    "highest",
    "lowest",
    "chart",
    "all",
    "line",
    "unsupported",
)
TAGS: Final = 4
"""0 none, 1 label, row or quoted words, 2 column, 3 line number."""


class Understood(NamedTuple):
    """What a question says.

    ``summary`` (n, width), ``kinds`` logits (n, 10), ``tags`` logits (n, length, 4).
    """

    summary: Tensor
    kinds: Tensor
    tags: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A question in words to look for: label or row, column, line number, and its kind."""

    kind: str
    label: str
    column: str
    line: int | None


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.RMSNorm(width)
        self.up = nn.Linear(width, 3 * width)
        self.down = nn.Linear(3 * width, width)

    def forward(self, x: Tensor, mask: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm(x)).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(rotate(q, table), rotate(k, table), v, attn_mask=mask)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, d))
        return x + self.down(F.gelu(self.up(self.mlp_norm(x))))


class QuestionEncoder(nn.Module):
    """Reads the characters of a question both ways."""

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__()
        width = cfg.question_width
        self.embed = nn.Embedding(VOCABULARY, width)
        self.spread = nn.Conv1d(width, width, 7, padding=3)
        self.layers = nn.ModuleList(_Layer(width) for _ in range(cfg.question_layers))
        self.norm = nn.RMSNorm(width)
        self.kinds = nn.Linear(width, len(KINDS))
        self.tags = nn.Linear(width, TAGS)
        self.theta = cfg.rope_theta

    def forward(self, ids: Tensor) -> Understood:
        """Ids (n, length), PAD behind each question → what it says."""
        real = ids != PAD
        x = self.embed(ids) * real[..., None]  # so that what stands behind changes nothing
        x = x + F.gelu(self.spread(x.transpose(1, 2)).transpose(1, 2))
        table = rope_table(torch.arange(ids.shape[1]), x.shape[2] // 4, self.theta)
        mask = real[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask, table)
        x = self.norm(x)
        weight = real[..., None].float()
        summary = (x * weight).sum(1) / weight.sum(1)
        return Understood(summary, self.kinds(summary), self.tags(x))


def question_ids(questions: list[str]) -> Tensor:
    """Questions → (n, longest) ids, padded behind."""
    rows = [encode(q) or [PAD] for q in questions]
    longest = max(len(r) for r in rows)
    return torch.tensor([r + [PAD] * (longest - len(r)) for r in rows])


def wanted(question: str, kind: str, tags: list[int]) -> Wanted:
    """Tagged characters → the words to look for; the longest stretch of each tag counts."""
    number = _stretch(question, tags, 3)
    return Wanted(
        kind=kind,
        label=_stretch(question, tags, 1),
        column=_stretch(question, tags, 2),
        line=number_asked(number) if number else None,
    )


def _stretch(question: str, tags: list[int], tag: int) -> str:
    """The longest run of a tag; single characters of another tag inside it do not end it."""
    best, start = "", -1
    marks = [t == tag for t in tags[: len(question)]] + [False, False]
    for i in range(len(question) + 1):
        if marks[i] and start < 0:
            start = i
        if start >= 0 and not marks[i] and not (marks[i + 1] and i > start):
            if i - start > len(best):
                best = question[start:i]
            start = -1
    return best.strip(' "')
