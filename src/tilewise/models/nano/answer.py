"""An answer of tilewise-nano while it grows: where it is on the pages, and what may come next."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tilewise.models.nano.alphabet import (
    COPY,
    END,
    FIRST_PAGE_CHAR,
    NOT_FOUND,
    PAGE_CHARS,
    UNSUPPORTED,
    VOCABULARY,
    encode,
)
from tilewise.models.nano.pointer import PageMemory
from tilewise.models.nano.title import goes_on
from tilewise.nn.kv_cache import KVCache
from tilewise.records import Box, Evidence, Tiles

SEPARATORS = frozenset(encode(" \n"))


@dataclass(slots=True, eq=False)
class Row:
    """One prompt's pages and the state of its answer.

    ``is_whole``: all text is asked for, so that only the pages' end is the answer's. ``is_title``:
    the title is, so that type tells its end. ``is_apart``: a separator came last. ``page`` and
    ``local`` say which character was copied last, -1 before the first. ``scores`` are
    those of the start places, page by page.
    """

    pages: tuple[Tiles, ...]
    memories: list[PageMemory]
    maps: list[Tensor]
    kv: KVCache
    page_length: int = 0
    scores: list[Tensor] = field(default_factory=list)
    position: int = 0
    page: int = 0
    local: int = -1
    words: int = 0
    copied: list[tuple[int, int]] = field(default_factory=list)
    is_ended: bool = False
    is_whole: bool = False
    is_title: bool = False
    is_apart: bool = False

    def __post_init__(self) -> None:
        self.page_length = self.kv.length

    def restart(self) -> None:
        """Forget question and answer; the pages stay."""
        self.kv.truncate(self.page_length)
        self.page, self.local, self.words, self.is_ended = 0, -1, 0, False
        self.is_whole = self.is_title = self.is_apart = False
        self.copied = []

    def follower(self) -> tuple[int, int] | None:
        """Page and place of the next character to copy; from a page's end on to the next page."""
        page, local = self.page, self.local + 1
        while page < len(self.memories) and local >= len(self.memories[page].reading):
            page, local = page + 1, 0
        return (page, local) if page < len(self.memories) and self.local >= 0 else None

    def take(self, token: int) -> None:
        """Move on by an emitted id: to a start, to the next character, or past a separator."""
        if self.local < 0:
            place = self._start(token)
        else:
            place = self.follower()
            if place is not None and _id_at(self, place) != token:
                place = None
        if place is not None and token not in SEPARATORS:
            self.page, self.local = place
            self.copied.append(place)
        elif token in SEPARATORS:
            self.words += 1
        self.is_apart = token in SEPARATORS

    def _start(self, token: int) -> tuple[int, int] | None:
        """The best start place whose character is ``token``."""
        best: tuple[float, tuple[int, int]] | None = None
        for page, (memory, scores) in enumerate(zip(self.memories, self.scores, strict=True)):
            same = torch.where(memory.cls + (FIRST_PAGE_CHAR - 1) == token, scores, float("-inf"))
            if (
                len(same)
                and (best is None or float(same.max()) > best[0])
                and float(same.max()) > float("-inf")
            ):
                best = float(same.max()), (page, int(memory.places.char[int(same.argmax())]))
        return best[1] if best else None

    def evidence(self) -> tuple[Evidence, ...]:
        """Copied characters as boxes, one for each stretch of a segment."""
        out: list[Evidence] = []
        group: list[tuple[int, int]] = []
        for place in self.copied:
            if group and not self._joins(group[-1], place):
                out.append(self._box(group))
                group = []
            group.append(place)
        return (*out, self._box(group)) if group else tuple(out)

    def _joins(self, a: tuple[int, int], b: tuple[int, int]) -> bool:
        reading = self.memories[a[0]].reading
        return a[0] == b[0] and bool(reading.segment[a[1]] == reading.segment[b[1]])

    def _box(self, group: list[tuple[int, int]]) -> Evidence:
        page = group[0][0]
        reading = self.memories[page].reading
        at = [i for _, i in group]
        chars = reading.chars
        size = float(chars.height[at].max())
        box = Box(
            float(chars.x[at].min()) - 0.36 * size,
            float(chars.y[at].min()) - 0.6 * size,
            float(chars.x[at].max()) + 0.36 * size,
            float(chars.y[at].max()) + 0.6 * size,
        )
        text = "".join(
            PAGE_CHARS[int(chars.cls[i]) - 1] + (" " if reading.gap[i] and i != at[-1] else "")
            for i in at
        )
        return Evidence(page=page + 1, box=self.pages[page].fit.to_page(box), text=text)


def fork(row: Row) -> Row:
    """A row that goes on by itself from where this one is; what was read is shared."""
    other = copy(row)
    other.kv, other.copied = deepcopy(row.kv), list(row.copied)
    return other


@dataclass(slots=True, eq=False)
class NanoCache:
    """Rows of a batch. Each keeps its own keys and values: a batch gives what single runs give."""

    rows: list[Row]

    @property
    def length(self) -> int:
        """Positions of the longest row."""
        return max((row.kv.length for row in self.rows), default=0)


def _id_at(row: Row, place: tuple[int, int]) -> int:
    return FIRST_PAGE_CHAR - 1 + int(row.memories[place[0]].reading.chars.cls[place[1]])


def first_logits(row: Row, output: Tensor, absent: Tensor) -> Tensor:
    """Log-probabilities (vocabulary,) of an answer's first id: point, or say there is nothing."""
    openers = torch.stack([output[NOT_FOUND] + absent[0], output[UNSUPPORTED]])
    joint = torch.cat([openers, *row.scores]).log_softmax(0)
    logits = torch.full((VOCABULARY,), float("-inf"))
    logits[NOT_FOUND], logits[UNSUPPORTED] = joint[0], joint[1]
    if len(joint) > 2:
        ids = torch.cat([memory.cls for memory in row.memories]) + (FIRST_PAGE_CHAR - 1)
        logits.scatter_reduce_(0, ids, joint[2:], "amax")
    return logits


def next_logits(row: Row, output: Tensor) -> Tensor:
    """Log-probabilities (vocabulary,) of the next id: the copy share goes to the next character."""
    logits = output.log_softmax(0)
    follower = row.follower()
    target = END if follower is None else _id_at(row, follower)
    logits[target] = torch.logaddexp(logits[target], logits[COPY])
    for never in (COPY, NOT_FOUND, UNSUPPORTED):
        logits[never] = float("-inf")
    if row.is_whole and follower is not None:
        logits[END] = float("-inf")
    if row.is_title and follower is not None:
        more = row.is_apart or goes_on(row.memories[row.page].reading, row.local)
        if more is not None:
            logits[END] = float("-inf") if more else 0.0
        if more is False:
            logits[:END], logits[END + 1 :] = float("-inf"), float("-inf")
    return logits


def only_first(scores: list[Tensor]) -> list[Tensor]:
    """Scores of the start places, page by page, with none left but the very first."""
    out = [torch.full_like(s, float("-inf")) for s in scores]
    page = next((i for i, s in enumerate(scores) if len(s)), None)
    if page is not None:
        out[page][0] = scores[page][0]
    return out
