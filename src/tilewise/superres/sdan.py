"""SDAN: super-resolution that learns from pairs which do not lie on each other.

The target tells the network, by a small copy of itself, where each of its windows looks in the
input. It reaches the output by these shifts alone, so what is learned is the input's own detail.
Without a reference nothing is moved, and the network is a chain of plain convolutions.

Source: SDAN; sizes and starts from its training code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.errors import ConfigError
from tilewise.superres.attention import ChannelAttention, PackingAttention, pad_to_multiple
from tilewise.superres.config import Attention, SdanConfig
from tilewise.superres.deform import DeformConv2d

LEAK = 0.02
"""Of the leaky rectifier that the first offsets are scaled for."""


class Enlarged(NamedTuple):
    """What the network makes of an image (b, c, h, w); all but the image need a reference.

    ``image`` is (b, 3, scale * h, scale * w). ``probe`` (b, 3, h, w) is the reference as the moved
    features tell it. ``mask`` (b, 1, h, w) is 1 where a window's centre stayed inside. ``offset``
    (b, 2 or 18, h, w) is in pixels of the input, down and then right.
    """

    image: Tensor
    probe: Tensor | None = None
    mask: Tensor | None = None
    offset: Tensor | None = None


class Sdan(nn.Module):
    """An image, or a mosaic, and a reference of its size → the image enlarged, and the shifts.

    Without a reference nothing is moved: neither offsets nor probe are computed.

    Shape: x (b, channels, h, w), reference (b, 3, h, w), both from 0 to 1.

    Raises:
        ConfigError: the reference does not fit the input, or the network takes none.
    """

    def __init__(self, cfg: SdanConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.head = _conv(cfg.channels, cfg.width)
        self.align = Align(cfg) if cfg.alignment != "none" else None
        self.body = Body(cfg.width, cfg.blocks)
        doublings = cfg.scale.bit_length() - 1
        self.up = nn.ModuleList(_conv(cfg.width, 4 * cfg.width) for _ in range(doublings))
        self.out = _conv(cfg.width, 3)

    def forward(self, x: Tensor, reference: Tensor | None = None) -> Enlarged:
        self._check(x, reference)
        x = x.contiguous(memory_format=torch.channels_last)
        features = torch.relu(self.head(x))
        if self.align is None or reference is None:
            still = features if self.align is None else self.align.unmoved(features)
            return Enlarged(self._image(x, still, None))
        moves = self.align.find(features, reference)
        moved = self.align.move(features, moves)
        image = self._image(x, moved, moves.window)
        return Enlarged(image, self.align.probe(moved), inside(moves.window), moves.offset)

    def unmoved(self, x: Tensor) -> Tensor:
        """The probe's picture of an input where nothing is moved, (b, 3, h, w).

        Raises:
            ConfigError: nothing is aligned, so that there is no probe.
        """
        self._check(x, None)
        if self.align is None:
            raise ConfigError("this network aligns nothing and has no probe; leave unmoved at 0.")
        x = x.contiguous(memory_format=torch.channels_last)
        return self.align.probe(self.align.unmoved(torch.relu(self.head(x))))

    def _image(self, x: Tensor, features: Tensor, window: Tensor | None) -> Tensor:
        y = self.body(features)
        for conv in self.up:
            y = torch.relu(F.pixel_shuffle(conv(y), 2))
        y = self.out(y)
        return y + enlarged_and_moved(x, self.cfg.scale, window) if self.cfg.has_skip else y

    def _check(self, x: Tensor, reference: Tensor | None) -> None:
        if x.ndim != 4 or x.shape[1] != self.cfg.channels or 0 in x.shape:
            raise ConfigError(
                f"the input is {tuple(x.shape)}; this network takes {self.cfg.input} images "
                f"(batch, {self.cfg.channels}, height, width) of at least one pixel."
            )
        wanted = (x.shape[0], 3, *x.shape[2:])
        if reference is not None and (self.align is None or reference.shape != wanted):
            takes = "none, as nothing is aligned" if self.align is None else f"one of {wanted}"
            raise ConfigError(
                f"the reference is {tuple(reference.shape)}; this network takes {takes}."
            )


class Moves(NamedTuple):
    """Where windows look: ``offset`` (b, 2 or 18, h, w) in pixels, weights of points or None."""

    offset: Tensor
    weights: Tensor | None

    @property
    def window(self) -> Tensor:
        """The shift of each window, that of its points in the mean, (b, 2, h, w)."""
        if self.offset.shape[1] == 2:
            return self.offset
        return self.offset.unflatten(1, (-1, 2)).mean(1)


class Align(nn.Module):
    """Features of the input, read where the reference says that they are."""

    def __init__(self, cfg: SdanConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.reference = _conv(12, cfg.width)
        self.offsets = OffsetPredictor(cfg)
        self.deform = DeformConv2d(cfg.width)
        self.probe = _conv(cfg.width, 3)

    def find(self, features: Tensor, reference: Tensor) -> Moves:
        """Compare features (b, width, h, w) with a reference (b, 3, h, w)."""
        flips = [reference, reference.flip(2), reference.flip(3), reference.flip(2, 3)]
        seen = torch.relu(self.reference(torch.cat(flips, 1)))
        found = self.offsets(torch.cat([features, seen], 1))
        if self.cfg.alignment != "modulated":
            return Moves(_bounded(found, self.cfg.max_offset), None)
        offset, logits = found.split([18, 9], 1)
        return Moves(_bounded(offset, self.cfg.max_offset), torch.sigmoid(logits))

    def move(self, features: Tensor, moves: Moves) -> Tensor:
        """The features where they belong in the reference's frame, same shape."""
        return torch.relu(self.deform(features, moves.offset, moves.weights))

    def unmoved(self, features: Tensor) -> Tensor:
        """The same where nothing moves; weights of points are then at the middle of their range."""
        if self.cfg.alignment != "modulated":
            return torch.relu(self.deform(features))
        return torch.relu(F.conv2d(features, self.deform.weight / 2, self.deform.bias, padding=1))


class OffsetPredictor(nn.Module):
    """Two images' features → where windows look: (b, 2 * width, h, w) -> (b, offsets, h, w)."""

    def __init__(self, cfg: SdanConfig) -> None:
        super().__init__()
        self.side = cfg.block if cfg.attention == "packing" else 1
        self.convs = nn.ModuleList([_conv(2 * cfg.width, cfg.width), _conv(cfg.width, cfg.width)])
        self.attentions = nn.ModuleList(_attention(cfg) for _ in self.convs)
        self.out = _conv(cfg.width, cfg.offset_channels)
        for conv in (*self.convs, self.out):
            conv = cast("nn.Conv2d", conv)
            nn.init.kaiming_normal_(conv.weight, a=LEAK)
            nn.init.zeros_(cast("Tensor", conv.bias))
        if cfg.is_unmoved_at_start:
            nn.init.zeros_(self.out.weight)

    def forward(self, both: Tensor) -> Tensor:
        rows, cols = both.shape[-2:]
        x = pad_to_multiple(both, self.side)
        for conv, attention in zip(self.convs, self.attentions, strict=True):
            x = torch.relu(attention(conv(x)))
        # Half precision would round large shifts to whole pixels.
        with torch.autocast(x.device.type, enabled=False):
            return self.out(x.to(self.out.weight.dtype))[..., :rows, :cols]


class Body(nn.Module):
    """Residual blocks and a convolution, around which the input is added. Shape is kept."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.out = _conv(width, width, has_bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for block in cast("Iterable[Block]", self.blocks):
            y = block(y)
        return x + self.out(y)


class Block(nn.Module):
    """Two convolutions, around which the input is added. Shape is kept."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width, has_bias=False)
        self.second = _conv(width, width, has_bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(torch.relu(self.first(x)))


@torch.no_grad()
def inside(window: Tensor) -> Tensor:
    """1.0 where a window's centre stays inside the image: (b, 2, h, w) -> (b, 1, h, w)."""
    rows, cols = window.shape[-2:]
    y = torch.arange(rows, device=window.device)[:, None] + window[:, 0]
    x = torch.arange(cols, device=window.device) + window[:, 1]
    return ((y >= 0) & (y < rows) & (x >= 0) & (x < cols)).to(window.dtype)[:, None]


def enlarged_and_moved(x: Tensor, scale: int, window: Tensor | None) -> Tensor:
    """An image enlarged by bicubic interpolation, read at shifts that count its own pixels.

    Shape: x (b, c, h, w), window (b, 2, h, w) or None for none -> (b, c, scale * h, scale * w)
    """
    if scale != 1:
        x = F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)
    if window is None:
        return x
    rows, cols = x.shape[-2:]
    if scale != 1:
        window = F.interpolate(window, scale_factor=scale, mode="bilinear", align_corners=False)
    y = torch.arange(rows, device=x.device)[:, None] + scale * window[:, 0]
    xx = torch.arange(cols, device=x.device) + scale * window[:, 1]
    # Pixel centres from -1 to 1 between the image's edges.
    grid = torch.stack([(2 * xx + 1) / cols - 1, (2 * y + 1) / rows - 1], -1)
    found = F.grid_sample(x.to(grid.dtype), grid, padding_mode="border", align_corners=False)
    return found.to(x.dtype)


def reference_of(target: Tensor, rows: int, cols: int) -> Tensor:
    """The target at the input's size, as the network is shown it, (b, 3, rows, cols).

    Bicubic, pixel centres at halves; what the smaller size cannot hold is filtered out first.
    """
    size = (rows, cols)
    return F.interpolate(target, size, mode="bicubic", align_corners=False, antialias=True)


def _bounded(offset: Tensor, limit: float | None) -> Tensor:
    return offset if limit is None else limit * torch.tanh(offset / limit)


def _attention(cfg: SdanConfig) -> nn.Module:
    kinds: dict[Attention, Callable[[], nn.Module]] = {
        "packing": lambda: PackingAttention(cfg.block, cfg.positions),
        "channel": lambda: ChannelAttention(cfg.width),
        "none": nn.Identity,
    }
    return kinds[cfg.attention]()


def _conv(channels: int, width: int, *, has_bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 3, padding=1, bias=has_bias)
