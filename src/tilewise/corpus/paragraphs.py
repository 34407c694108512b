"""What rules ask of a paragraph: its words, its sentences, whether an image is near.

A paragraph is one text block of a document. The released code takes every ``p`` and every ``lb``
(line break) element instead, which ``compat`` brings back: there each line is tested alone, and
removing the first removes the block, since that is how its XML tree loses what follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from tilewise.corpus.edits import Changes, Context, with_text
from tilewise.records import Block

PARAGRAPHS: Final = frozenset({"text", "quote", "detail"})
"""Kinds of block that are paragraphs; headers, list items, tables and code are not."""

NOTES: Final = PARAGRAPHS | {"list", "header"}
"""Kinds of block that the rules on short notes take, too."""

SENTENCE_ENDS: Final = (".", "!", "?", "”", '"')

_BOUNDARY = re.compile(r"(?:(?<!\w\.\w\.)(?<![A-Z][a-z]\.)(?<=[.?!])|(?<=[.?!][\"”]))\s+")

ParagraphRule = Callable[["Paragraph", Context], str | None]
"""The text that stays of a paragraph: the same text to keep it, None to remove it."""


class Paragraph(NamedTuple):
    """A paragraph as rules see it: ``words`` is how many stand between white space."""

    text: str
    folded: str
    words: int
    is_near_image: bool


@lru_cache(maxsize=4096)
def _facts(text: str) -> tuple[str, int]:
    return text.lower(), len(text.split())


def word_count(text: str) -> int:
    """Words between white space."""
    return _facts(text)[1]


def sentences(text: str) -> list[str]:
    """Split at ``. ? !`` (and a closing quote) before white space.

    Not after ``X.Y.`` nor after abbreviations of two letters such as ``Mr.``.
    """
    return _BOUNDARY.split(text.strip())


def positions(blocks: Sequence[Block]) -> list[int]:
    """Where the paragraphs are."""
    return [place for place, block in enumerate(blocks) if block.kind in PARAGRAPHS]


def near_images(blocks: Sequence[Block], distance: int) -> set[int]:
    """Positions with an image among so many blocks before or after."""
    near: set[int] = set()
    for place, block in enumerate(blocks):
        if block.image is not None:
            near.update(range(place - distance, place + distance + 1))
    return near


def each_paragraph(rule: ParagraphRule) -> Callable[[Sequence[Block], Context], Changes]:
    """A rule on single paragraphs as a rule on documents."""

    def apply(blocks: Sequence[Block], context: Context) -> Changes:
        # The released test of nearness compares unlike numbers, which is as good as never.
        near = set() if context.is_compat else near_images(blocks, context.cfg.near_blocks)
        found: dict[int, tuple[Block, ...]] = {}
        for place in positions(blocks):
            block = blocks[place]
            if context.is_compat and "\n" in block.text:
                now = _by_line(rule, block.text, context)
            else:
                now = rule(_paragraph(block.text, place in near), context)
            if now != block.text:
                found[place] = () if now is None else with_text(block, now)
        return found

    return apply


def _paragraph(text: str, is_near_image: bool) -> Paragraph:
    folded, words = _facts(text)
    return Paragraph(text, folded, words, is_near_image)


def _by_line(rule: ParagraphRule, text: str, context: Context) -> str | None:
    """Each line by itself; without its first line the whole paragraph is gone."""
    kept: list[str] = []
    for number, line in enumerate(text.split("\n")):
        now = rule(_paragraph(line, is_near_image=False), context)
        if now is None and number == 0:
            return None
        if now is not None:
            kept.append(now)
    return "\n".join(kept)
