"""What an SDAN network is like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tilewise.errors import ConfigError

Alignment = Literal["squared", "per_point", "modulated", "none"]
"""What moves features onto the reference: windows as a whole (SDAN), each point of a window (DCN),
each point with a weight of its own (DCNv2), or nothing."""

Attention = Literal["packing", "channel", "none"]
"""What stands between the convolutions that find the offsets."""

OFFSET_CHANNELS: Final[dict[Alignment, int]] = {
    "squared": 2,
    "per_point": 18,
    "modulated": 27,
    "none": 0,
}
"""Channels that the last of them gives, for windows of 3x3 points."""

SCALES: Final = (1, 2, 4, 8)

CHANNELS: Final = {"rgb": 3, "raw": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class SdanConfig:
    """Sizes and kinds of parts of an SDAN network; the sizes are the published ones by default.

    ``input`` is RGB or the mosaic of a RAW image with one value a pixel; ``scale`` counts from its
    pixels. ``width`` is in channels, ``blocks`` counts residual blocks. ``block`` is the side in
    pixels of what the packing attention folds into channels, ``positions`` is how many such blocks
    a training crop has: attention on images of other sizes is then as sharp as it was in training;
    None leaves it as published, sharper on larger images. ``max_offset`` in pixels bounds
    the offsets smoothly; None does not. ``is_unmoved_at_start`` starts all offsets at zero.
    ``has_skip`` adds the enlarged input, moved likewise, to the output.
    """

    input: Literal["rgb", "raw"] = "rgb"
    scale: int = 4
    width: int = 64
    blocks: int = 16
    alignment: Alignment = "squared"
    attention: Attention = "packing"
    block: int = 8
    positions: int | None = None
    max_offset: float | None = 16.0
    is_unmoved_at_start: bool = False
    has_skip: bool = False

    def __post_init__(self) -> None:
        _one_of("input", self.input, CHANNELS)
        _one_of("scale", self.scale, SCALES)
        _one_of("alignment", self.alignment, OFFSET_CHANNELS)
        _one_of("attention", self.attention, ("packing", "channel", "none"))
        if min(self.width, self.block) < 1 or self.blocks < 0:
            raise ConfigError(
                f"width is {self.width} channels, blocks {self.blocks}, block {self.block} px; "
                "width and block of 1 or more and blocks of 0 or more are allowed."
            )
        if self.positions is not None and self.positions < 1:
            raise ConfigError(f"positions is {self.positions}; 1 or more, or None, is allowed.")
        if self.max_offset is not None and not self.max_offset > 0:
            raise ConfigError(
                f"max_offset is {self.max_offset} px; more than 0 or None is allowed."
            )
        if self.has_skip and self.input == "raw":
            raise ConfigError(
                "has_skip adds the input to the output and the input is a RAW mosaic, which has no "
                "colours; leave has_skip off, or take RGB input."
            )

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return CHANNELS[self.input]

    @property
    def offset_channels(self) -> int:
        """Channels that tell where the windows go, with weights of points where there are."""
        return OFFSET_CHANNELS[self.alignment]

    @property
    def reach(self) -> int:
        """How far, in input pixels, an output pixel sees without a reference.

        Tiles that overlap by so much on all sides give the same pixels as the whole image.
        """
        align = 1 if self.alignment != "none" else 0
        enlarge = 1 if self.scale == 1 else 2  # 1 + 1/2 + 1/4 + ... stays under 2
        return 1 + align + 2 * self.blocks + 1 + enlarge


def published(scale: int = 4) -> SdanConfig:
    """The network as its authors trained it on SR-RAW: a mosaic in, offsets without a bound."""
    return SdanConfig(input="raw", scale=scale, max_offset=None)


def _one_of(name: str, value: object, allowed: object) -> None:
    values = list(allowed)  # type: ignore[call-overload]
    if value not in values:
        raise ConfigError(f"{name} is {value!r}; {', '.join(map(repr, values))} are allowed.")
