"""Turns → the ids of a prompt of InternVL, with places for its pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tilewise.errors import PromptError, WeightsError
from tilewise.models.internvl.config import InternVLConfig
from tilewise.records import Tiles, Turn
from tilewise.text.chat import render, segments_between_ends
from tilewise.text.templates import IMAGE_SLOT, IMAGE_TOKENS, Template
from tilewise.text.tokenizer import Tokenizer

IMAGE: Final = "<image>"
"""Stands in a user's text where a page goes; it is no token."""

_PLACE: Final = "\x00page\x00"
"""The same while texts are set: what an answer says of ``<image>`` is no place of a page."""


def chat_ids(
    turns: Sequence[Turn],
    pages: Sequence[Tiles],
    tokenizer: Tokenizer,
    template: Template,
    system: str | None,
) -> list[list[int]]:
    """The texts before, between and after the pages as ids, without the ids around a page.

    Pages whose place no turn says stand in front of the first question.

    Args:
        turns: the conversation; its last turn is the user's.
        pages: the pages, cut.
        tokenizer: of the checkpoint.
        template: of the checkpoint.
        system: text of the system turn, None for the template's own.

    Raises:
        PromptError: no question, a text that holds one of the template's markers, or a number of
            placeholders that is not that of the pages.
    """
    if not turns or turns[-1].role != "user" or not turns[-1].text.replace(IMAGE, "").strip():
        raise PromptError('the question is empty; ask something, e.g. "What is the title?".')
    named = sum(turn.text.count(IMAGE) for turn in turns if turn.role == "user")
    if pages and not named:
        first = next(i for i, turn in enumerate(turns) if turn.role == "user")
        placed = replace(turns[first], text=page_lines(pages) + turns[first].text)
        turns = (*turns[:first], placed, *turns[first + 1 :])
    elif named != len(pages):
        raise PromptError(
            f"the questions hold {named} image placeholders ({IMAGE}) and {len(pages)} pages are "
            "given; each page needs one. Leave them all out to put the pages first."
        )
    marked = [_marked(turn) for turn in turns]
    return segments_between_ends(render(marked, template, system), _PLACE, tokenizer)


def page_lines(pages: Sequence[Tiles]) -> str:
    """Lines in front of a question, one for each page: its name, if it has one, and its place."""
    names = page_names(pages)
    return "".join(f"{name}: {IMAGE}\n" if name else f"{IMAGE}\n" for name in names)


def page_names(pages: Sequence[Tiles]) -> list[str]:
    """What pages are called in a prompt: ``Image-1``, ``Image-2``, and ``Frame1`` of a video.

    A single page has no name, "".

    Source: the released models' own examples; without names several pages are mixed up
    (OpenGVLab/InternVL#419).
    """
    if len(pages) == 1 and not pages[0].is_frame:
        return [""]
    counts = {True: 0, False: 0}
    names = []
    for page in pages:
        counts[page.is_frame] += 1
        names.append(f"Frame{counts[True]}" if page.is_frame else f"Image-{counts[False]}")
    return names


def _marked(turn: Turn) -> Turn:
    """A turn with our own placeholder where the user's stands."""
    text = turn.text.replace(_PLACE, "")
    return replace(turn, text=text.replace(IMAGE, _PLACE) if turn.role == "user" else text)


def random_tokens(
    data: Mapping[str, Any], cfg: InternVLConfig, template: Template
) -> dict[str, int]:
    """Ids of tokens in a random model for tests, which has no tokenizer.

    Args:
        data: config.json. Its object ``test_token_ids``, or ``image_token_id`` of the native form,
            says where the tokens of pages are; else they are the last of the vocabulary.
        cfg: as read from it.
        template: of the checkpoint.

    Returns:
        Ids by names; those of the template lie in front of those of pages, unless said.
    """
    said = data.get("test_token_ids")
    said = said if isinstance(said, Mapping) else {}
    slot = said.get("img_context", data.get("image_token_id"))
    first = cfg.decoder.vocabulary - len(IMAGE_TOKENS)
    if isinstance(slot, int):
        first = slot - IMAGE_TOKENS.index(IMAGE_SLOT)
    named = {template.end: said.get("generation_eos"), "<s>": said.get("bos", 1)}
    others = [marker for marker in template.markers if marker not in IMAGE_TOKENS]
    found = {name: token for name, token in named.items() if isinstance(token, int)}
    for place, name in enumerate([*reversed(others), *IMAGE_TOKENS], first - len(others)):
        if place not in found.values() and place < cfg.decoder.vocabulary:
            found.setdefault(name, place)
    return found


def check_slot(tokenizer: Tokenizer, data: Mapping[str, Any], folder: Path) -> None:
    """See that config.json and tokenizer agree on the id of a visual token.

    Args:
        tokenizer: of the checkpoint.
        data: config.json, of which the native form names the id.
        folder: for the message.

    Raises:
        WeightsError: they do not.
    """
    said, found = data.get("image_token_id"), tokenizer.id_of(IMAGE_SLOT)
    if said is not None and said != found:
        raise WeightsError(
            f"{folder}: image_token_id is {said!r} in config.json and {IMAGE_SLOT} has the id "
            f"{found} in its tokenizer; the two contradict each other. Put the tokenizer of this "
            "very model there."
        )
