"""Which examples run together as one sequence, by their tiles and tokens.

The published code can also fill every pack up to the same number of tiles and tokens, with blank
images and padding that the loss leaves out ("strict mode"). Here packs of any size run as they
are, so nothing is filled up and there is no such mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tilewise.errors import ConfigError

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingConfig:
    """Most tiles and tokens of a pack, and how many packs are open at a time.

    ``tiles`` counts whole-page views too. The defaults are those of the domain adaptations.

    Source: InternVL's training code and Mini-InternVL (arXiv 2410.16261).
    """

    tiles: int = 48
    tokens: int = 16_384
    buffers: int = 20

    def __post_init__(self) -> None:
        for name in ("tiles", "tokens", "buffers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"packing.{name} is {getattr(self, name)}; give 1 or more.")


@dataclass(slots=True)
class Buffer(Generic[Item]):
    """A pack that is being filled."""

    tiles: int = 0
    tokens: int = 0
    items: list[Item] = field(default_factory=list)


class Packer(Generic[Item]):
    """Merges each item into the first open pack that has room for it.

    Packs are looked at from the one with the most tiles on. One that is full goes out at once; of
    more than ``buffers`` open ones the fullest goes.
    """

    def __init__(self, cfg: PackingConfig) -> None:
        self.cfg = cfg
        self._open: list[Buffer[Item]] = []

    @property
    def open(self) -> tuple[tuple[Item, ...], ...]:
        """Items of the open packs: all that a packer has to remember."""
        return tuple(tuple(buffer.items) for buffer in self._open)

    def fits(self, tiles: int, tokens: int) -> bool:
        """Whether an item of this size fits into a pack at all."""
        return tiles <= self.cfg.tiles and tokens <= self.cfg.tokens

    def add(self, item: Item, tiles: int, tokens: int) -> tuple[Item, ...] | None:
        """Put an item into a pack.

        Args:
            item: what is packed.
            tiles, tokens: of it; both must fit.

        Returns:
            The items of a pack that goes out, in the order in which they came; None if none does.
        """
        assert self.fits(tiles, tokens), f"{tiles} tiles and {tokens} tokens"
        buffer = next((b for b in self._open if self._has_room(b, tiles, tokens)), None)
        if buffer is None:
            buffer = Buffer()
            self._open.append(buffer)
        buffer.items.append(item)
        buffer.tiles += tiles
        buffer.tokens += tokens
        self._open.sort(key=lambda b: -b.tiles)  # equal ones stay in order
        if buffer.tiles == self.cfg.tiles or buffer.tokens == self.cfg.tokens:
            return self._out(buffer)
        if len(self._open) > self.cfg.buffers:
            return self._out(max(self._open, key=self._fullness))
        return None

    def flush(self) -> list[tuple[Item, ...]]:
        """All open packs, the fullest first; nothing stays open."""
        packs = sorted(self._open, key=self._fullness, reverse=True)
        self._open = []
        return [tuple(pack.items) for pack in packs]

    def restore(self, packs: Sequence[Sequence[tuple[Item, int, int]]]) -> None:
        """Open packs again: for each what ``open`` gave, every item with its tiles and tokens."""
        self._open = [
            Buffer(
                tiles=sum(tiles for _, tiles, _ in pack),
                tokens=sum(tokens for _, _, tokens in pack),
                items=[item for item, _, _ in pack],
            )
            for pack in packs
        ]

    def _has_room(self, buffer: Buffer[Item], tiles: int, tokens: int) -> bool:
        return self.fits(buffer.tiles + tiles, buffer.tokens + tokens)

    def _out(self, buffer: Buffer[Item]) -> tuple[Item, ...]:
        self._open = [other for other in self._open if other is not buffer]
        return tuple(buffer.items)

    def _fullness(self, buffer: Buffer[Item]) -> tuple[int, int]:
        """In the order in which packs are looked at: the most tiles, then the most tokens."""
        return buffer.tiles, buffer.tokens
