"""A conversation as the text that a model was trained on, and that text as ids between pages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from tilewise.errors import PromptError
from tilewise.records import Role, Turn
from tilewise.text.templates import IMAGE_END, IMAGE_SLOT, IMAGE_START, Template
from tilewise.text.tokenizer import Tokenizer


class SetTurn(NamedTuple):
    """A turn as it is set: the header in front of its text, and its end with the gap behind."""

    role: Role | Literal["system"]
    header: str
    text: str
    end: str


def render(turns: Sequence[Turn], template: Template, system: str | None) -> str:
    """Set a conversation, up to the header of the answer that is to come.

    Args:
        turns: the conversation; the last is the user's.
        template: markers and headers of the family.
        system: text of a system turn before all others, which may be empty; None for the
            template's own, if it has one.

    Raises:
        PromptError: no turns, the last is not the user's, or a text holds one of the markers,
            with which it could pass for turns that nobody took or pages that nobody showed.
    """
    if not turns or turns[-1].role != "user":
        raise PromptError("the conversation does not end with a question; add a user's turn.")
    return transcript(turns, template, system) + template.assistant


def transcript(turns: Sequence[Turn], template: Template, system: str | None) -> str:
    """Set a conversation as it went, with nothing to come; arguments as for ``render``.

    Raises:
        PromptError: a text holds one of the markers.
    """
    found = []
    for turn in set_turns(turns, template, system):
        is_open = template.has_open_turns and turn.role != "system" and not turn.text
        found.append(turn.header + ("" if is_open else turn.text + turn.end))
    return "".join(found)


def set_turns(turns: Sequence[Turn], template: Template, system: str | None) -> Iterator[SetTurn]:
    """The turns one by one, the system's first if there is one; arguments as for ``render``.

    Raises:
        PromptError: a text holds one of the markers.
    """
    system = template.default_system if system is None else system
    if system is not None:
        yield _set("system", template.system, system, template)
    headers = {"user": template.user, "assistant": template.assistant}
    for turn in turns:
        yield _set(turn.role, headers[turn.role], turn.text, template)


def _set(role: Role | Literal["system"], header: str, text: str, template: Template) -> SetTurn:
    for marker in (*template.markers, *template.aliases):
        if marker in text:
            is_page = marker in (IMAGE_START, IMAGE_END, IMAGE_SLOT)
            what = "where a page stands" if is_page else "where turns start and end"
            raise PromptError(f"the {role} text holds {marker}, which marks {what}; leave it out.")
    return SetTurn(role, header, text, template.separator)


def segments(
    text: str, placeholder: str, tokenizer: Tokenizer, bos: Literal["every", "first"]
) -> list[list[int]]:
    """Split a text where pages go and encode each part by itself.

    Args:
        text: what ``render`` gave.
        placeholder: stands where a page goes; it is no piece of the vocabulary.
        tokenizer: of the model.
        bos: the start id stands before ``every`` part that has text, or before the ``first``
            part alone, even if that is empty.

    Returns:
        One list of ids more than there are placeholders; some may be empty.

    Raises:
        PromptError: the text is no Unicode.

    Source: ``every`` is the published ``chat`` function of InternLM-XComposer2, ``first`` its
    training and evaluation.
    """
    return [
        tokenizer.encode(part, bos=(part != "" if bos == "every" else number == 0))
        for number, part in enumerate(text.split(placeholder))
    ]


def segments_between_ends(text: str, placeholder: str, tokenizer: Tokenizer) -> list[list[int]]:
    """Encode a text as a whole, each page as its start and its end, and split it between the two.

    How some tokenizers set blanks depends on what stands in front, so parts are not encoded by
    themselves.

    Args:
        text: what ``render`` gave with a template whose markers are ``<img>`` and ``</img>`` too.
        placeholder: stands where a page goes.
        tokenizer: of the model; it knows ``<img>`` and ``</img>``.

    Returns:
        One list of ids more than there are placeholders, without the ids of ``<img>`` and
        ``</img>``. The first begins with the start id where the tokenizer sets one.

    Raises:
        PromptError: the text is no Unicode.

    Source: InternVL, which writes all of a prompt before it encodes it.
    """
    ends = (tokenizer.id_of(IMAGE_START), tokenizer.id_of(IMAGE_END))
    ids = tokenizer.encode(text.replace(placeholder, IMAGE_START + IMAGE_END), bos=True)
    starts = [at for at in range(len(ids) - 1) if (ids[at], ids[at + 1]) == ends]
    cuts = [(0, 0), *((at, at + 2) for at in starts), (len(ids), len(ids))]
    return [ids[stop:start] for (_, stop), (start, _) in itertools.pairwise(cuts)]
