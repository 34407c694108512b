"""Conversations as training text: ids, and which of them a model learns to say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tilewise.errors import PromptError
from tilewise.records import Turn
from tilewise.text.chat import SetTurn, set_turns
from tilewise.text.templates import IMAGE_END, IMAGE_SLOT, IMAGE_START, Template
from tilewise.text.tokenizer import Tokenizer

IGNORED: Final = -100
"""Label of a position that is not learned; what losses of torch leave out by default."""

IMAGE: Final = "<image>"
"""Stands in a user's text where a page goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Ids of a conversation, and for each its own id or ``IGNORED``; both of one length."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]


def labelled(
    turns: Sequence[Turn],
    template: Template,
    tokenizer: Tokenizer,
    system: str | None = None,
    *,
    slots: Sequence[int] = (),
) -> Labelled:
    """Set a conversation for training with a template of InternVL.

    Learned are the text of each answer and the marker that ends it. The header of an answer has
    the ids that it has in a prompt, even where a tokenizer would join its line break to the first
    blanks of the answer, so that what is learned is what has to be said later. That one rule
    serves all templates and tokenizers: each turn begins with a marker, so a turn's ids are the
    same by itself and within the conversation, and nothing has to be counted again.

    Args:
        turns: the conversation; ``<image>`` stands in the user's texts where pages go.
        template: of the model.
        tokenizer: of the model; it knows the template's markers.
        system: text of the system turn, None for the template's own.
        slots: number of visual tokens of each page.

    Raises:
        PromptError: a number of pages that is not that of their places, or a text that holds a
            marker.

    Source: InternVL's training code, and for answers in several turns of Phi-3 its intention: the
    original counts tokens of each turn by itself and drops what does not add up.
    """
    if template.is_stripped:
        turns = [replace(turn, text=turn.text.strip()) for turn in turns]
    places = sum(turn.text.count(IMAGE) for turn in turns if turn.role == "user")
    if places != len(slots):
        raise PromptError(
            f"the questions hold {places} image placeholders ({IMAGE}) and {len(slots)} pages are "
            "given; each page needs one."
        )
    counts = iter(slots)
    ids: list[int] = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    labels = [IGNORED] * len(ids)
    for turn in set_turns(turns, template, system):
        if turn.role == "assistant":
            head, said, learned = _answer(turn, template, tokenizer)
            ids += [*head, *said]
            labels += [IGNORED] * len(head) + said[:learned]
        else:
            text = _with_slots(turn.text, counts) if turn.role == "user" else turn.text
            ids += tokenizer.encode(turn.header + text + turn.end, bos=False)
        labels += [IGNORED] * (len(ids) - len(labels))
    return Labelled(ids=tuple(ids), labels=tuple(labels))


def _answer(
    turn: SetTurn, template: Template, tokenizer: Tokenizer
) -> tuple[list[int], list[int], int]:
    """Ids of an answer's header, those behind it, and how many of these are learned."""
    head = tokenizer.encode(turn.header, bos=False)
    whole = tokenizer.encode(turn.header + turn.text + turn.end, bos=False)
    said = whole[len(head) :]
    if whole[: len(head)] != head:  # joined over the border: encode behind a marker instead
        said = tokenizer.encode(template.end + turn.text + turn.end, bos=False)[1:]
    end = tokenizer.id_of(template.end)
    return head, said, max(n for n, token in enumerate(said, 1) if token == end)


def _with_slots(text: str, counts: Iterator[int]) -> str:
    """A text with the tokens of a page at each of its places."""
    first, *rest = text.split(IMAGE)
    page = (IMAGE_START + IMAGE_SLOT * next(counts) + IMAGE_END + part for part in rest)
    return first + "".join(page)
