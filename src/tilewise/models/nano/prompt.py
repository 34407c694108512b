"""Turns and pages → a prompt of tilewise-nano, and its fixed answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tilewise.errors import PromptError
from tilewise.models.nano.alphabet import encode
from tilewise.records import Tiles, Turn

NOT_FOUND_TEXT: Final = "Not found on this page."
UNSUPPORTED_TEXT: Final = (
    "This reader only looks things up. It can tell a page's title, the value of a label, a cell "
    "of a table by its row and column, what comes after some words, a value in a chart, which "
    "label is the highest or lowest, a line by its number, or read all the text. For summaries, "
    "descriptions and reasoning use a larger model such as InternLM-XComposer2-4KHD or InternVL."
)
LONGEST_QUESTION: Final = 1_000
"""Characters of a question; it was trained on up to about a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NanoPrompt:
    """A question about pages. Each question is taken by itself: earlier turns are not used."""

    question: str
    pages: tuple[Tiles, ...]


def build_prompt(
    turns: Sequence[Turn], pages: Sequence[Tiles], tokens: int, context: int
) -> NanoPrompt:
    """Take the last turn as the question.

    Args:
        turns: the conversation; its last turn is the user's.
        pages: what it is about, at least one.
        tokens: visual tokens of the pages together.
        context: positions that the reader can hold.

    Raises:
        PromptError: no page, no question, or both together over the context.
    """
    if not pages:
        raise PromptError(
            "no page is given; tilewise-nano answers questions about at least one page."
        )
    question = turns[-1].text.strip() if turns and turns[-1].role == "user" else ""
    if not question:
        raise PromptError('the question is empty; ask something, e.g. "What is the title?".')
    if len(question) > LONGEST_QUESTION:
        raise PromptError(
            f"the question has {len(question)} characters; "
            f"at most {LONGEST_QUESTION} are allowed. Shorten it."
        )
    if tokens + len(encode(question)) + 2 > context:
        raise PromptError(
            f"pages and question take {tokens + len(question) + 2} tokens; "
            f"the context holds {context}. "
            "Lower --max-tiles, choose fewer --pages or use --per-page."
        )
    return NanoPrompt(question=question, pages=tuple(pages))
