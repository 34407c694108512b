"""Rules that edit documents, and the trace of what each did to which block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tilewise.corpus.full_config import FullFilterConfig
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
    def is_compat(self) -> bool:
        """Whether the released code's own ways are wanted."""
        return self.cfg.compat == "omnicorpus"


class Rule(NamedTuple):
    """A rule: its name, its number in the published list, what it tests and does, in words."""

    id: str
    number: str
    says: str
    apply: Apply


class Draft:
    """A document under edit: its blocks, and where each stood at first."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = list(blocks)
        self._origins = list(range(len(blocks)))

    def apply(self, rule: Rule, context: Context, round_: int) -> list[Edit]:
        """Apply one rule and say what it changed."""
        changes = rule.apply(self.blocks, context)
        if not changes:
            return []
        edits, blocks, origins = [], [], []
        for position, (block, origin) in enumerate(zip(self.blocks, self._origins, strict=True)):
            now = changes.get(position)
            if now is None or now == (block,):
                blocks.append(block)
                origins.append(origin)
                continue
            after = "\n".join(_shown(one) for one in now) if now else None
            edits.append(Edit(rule.id, round_, origin, _shown(block), after))
            blocks += now
            origins += [origin] * len(now)
        self.blocks, self._origins = blocks, origins
        return edits


def _shown(block: Block) -> str:
    return block.text if block.image is None else block.image.url


def with_text(block: Block, text: str) -> tuple[Block, ...]:
    """The block with another text; nothing where no text is left."""
    return (replace(block, text=text.strip()),) if text.strip() else ()


def said_by(rule: Callable[..., object]) -> str:
    """The first line of a rule's docstring without its number."""
    return (rule.__doc__ or "").split("\n")[0].partition(": ")[2]
