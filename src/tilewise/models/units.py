"""What a prompt is made of: ids and pages, in the order in which a decoder runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tilewise.errors import PromptError
from tilewise.nn.partial_lora import Segment
from tilewise.records import Plan, Tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A page in a prompt; equal to another if it is of the very same tiles."""

    tiles: Tiles
    plan: Plan = field(compare=False)

    @property
    def views(self) -> int:
        """Tiles and whole-page views that its visual tokens come from."""
        return int((self.plan.entries >= 0).sum()) // self.plan.tokens_per_tile


Unit = int | Image
"""The id of one position, or a page, which takes as many as its plan is long."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompt:
    """Ids and pages in the order in which they are run."""

    units: tuple[Unit, ...]

    def __len__(self) -> int:
        """Positions."""
        return positions(self.units)

    @property
    def images(self) -> tuple[Image, ...]:
        """The pages, in order."""
        return tuple(unit for unit in self.units if isinstance(unit, Image))


def positions(units: Sequence[Unit]) -> int:
    """How many positions units take."""
    return sum(len(unit.plan) if isinstance(unit, Image) else 1 for unit in units)


def image_segments(units: Sequence[Unit]) -> tuple[Segment, ...]:
    """Where the pages lie in a run of units, as segments of row 0."""
    found, at = [], 0
    for unit in units:
        if isinstance(unit, Image):
            found.append(Segment(0, at, at + len(unit.plan)))
            at += len(unit.plan)
        else:
            at += 1
    return tuple(found)


def common(first: Sequence[Unit], second: Sequence[Unit]) -> int:
    """How many units two runs share at their start."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


def assemble(
    parts: Sequence[Sequence[int]], pages: Sequence[Tiles], plans: Sequence[Plan], context: int
) -> Prompt:
    """Put pages between runs of ids.

    Args:
        parts: ids before, between and after the pages; some may be empty.
        pages: the pages, cut.
        plans: of each page.
        context: positions that the model can hold.

    Raises:
        PromptError: a page without its place or a place without its page, nothing at all, or
            too much for the context.
    """
    if len(parts) != len(pages) + 1:
        raise PromptError(
            f"the text has {len(parts) - 1} image placeholders and {len(pages)} pages are given; "
            "each page needs one."
        )
    units: list[Unit] = list(parts[0])
    for tiles, image_plan, ids in zip(pages, plans, parts[1:], strict=True):
        units += [Image(tiles=tiles, plan=image_plan), *ids]
    prompt = Prompt(units=tuple(units))
    if not units:
        raise PromptError("the prompt is empty; ask something about a page.")
    if len(prompt) > context:
        visual = sum(map(len, plans))
        raise PromptError(
            f"the prompt takes {len(prompt)} tokens, {visual} of them for pages, and the context "
            f"holds {context}. Lower --max-tiles, choose fewer --pages or --frames, use "
            "--per-page, or start a new conversation."
        )
    return prompt
