"""What rules ask of a paragraph: its words, its sentences, whether an image is near.

A paragraph is one text block of a document. The released code takes every ``p`` and every ``lb``
(line break) element instead, which ``compat`` brings back: there each line is tested alone, and
removing the first removes the block, since that is how its XML tree loses what follows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from tilewise.corpus.filters.edits import Paragraph
from tilewise.records import Block

PARAGRAPHS: Final = frozenset({"text", "quote", "detail"})
"""Kinds of block that are paragraphs; headers, list items, tables and code are not."""

NOTES: Final = PARAGRAPHS | {"list", "header"}
"""Kinds of block that the rules on short notes take, too."""

SENTENCE_ENDS: Final = (".", "!", "?", "”", '"')

_BOUNDARY = re.compile(r"(?:(?<!\w\.\w\.)(?<![A-Z][a-z]\.)(?<=[.?!])|(?<=[.?!][\"”]))\s+")


@lru_cache(maxsize=4096)
def _facts(text: str) -> tuple[str, int]:
    return text.lower(), len(text.split())


def read_paragraph(text: str, is_near_image: bool) -> Paragraph:
    """A text with what rules ask of it."""
    folded, words = _facts(text)
    return Paragraph(text, folded, words, is_near_image)


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
    """Positions with an image that was kept among so many blocks before or after."""
    near: set[int] = set()
    for place, block in enumerate(blocks):
        if block.image is not None and block.image.dropped is None:
            near.update(range(place - distance, place + distance + 1))
    return near
