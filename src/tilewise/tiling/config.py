"""How a page is cut and how its tokens are laid out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from tilewise.errors import ConfigError

Rule = Literal["hd", "nearest"]
GlobalPlace = Literal["first", "last"]

MAX_NEAREST: Final = 4096
"""Most tiles of rule "nearest", which looks at every grid: about 35,000 of them at this many."""

_CHOICES: Final = {"rule": get_args(Rule), "global_place": get_args(GlobalPlace)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TilingConfig:
    """How a page is cut. ``tile`` and ``patch`` are sides in pixels, ``merge`` in patches.

    ``rule`` chooses the grid: "hd" keeps the aspect ratio and pads, "nearest" takes the grid of
    the nearest ratio, of ``min_tiles`` to ``max_tiles`` tiles, and stretches the page over it.
    ``upscale`` (only "hd" asks it) enlarges a small page until the grid is full, as the published
    models do; without it a page never gets more pixels than it has.

    ``has_global`` adds a view of the whole page. ``global_place`` "first" puts it and a separator
    before the tiles, whose tokens are then read row by row over the page, with ``has_newline`` a
    separator after each row. "last" reads tile after tile and then the whole page, without
    separators, and leaves that view out where there is one tile only. ``has_ends`` puts a token
    before and after the sequence.

    Source: InternLM-XComposer2-4KHD (arXiv 2404.06512), sections 3.1 and 3.2; InternVL 1.5
    (arXiv 2404.16821), section on dynamic resolution.
    """

    tile: int = 336
    min_tiles: int = 1
    max_tiles: int = 25
    patch: int = 14
    merge: int = 2
    upscale: bool = True
    has_global: bool = True
    has_newline: bool = True
    rule: Rule = "hd"
    global_place: GlobalPlace = "first"
    has_ends: bool = False

    def __post_init__(self) -> None:
        for name in ("tile", "min_tiles", "max_tiles", "patch", "merge"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(
                    f"{name} is {value!r}; a whole number from 1 up is allowed. Set {name} to one."
                )
        if self.tile % (self.patch * self.merge):
            raise ConfigError(
                f"tile is {self.tile} px and a token covers {self.patch * self.merge} px "
                "(patch * merge); tile must be a multiple of that. Change one of the three."
            )
        if self.min_tiles > self.max_tiles:
            raise ConfigError(
                f"min_tiles is {self.min_tiles} and max_tiles is {self.max_tiles}; min_tiles may "
                "not be above max_tiles. Raise max_tiles or lower min_tiles."
            )
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; {' or '.join(map(repr, allowed))} is "
                    "allowed. Set one of them."
                )
        if self.rule == "nearest" and self.max_tiles > MAX_NEAREST:
            raise ConfigError(
                f"max_tiles is {self.max_tiles}; at most {MAX_NEAREST} are allowed by the rule of "
                "this model. Lower max_tiles."
            )
        if self.has_newline and self.global_place == "last":
            raise ConfigError(
                "has_newline is True and global_place is 'last', where tiles are read one after "
                "the other and no row of the page ends; set has_newline to False."
            )

    @property
    def tokens_per_side(self) -> int:
        """Visual tokens along one side of a tile."""
        return self.tile // (self.patch * self.merge)

    @property
    def tokens_per_tile(self) -> int:
        """Visual tokens of one tile, or of the global view."""
        return self.tokens_per_side**2

    def has_whole(self, tiles: int) -> bool:
        """Whether a page of so many tiles also has a view of the whole page."""
        return self.has_global and (self.global_place == "first" or tiles > 1)
