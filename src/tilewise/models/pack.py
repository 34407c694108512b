"""What a model learns from: examples, and packs of them that run as one sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from torch import Tensor

from tilewise.models.units import Image, Unit, positions
from tilewise.nn.decoder import Decoder

IGNORE: Final = -100
"""Label of a position from which nothing is learnt."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """A conversation about pages with what is to be learnt of it.

    ``labels`` has one entry for each position as the units unroll: its own id where it is learnt,
    not shifted, and ``IGNORE`` elsewhere, at all positions of pages too. ``id`` names it to a user.
    """

    units: tuple[Unit, ...]
    labels: tuple[int, ...]
    id: str = ""

    def __post_init__(self) -> None:
        assert len(self.labels) == positions(self.units), "labels stand at all positions"

    def __len__(self) -> int:
        """Positions."""
        return len(self.labels)

    @property
    def images(self) -> tuple[Image, ...]:
        """The pages, in order."""
        return tuple(unit for unit in self.units if isinstance(unit, Image))

    @property
    def tiles(self) -> int:
        """Tiles and whole-page views that the encoder runs."""
        return sum(image.views for image in self.images)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pack:
    """Examples that run as one sequence.

    Attention is causal inside each example and nothing looks over its border; positions start
    anew with each. Tiles of all pages pass the encoder together, whatever their grids.
    """

    examples: tuple[Example, ...]

    def __len__(self) -> int:
        """Positions."""
        return sum(map(len, self.examples))

    @property
    def images(self) -> tuple[Image, ...]:
        """The pages of all examples, in order."""
        return tuple(image for example in self.examples for image in example.images)

    @property
    def tiles(self) -> int:
        """Tiles and whole-page views that the encoder runs."""
        return sum(example.tiles for example in self.examples)

    @property
    def ids(self) -> tuple[str, ...]:
        """How the examples are named to a user."""
        return tuple(example.id for example in self.examples)

    @property
    def borders(self) -> tuple[int, ...]:
        """Where the examples start and the last ends: 0 to the length of the pack."""
        found = [0]
        for example in self.examples:
            found.append(found[-1] + len(example))
        return tuple(found)


class Trainable(Protocol):
    """A network that learns from packs."""

    decoder: Decoder

    def hidden(self, pack: Pack, *, is_checkpointed: bool = False) -> Tensor:
        """Hidden states before the final norm, (positions, width), with their gradients.

        With ``is_checkpointed`` activations inside layers are computed again when gradients need
        them, which takes up to a third more time and a fraction of the memory.
        """
