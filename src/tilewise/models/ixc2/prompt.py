"""Turns → the ids of a prompt of InternLM-XComposer2-4KHD, with places for its pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tilewise.errors import PromptError
from tilewise.records import Turn
from tilewise.text.chat import render, segments
from tilewise.text.templates import IXC2
from tilewise.text.tokenizer import Tokenizer

IMAGE: Final = "<ImageHere>"
"""Stands in a turn's text where a page goes; it is no token."""


def chat_ids(
    turns: Sequence[Turn], pages: int, tokenizer: Tokenizer, system: str | None
) -> list[list[int]]:
    """The texts before, between and after the pages as ids, as the authors' chat function has it.

    Pages whose place no turn says stand in front of the first question.

    Args:
        turns: the conversation; its last turn is the user's.
        pages: how many there are.
        tokenizer: of the checkpoint.
        system: text of the system turn, or None for none.

    Raises:
        PromptError: no question, or a number of placeholders that is not that of the pages.
    """
    if not turns or turns[-1].role != "user" or not turns[-1].text.replace(IMAGE, "").strip():
        raise PromptError('the question is empty; ask something, e.g. "What is the title?".')
    placeholders = sum(turn.text.count(IMAGE) for turn in turns)
    if pages and not placeholders:
        first = next(i for i, turn in enumerate(turns) if turn.role == "user")
        placed = replace(turns[first], text=IMAGE * pages + turns[first].text)
        turns = (*turns[:first], placed, *turns[first + 1 :])
    elif placeholders != pages:
        raise PromptError(
            f"the turns hold {placeholders} image placeholders ({IMAGE}) and {pages} pages are "
            "given; each page needs one. Leave them all out to put the pages first."
        )
    parts = segments(render(turns, IXC2, system), IMAGE, tokenizer, "every")
    if (
        not pages and tokenizer.bos_id is not None
    ):  # the authors' code adds one more here: in the text, and by the tokenizer
        parts[0].insert(0, tokenizer.bos_id)
    return parts
