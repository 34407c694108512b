"""Proofreading: every character found is judged again in the company of its neighbours.

The encoder sees a character in one tile and in few of its surroundings. What it takes for S, 5 or s
is often plain from the word, from how the same face looks elsewhere on the page, and from what
fits between its neighbours. The proofreader goes along the reading order; it may change a class,
drop a character that was found twice, and say what follows each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.models.nano.alphabet import ADVANCE_EM, CLASSES
from tilewise.models.nano.config import ProofConfig
from tilewise.models.nano.detect import Detections, Found, Level, candidates
from tilewise.models.nano.encoder import LINKS
from tilewise.models.nano.reading import CELL, LINE, SPACE, Reading, read

FEATURES = 22
"""Numbers of ``clues`` for each character."""

Floats = NDArray[np.float32]


class Neighbours(nn.Module):
    """Depthwise convolution along the reading order, then two linear layers, beside a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.spread = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) → the same."""
        y = self.spread(self.norm(x).T[None])[0].T
        return x + self.down(F.gelu(self.up(y)))


class Company(nn.Module):
    """Attention among the characters of a stretch, its forerunner and its follower."""

    def __init__(self, width: int, heads: int, stretch: int) -> None:
        super().__init__()
        self.heads, self.stretch = heads, stretch
        self.norm = nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) → the same, for any n above 0."""
        n, width = x.shape
        blocks = -(-n // self.stretch)
        padded = F.pad(self.qkv(self.norm(x)), (0, 0, 0, blocks * self.stretch - n))
        q, k, v = padded.view(blocks, self.stretch, 3, self.heads, -1).unbind(2)
        is_real = (torch.arange(blocks * self.stretch) < n).view(blocks, 1, 1, self.stretch)
        mixed = F.scaled_dot_product_attention(
            q.transpose(1, 2),
            _with_sides(k).transpose(1, 2),
            _with_sides(v).transpose(1, 2),
            attn_mask=_with_sides(is_real.transpose(1, 3)).transpose(1, 3),
        )
        return x + self.out(mixed.transpose(1, 2).reshape(-1, width)[:n])


def _with_sides(x: Tensor) -> Tensor:
    """Blocks (b, s, ...) → each with the block before and the one behind it, (b, 3 s, ...)."""
    empty = torch.zeros_like(x[:1])
    return torch.cat([torch.cat([empty, x[:-1]]), x, torch.cat([x[1:], empty])], 1)


class Proofreader(nn.Module):
    """Judges the characters of a page, in reading order."""

    def __init__(self, cfg: ProofConfig) -> None:
        super().__init__()
        self.embed = nn.EmbeddingBag(CLASSES, cfg.width, mode="sum")
        self.clues = nn.Linear(FEATURES, cfg.width)
        layers: list[nn.Module] = []
        for _ in range(cfg.layers):
            layers += [Neighbours(cfg.width), Company(cfg.width, cfg.heads, cfg.stretch)]
        self.layers = nn.ModuleList([*layers, Neighbours(cfg.width)])
        self.norm = nn.RMSNorm(cfg.width)
        self.head = nn.Linear(cfg.width, CLASSES + LINKS)
        self.trust = nn.Parameter(torch.ones(2))
        nn.init.normal_(self.embed.weight, std=0.3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, cls: Tensor, prob: Tensor, clues: Tensor) -> tuple[Tensor, Tensor]:
        """Judge n characters.

        Args:
            cls: int64 (n, k), the encoder's likeliest classes of each.
            prob: float32 (n, k), their probabilities.
            clues: float32 (n, FEATURES).

        Returns:
            Logits (n, CLASSES), of which class 0 says that nothing new stands here, and logits
            (n, LINKS) of what follows. Untrained, both are what the encoder said.
        """
        x = self.embed(cls, per_sample_weights=prob) + self.clues(clues)
        for layer in self.layers:
            x = layer(x)
        change, link = self.head(self.norm(x)).split((CLASSES, LINKS), 1)
        said = torch.full_like(change, -9.0)
        said[:, 0] = (1.0 - prob.sum(1)).clamp(1e-4, 1.0).log()
        said.scatter_(1, cls, prob.clamp(min=1e-4).log())
        return self.trust[0] * said + change, self.trust[1] * clues[:, :LINKS] + link


def clues(found: Found, reading: Reading) -> tuple[Tensor, Tensor, Tensor]:
    """What the proofreader is given of a page: classes, probabilities and numbers, (n, …) each."""
    order = reading.origin
    cls, prob, frame = found.cls[:, order].T, found.prob[:, order].T, found.frame[order]
    chars, size = reading.chars, reading.chars.height
    numbers = [
        np.log(np.clip(chars.link, 1e-3, 1.0)),
        np.log(size / 16.0)[:, None],
        prob.sum(1)[:, None],
        prob[:, :2],
        (reading.gap[:, None] == np.arange(SPACE, LINE + 1)).astype(np.float32),
        frame[:, :3],
        _beside(chars, reading, 1),
        _beside(chars, reading, -1),
        frame[:, 3:],
    ]
    return (
        torch.from_numpy(np.ascontiguousarray(cls)),
        torch.from_numpy(np.ascontiguousarray(prob)),
        torch.from_numpy(np.concatenate(numbers, 1).astype(np.float32)),
    )


def _beside(chars: Detections, reading: Reading, step: int) -> Floats:
    """To the neighbour ``step`` on in order: distance, white between, drop, size; (n, 4) in em."""
    n = len(chars)
    other = np.clip(np.arange(n) + step, 0, n - 1)
    size = chars.height
    dx = (chars.x[other] - chars.x) * step / size
    dy = (chars.y[other] - chars.y) / size
    white = dx - (ADVANCE_EM[chars.cls] + ADVANCE_EM[chars.cls[other]]) / 2
    ratio = np.log(chars.height[other] / size)
    out = np.stack([np.clip(dx, -1, 2), np.clip(white, -1, 2), np.clip(dy, -1, 1), ratio], 1)
    before = np.arange(n) if step > 0 else other
    out[(reading.gap[before] >= CELL) | (other == np.arange(n))] = (2.0, 2.0, 0.0, 0.0)
    return out.astype(np.float32)


def proofread(proof: Proofreader, levels: Sequence[Level]) -> Detections:
    """Characters of a page, judged in context; ``link`` says what follows at tile edges too."""
    found = candidates(levels)
    if len(found.chars) == 0:
        return found.chars
    reading = read(found.chars)
    logits, link = proof(*clues(found, reading))
    prob = logits.softmax(1)
    best = prob[:, 1:].max(1)
    keep = (prob[:, 0] < 0.5).numpy()
    chars = reading.chars
    return Detections(
        (best.indices + 1).numpy()[keep],
        best.values.float().numpy()[keep],
        chars.x[keep],
        chars.y[keep],
        chars.height[keep],
        link.softmax(1).float().numpy()[keep],
        chars.width,
        chars.canvas_height,
    )
