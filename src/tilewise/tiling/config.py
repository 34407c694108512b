"""How a page is cut and how its tokens are laid out."""

from __future__ import annotations

from dataclasses import dataclass

from tilewise.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TilingConfig:
    """How a page is cut. ``tile`` and ``patch`` are sides in pixels, ``merge`` in patches.

    ``upscale`` enlarges a small page until the grid is full, as the published models do;
    without it a page never gets more pixels than it has. ``has_global`` puts a view of the
    whole page and a separator before the tiles, ``has_newline`` a separator after each row.

    Source: InternLM-XComposer2-4KHD (arXiv 2404.06512), sections 3.1 and 3.2.
    """

    tile: int = 336
    max_tiles: int = 25
    patch: int = 14
    merge: int = 2
    upscale: bool = True
    has_global: bool = True
    has_newline: bool = True

    def __post_init__(self) -> None:
        for name in ("tile", "max_tiles", "patch", "merge"):
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

    @property
    def tokens_per_side(self) -> int:
        """Visual tokens along one side of a tile."""
        return self.tile // (self.patch * self.merge)

    @property
    def tokens_per_tile(self) -> int:
        """Visual tokens of one tile, or of the global view."""
        return self.tokens_per_side**2
