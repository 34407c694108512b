"""Rules that edit documents, and the trace of what each did to which block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import urlsplit

from tilewise.corpus.filters.config import FullFilterConfig
from tilewise.records import Block

Changes = Mapping[int, tuple[Block, ...]]
"""Position of a block → what stands there instead; the empty tuple removes it."""


Apply = Callable[[Sequence[Block], "Context"], Changes]
"""What a rule does: the blocks of a document → those that change."""


class Edit(NamedTuple):
    """What one rule did to one block.

    ``block`` is the position of the block in the document as it came, whatever other rules
    removed since; ``round`` counts passes of all rules from 1 on. ``after`` is None where the
    block was removed.
    """

    rule: str
    round: int
    block: int
    before: str
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a rule may know beside the blocks."""

    cfg: FullFilterConfig
    lang: str = "en"
    url: str = ""
    flagged: frozenset[str] = frozenset()

    @property
    def host(self) -> str:
        """The host of the document's URL, "" where it has none."""
        try:
            return urlsplit(self.url).hostname or ""
        except ValueError:  # such as http://[bad/
            return ""

    @property
    def is_compat(self) -> bool:
        """Whether the released code's own ways are wanted."""
        return self.cfg.compat == "omnicorpus"


class Paragraph(NamedTuple):
    """A paragraph as rules see it: ``words`` is how many stand between white space."""

    text: str
    folded: str
    words: int
    is_near_image: bool


ParagraphRule = Callable[[Paragraph, "Context"], str | None]
"""The text that stays of a paragraph: the same text to keep it, None to remove it."""


class Rule(NamedTuple):
    """A rule: its name, its number in the published list, what it tests and does, in words.

    It looks at a whole document, or at ``each`` paragraph.
    """

    id: str
    number: str
    says: str
    whole: Apply | None = None
    each: ParagraphRule | None = None


def whole_rule(number: str, rule: Apply, name: str) -> Rule:
    """A rule that looks at all blocks; its docstring says what it does."""
    return Rule(name, number, said_by(rule), whole=rule)


def paragraph_rule(number: str, rule: ParagraphRule, name: str) -> Rule:
    """A rule that looks at one paragraph; its docstring says what it does."""
    return Rule(name, number, said_by(rule), each=rule)


def said_by(rule: Callable[..., object]) -> str:
    """The first line of a rule's docstring without its number."""
    return (rule.__doc__ or "").split("\n")[0].partition(": ")[2].removesuffix(".")


def with_text(block: Block, text: str) -> tuple[Block, ...]:
    """The block with another text; nothing where no text is left."""
    return (replace(block, text=text.strip()),) if text.strip() else ()
