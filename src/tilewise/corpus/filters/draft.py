"""A document under edit."""

from __future__ import annotations

from collections.abc import Sequence

from tilewise.corpus.filters.edits import (
    Changes,
    Context,
    Edit,
    Paragraph,
    ParagraphRule,
    Rule,
    with_text,
)
from tilewise.corpus.filters.paragraphs import near_images, positions, read_paragraph
from tilewise.records import Block


class Draft:
    """The blocks of a document as rules change them, and where each stood at first."""

    def __init__(self, blocks: Sequence[Block], context: Context) -> None:
        self.blocks = list(blocks)
        self._context = context
        self._origins = list(range(len(blocks)))
        self._paragraphs: list[tuple[int, Paragraph]] | None = None

    def apply(self, rule: Rule, round_: int) -> list[Edit]:
        """Apply one rule and say what it changed."""
        if rule.each is not None:
            changes = self._each(rule.each)
        else:
            assert rule.whole is not None, "a rule looks at paragraphs or at the whole"
            changes = rule.whole(self.blocks, self._context)
        return self._replace(rule.id, round_, changes) if changes else []

    def _each(self, rule: ParagraphRule) -> Changes:
        """The paragraphs that a rule changes."""
        if self._paragraphs is None:  # most rules change nothing, so they are read once
            # The released test of nearness compares unlike numbers, which is as good as never.
            is_compat, distance = self._context.is_compat, self._context.cfg.near_blocks
            near = set() if is_compat else near_images(self.blocks, distance)
            self._paragraphs = [
                (place, read_paragraph(self.blocks[place].text, place in near))
                for place in positions(self.blocks)
            ]
        found: dict[int, tuple[Block, ...]] = {}
        for place, paragraph in self._paragraphs:
            if self._context.is_compat and "\n" in paragraph.text:
                now = _by_line(rule, paragraph.text, self._context)
            else:
                now = rule(paragraph, self._context)
            if now is not paragraph.text and now != paragraph.text:
                found[place] = () if now is None else with_text(self.blocks[place], now)
        return found

    def _replace(self, rule: str, round_: int, changes: Changes) -> list[Edit]:
        edits, blocks, origins = [], [], []
        for position, (block, origin) in enumerate(zip(self.blocks, self._origins, strict=True)):
            now = changes.get(position)
            if now is None or now == (block,):
                blocks.append(block)
                origins.append(origin)
                continue
            after = "\n".join(_shown(one) for one in now) if now else None
            edits.append(Edit(rule, round_, origin, _shown(block), after))
            blocks += now
            origins += [origin] * len(now)
        self.blocks, self._origins, self._paragraphs = blocks, origins, None
        return edits


def _shown(block: Block) -> str:
    return block.text if block.image is None else block.image.url


def _by_line(rule: ParagraphRule, text: str, context: Context) -> str | None:
    """Each line by itself; without its first line the whole paragraph is gone."""
    kept: list[str] = []
    for number, line in enumerate(text.split("\n")):
        now = rule(read_paragraph(line, is_near_image=False), context)
        if now is None and number == 0:
            return None
        if now is not None:
            kept.append(now)
    return "\n".join(kept)
