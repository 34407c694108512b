"""Where an answer starts: every possible place on the page gets a score for the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.models.nano.alphabet import CLASSES
from tilewise.models.nano.config import DecoderConfig
from tilewise.models.nano.match import (
    ANCHOR_FEATURES,
    ANCHORS,
    NUMBERS,
    Anchors,
    extremes,
    match,
    no_anchors,
    numbers,
)
from tilewise.models.nano.question import Wanted
from tilewise.models.nano.reading import Reading
from tilewise.models.nano.relations import (
    LINE_FLAG,
    RELATION_FEATURES,
    START_FEATURES,
    Starts,
    flag_line,
    relations,
    starts,
)
from tilewise.models.nano.series import entries

SETS = 3
"""Anchors of the label or row, of the column, and of extreme numbers."""
EVIDENCE_FEATURES = 2 * ANCHOR_FEATURES + 5


@dataclass(frozen=True, slots=True, eq=False)
class PageMemory:
    """What a page keeps for all its questions.

    ``reading``: its text; ``tokens`` int64: the visual token of each of its characters. ``places``:
    where answers may start, with their features ``own``, classes ``cls`` and tokens ``token``.
    ``entries``: its named numbers (``series.entries``).
    """

    reading: Reading
    tokens: NDArray[np.int64]
    places: Starts
    own: Tensor
    cls: Tensor
    token: Tensor
    entries: tuple[NDArray[np.int64], ...]


def page_memory(reading: Reading) -> PageMemory:
    """Prepare a page for questions."""
    places = starts(reading)
    token, _ = reading.chars.token_slots()
    return PageMemory(
        reading,
        token,
        places,
        torch.from_numpy(places.features),
        torch.from_numpy(reading.chars.cls[places.char]),
        torch.from_numpy(token[places.char]),
        entries(reading, numbers(reading)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One question against one page.

    ``own`` (n, START_FEATURES), ``related`` per set (n, k, features), ``valid`` per set (k,),
    ``evidence`` (EVIDENCE_FEATURES,).
    """

    own: Tensor
    related: tuple[Tensor, ...]
    valid: tuple[Tensor, ...]
    evidence: Tensor
    anchors: tuple[Anchors, ...]


def in_chart(anchors: Anchors, entries: Sequence[NDArray[np.int64]]) -> Anchors:
    """Of several places of a label, those in a standing chart, else in a list; all if in neither.

    A table beside a chart has the same labels; what is asked «in the chart» stands in one.
    """
    for some in entries[:2]:
        first, last, _ = some.T[:, None]
        touches = (anchors.first[:, None] <= last) & (anchors.last[:, None] >= first)
        named = anchors.valid & touches.any(1)
        if named.any():
            return replace(anchors, valid=named)
    return anchors


def look(memory: PageMemory, asked: Wanted) -> Look:
    """Find the question's words on the page and relate every place to them."""
    reading, places = memory.reading, memory.places
    sign = {"highest": 1, "lowest": -1}.get(asked.kind, 0)
    label = match(asked.label, reading) if asked.label else no_anchors(ANCHORS)
    found = (
        in_chart(label, memory.entries) if asked.kind == "chart" else label,
        match(asked.column, reading) if asked.column else no_anchors(ANCHORS),
        extremes(reading, sign) if sign else no_anchors(NUMBERS),
    )
    own = memory.own
    line = flag_line(places, asked.line)
    if asked.line is not None:
        own = own.clone()
        own[:, LINE_FLAG] = torch.from_numpy(line)
    known = (
        bool(asked.label),
        bool(asked.column),
        asked.line is not None,
        bool(line.any()),
        bool(found[2].valid.any()),
    )
    evidence = np.concatenate(
        [found[0].features[0], found[1].features[0], np.array(known, np.float32)]
    )
    return Look(
        own,
        tuple(torch.from_numpy(relations(reading, places, a, memory.entries)) for a in found),
        tuple(torch.from_numpy(a.valid) for a in found),
        torch.from_numpy(evidence.astype(np.float32)),
        found,
    )


class Pointer(nn.Module):
    """Scores places where an answer may start, and says how sure the page holds it at all."""

    def __init__(self, cfg: DecoderConfig) -> None:
        super().__init__()
        wide, asked = cfg.relation, cfg.relation
        self.wide = wide
        self.ask = nn.Linear(cfg.question_width, asked)
        self.relate = nn.ModuleList(
            nn.Sequential(
                nn.Linear(RELATION_FEATURES + asked, wide), nn.GELU(), nn.Linear(wide, wide)
            )
            for _ in range(SETS)
        )
        self.cls = nn.Embedding(CLASSES, 16)
        self.token = nn.Linear(cfg.width, 32)
        inputs = START_FEATURES + 16 + 32 + SETS * wide + asked
        self.first = nn.Linear(inputs, 128)
        self.gate = nn.Linear(asked, 128)
        self.second = nn.Linear(128, 96)
        self.score = nn.Linear(96, 1)
        self.absent = nn.Sequential(
            nn.Linear(EVIDENCE_FEATURES + asked + 2, 48), nn.GELU(), nn.Linear(48, 1)
        )

    def forward(
        self, memory: PageMemory, seen: Look, tokens: Tensor, summary: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One question: (n,) scores of the places, and the score (1,) of «not on this page».

        ``tokens`` (rows × cols, width) is the page's local map, ``summary`` (width,) what the
        question says.
        """
        q = self.ask(summary)
        n = len(memory.places.char)
        parts = [seen.own, self.cls(memory.cls), self.token(tokens)[memory.token]]
        for relate, related, valid in zip(self.relate, seen.related, seen.valid, strict=True):
            if bool(valid.any()):
                used = related[:, valid]
                asked = q.expand(n, used.shape[1], -1)
                parts.append(relate(torch.cat([used, asked], 2)).amax(1))
            else:
                parts.append(q.new_zeros(n, self.wide))
        x = torch.cat([*parts, q.expand(n, -1)], 1)
        x = F.gelu(self.first(x)) * torch.sigmoid(self.gate(q))
        scores = self.score(F.gelu(self.second(x)))[:, 0]
        if n:
            best = torch.stack([scores.amax(), scores.logsumexp(0)])
        else:
            best = scores.new_full((2,), -10.0)
        absent = self.absent(torch.cat([seen.evidence, q, best]))
        return scores, absent
