"""A conversation as the text that a model was trained on, and that text as ids between pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tilewise.errors import PromptError
from tilewise.records import Turn
from tilewise.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How turns are set: ``start`` role newline text ``end`` newline.

    ``start`` and ``end`` are markers of the vocabulary, the roles are plain words.
    """

    start: str
    end: str
    system: str = "system"
    user: str = "user"
    assistant: str = "assistant"


IXC2: Final = Template(start="[UNUSED_TOKEN_146]", end="[UNUSED_TOKEN_145]")
"""InternLM2 as InternLM-XComposer2 uses it. Source: the published ``chat`` function."""

_NAME: Final = "InternLM-XComposer (浦语·灵笔)"

SYSTEM: Final = (
    f"You are an AI assistant whose name is {_NAME}.\n"
    f"- {_NAME} is a multi-modality conversational language model that is developed by "
    "Shanghai AI Laboratory (上海人工智能实验室). It is designed to be helpful, honest, and "
    "harmless.\n"
    f"- {_NAME} can understand and communicate fluently in the language chosen by the user such "
    "as English and 中文.\n"
    f"- {_NAME} is capable of comprehending and articulating responses effectively based on the "
    "provided image."
)
"""The default system text of InternLM-XComposer2, exactly as published."""


def render(turns: Sequence[Turn], template: Template, system: str | None) -> str:
    """Set a conversation, up to the header of the answer that is to come.

    Args:
        turns: the conversation; the last is the user's.
        template: markers and roles of the family.
        system: text of a system turn before all others, None for none.

    Raises:
        PromptError: no turns, the last is not the user's, or a text holds one of the markers,
            with which it could pass for turns that nobody took.
    """
    if not turns or turns[-1].role != "user":
        raise PromptError("the conversation does not end with a question; add a user's turn.")
    spoken = [] if system is None else [(template.system, system)]
    roles = {"user": template.user, "assistant": template.assistant}
    spoken += [(roles[turn.role], turn.text) for turn in turns]
    for role, text in spoken:
        for marker in (template.start, template.end):
            if marker in text:
                raise PromptError(
                    f"the {role} text holds {marker}, which marks where turns start and end; "
                    "leave it out."
                )
    set_turns = (f"{template.start}{role}\n{text}{template.end}\n" for role, text in spoken)
    return "".join(set_turns) + f"{template.start}{template.assistant}\n"


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

    Source: ``every`` is the published ``chat`` function, ``first`` training and evaluation.
    """
    return [
        tokenizer.encode(part, bos=(part != "" if bos == "every" else number == 0))
        for number, part in enumerate(text.split(placeholder))
    ]
