"""Questions and answers about regions of a picture, in the words of Mini-InternVL's adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tilewise.records import Box
from tilewise.text.grounding import write_region

SHORT: Final = "Answer the question using a single word or phrase."
"""Asks for an answer that can be scored."""

LETTER: Final = "Answer with the option's letter from the given choices directly."

LETTERS: Final = "ABCDEFGHIJ"


def detect(phrase: str) -> str:
    """The question for where something is."""
    return f"Detect <ref>{phrase}</ref>"


def found(phrase: str, boxes: Sequence[Box], size: tuple[int, int]) -> str:
    """The answer to ``detect``: the phrase with its boxes, which are in pixels."""
    return write_region(phrase, boxes, *size)


def about_region(question: str, boxes: Sequence[Box], size: tuple[int, int]) -> str:
    """A question about a region that it names by its box; the other way is to draw it.

    ``stitching.marked`` draws it on the picture.
    """
    return f"{question.rstrip()} {write_region('', boxes, *size)}"


def multiple_choice(question: str, choices: Sequence[str]) -> str:
    """A question with its choices, a line each, that asks for a letter."""
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False))
    return f"{question}\n{listed}\n{LETTER}"
