"""Which option of a multiple-choice question an answer means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

_LEAD_INS: Final = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",  # the original lacks a comma here
    "Best answer:",
    "Best option:",
)
"""What is deleted from an answer before a letter is looked for."""

_LETTER: Final = re.compile("[ABCDE]")
_MOST_WORDS: Final = 10


def mme_realworld_letter(answer: str, choices: Sequence[str]) -> str:
    """The letter that an answer means by the rule of MME-RealWorld, "" for none.

    Known lead-ins are deleted. Then the first capital from A to E anywhere in the text counts;
    without one, the first choice that contains the whole text, so that an empty answer is A. An
    answer of more than ten words without such a capital means nothing.

    Args:
        answer: what the model said.
        choices: as the question lists them, such as ``(A) a red car``.

    Source: InternVL's evaluation of MME-RealWorld, faults included.
    """
    text = answer.strip()
    for lead_in in _LEAD_INS:
        text = text.replace(lead_in, "")
    match = _LETTER.search(text)
    if match:
        return match[0]
    if len(text.split()) > _MOST_WORDS:
        return ""
    return next((choice[1] for choice in choices if text.lower() in choice.lower()), "")


def first_letter(answer: str, choices: Mapping[str, str]) -> str:
    """The letter that an answer means by the rule of InternVL's own multiple-choice benchmarks.

    A single character is taken as it is. Else the first character counts if it is the letter of a
    choice ("A man…" is A), else the first choice whose text the answer contains, else the answer.

    Args:
        answer: what the model said; an empty one means nothing.
        choices: texts by their letters.

    Source: InternVL's evaluation of MMBench, MMMU and SEED; the original fails on empty answers.
    """
    text = answer.strip()
    if len(text) <= 1 or text[0] in choices:
        return text[:1]
    return next((letter for letter, choice in choices.items() if choice in text), text)
