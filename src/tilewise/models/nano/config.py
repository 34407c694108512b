"""Settings of tilewise-nano."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from tilewise.errors import ConfigError

TILE = 336
TOKEN = 28
"""Side of a visual token in px; a tile has 12 × 12 of them."""
COLUMN = 4
HALF_ROW = 14
SLOT_ROWS = TILE // HALF_ROW
SLOT_COLUMNS = TILE // COLUMN
"""A tile has 24 × 84 slots, 14 in each token: 2 half-rows of 7 columns."""
TOKEN_SLOTS = 14


def _check_sizes(part: str, sizes: dict[str, Any]) -> None:
    """Raise ConfigError for a size that is no whole number from 1 up."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(
                f"{part}.{name} is {value!r}; it must be a whole number of at least 1. Correct it."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Sizes of the convolutional encoder, in channels."""

    stem: int = 24
    early: int = 48
    width: int = 192
    blocks: int = 6
    grow: int = 2

    def __post_init__(self) -> None:
        _check_sizes("encoder", asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofConfig:
    """Sizes of the proofreader; ``stretch`` characters see each other and both neighbours."""

    width: int = 128
    heads: int = 4
    layers: int = 2
    stretch: int = 128

    def __post_init__(self) -> None:
        _check_sizes("proof", asdict(self))
        if self.width % self.heads:
            raise ConfigError(
                f"proof width is {self.width} and heads {self.heads}; "
                "the width must be a multiple of the heads. Change one of them."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    """Sizes of the decoder; ``width`` = ``heads`` × head size."""

    width: int = 192
    layers: int = 3
    heads: int = 3
    mlp: int = 384
    mixers: int = 2
    question_width: int = 128
    question_layers: int = 2
    relation: int = 48
    rope_theta: float = 10_000.0
    context: int = 12_288

    def __post_init__(self) -> None:
        sizes = asdict(self)
        del sizes["rope_theta"]
        _check_sizes("decoder", sizes)
        if self.width % self.heads:
            raise ConfigError(
                f"decoder width is {self.width} and heads {self.heads}; "
                "the width must be a multiple of the heads. Change one of them."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoConfig:
    """The whole reader, as its config.json says it."""

    model_type: str = "tilewise-nano"
    version: int = 1
    default_tiles: int = 25
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    proof: ProofConfig = field(default_factory=ProofConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)

    def to_json(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> NanoConfig:
        """Read config.json's values. Raises ConfigError on fields that are not known."""
        try:
            known = {k: v for k, v in data.items() if k not in {"encoder", "proof", "decoder"}}
            return cls(
                encoder=EncoderConfig(**data.get("encoder", {})),
                proof=ProofConfig(**data.get("proof", {})),
                decoder=DecoderConfig(**data.get("decoder", {})),
                **known,
            )
        except TypeError as err:
            raise ConfigError(
                f"config.json of tilewise-nano has a field that is not known: {err}"
            ) from err
