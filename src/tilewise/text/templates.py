"""How each family of models was trained to see a conversation, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

IMAGE_START: Final = "<img>"
"""Token in front of a page."""

IMAGE_END: Final = "</img>"
"""Token behind a page."""

IMAGE_SLOT: Final = "<IMG_CONTEXT>"
"""Token in whose place each visual token of a page stands."""

GROUNDING_TAGS: Final = ("<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>")
"""Tokens around names and places in texts; they are part of what is said."""

IMAGE_TOKENS: Final = (IMAGE_START, IMAGE_END, IMAGE_SLOT, *GROUNDING_TAGS)
"""Tokens that InternVL adds to the vocabulary of its language model, in this order, as its last.

Source: the released checkpoints; ids are always found by name all the same.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How turns are set: header, text, ``end``, ``gap``.

    ``system``, ``user`` and ``assistant`` are the headers in front of a turn's text, with their
    line break. ``end`` is the marker behind it, whose id ends an answer, and ``gap`` is what
    stands between it and the next header. ``default_system`` is the text of the system turn
    where none is given, None for no such turn. ``markers`` are tokens that a text must not hold,
    or it could pass for turns that nobody took or for pages that nobody showed; ``aliases`` are
    other texts for their ids in some vocabularies, and as little allowed.
    ``is_stripped``: in training, texts lose the blanks around them. ``has_open_turns``: in a
    prompt, a turn without text is its header alone.
    """

    system: str
    user: str
    assistant: str
    end: str
    gap: str = ""
    default_system: str | None = None
    markers: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    is_stripped: bool = False
    has_open_turns: bool = False

    @property
    def separator(self) -> str:
        """What stands behind the text of a turn: its end and the gap to the next."""
        return self.end + self.gap


_IXC2_START: Final = "[UNUSED_TOKEN_146]"
_IXC2_END: Final = "[UNUSED_TOKEN_145]"

IXC2: Final = Template(
    system=f"{_IXC2_START}system\n",
    user=f"{_IXC2_START}user\n",
    assistant=f"{_IXC2_START}assistant\n",
    end=_IXC2_END,
    gap="\n",
    markers=(_IXC2_START, _IXC2_END),
)
"""InternLM2 as InternLM-XComposer2 uses it. Source: the published ``chat`` function."""

_NAME: Final = "InternLM-XComposer (浦语·灵笔)"

IXC2_SYSTEM: Final = (
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

_INTERNVL_1_5: Final = (
    "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, "
    "是一个有用无害的人工智能助手。"
)
_INTERNVL_2_5: Final = (
    "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的"
    "多模态大语言模型。"
)


def _chatml(default_system: str, *, gap: str = "", is_stripped: bool = False) -> Template:
    """Turns between ``<|im_start|>`` and ``<|im_end|>``."""
    start, end = "<|im_start|>", "<|im_end|>"
    return Template(
        system=f"{start}system\n",
        user=f"{start}user\n",
        assistant=f"{start}assistant\n",
        end=end,
        gap=gap,
        default_system=default_system,
        markers=(start, end, IMAGE_START, IMAGE_END, IMAGE_SLOT),
        aliases=(_IXC2_START, _IXC2_END),  # pieces of InternLM2 whose ids the markers took over
        is_stripped=is_stripped,
        has_open_turns=True,
    )


TEMPLATES: Final[dict[str, Template]] = {
    "Hermes-2": _chatml(_INTERNVL_1_5),
    "internlm2-chat": _chatml(_INTERNVL_1_5, is_stripped=True),
    "phi3-chat": Template(
        system="<|system|>\n",
        user="<|user|>\n",
        assistant="<|assistant|>\n",
        end="<|end|>",
        default_system=_INTERNVL_1_5,
        markers=(
            "<|system|>",
            "<|user|>",
            "<|assistant|>",
            "<|end|>",
            IMAGE_START,
            IMAGE_END,
            IMAGE_SLOT,
        ),
        has_open_turns=True,
    ),
    "internvl2_5": _chatml(_INTERNVL_2_5, gap="\n"),
    "internlm-xcomposer2": IXC2,
}
"""Templates by the name that a checkpoint's ``config.json`` gives.

Source: the released InternVL checkpoints and their training code.
"""
