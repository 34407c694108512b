"""Where the weights of a network lie, and what it needs while it works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import torch

from tilewise.models.reader import Footprint
from tilewise.nn.decoder import Decoder, DecoderConfig
from tilewise.nn.vit import ViTConfig
from tilewise.tiling.config import TilingConfig
from tilewise.weights.placement import Part, place
from tilewise.weights.quantised import stored_bytes, widened_bytes
from tilewise.weights.room import available_bytes

CHUNK: Final = 2048
"""Positions that the decoder runs at a time."""

VIEW_CHUNK: Final = 8
"""Views that the encoder runs at a time."""

_KEPT: Final = 16_384  # positions; longer prompts are few, and checked when they come
_UNKNOWN: Final = 1 << 60  # bytes, where a device does not say what it has left
_LAYERS: Final = "decoder.layers."
_END: Final = ("decoder.norm.", "decoder.output.")


class Sizes(Protocol):
    """What a family's config says of memory. ``merged_width``: channels into the projector."""

    @property
    def vision(self) -> ViTConfig:
        """Of the encoder."""

    @property
    def decoder(self) -> DecoderConfig:
        """Of the language model."""

    @property
    def context(self) -> int:
        """Positions of a prompt with its answer."""

    @property
    def merged_width(self) -> int:
        """Channels of a visual token before the projector."""

    def tiling(self, max_tiles: int) -> TilingConfig:
        """How pages are cut."""


class Network(Protocol):
    """A family's network: an encoder, a projector and ``decoder``."""

    @property
    def cfg(self) -> Sizes:
        """Its sizes."""

    @property
    def decoder(self) -> Decoder:
        """Its language model."""

    def state_dict(self, *, keep_vars: bool = False) -> dict[str, Any]:
        """Its weights by name, as they are where ``keep_vars``, else views of them."""


def places(network: Network, budgets: Mapping[str, int], what: str = "the model") -> dict[str, str]:
    """Assign every weight to a device, as few devices as will hold them.

    What images and ids pass before the first layer stays together, separators too, and so
    does each layer, with room for its keys and values of a full context (of 16,384 positions at
    most), and so do the final norm and the output.

    Args:
        network: the model in the dtype that it will have; it may be on the meta device.
        budgets: bytes for weights, keys and values on each device, the first to be filled first.
        what: how a message calls the model.

    Returns:
        Devices by the names of the network's ``state_dict``.

    Raises:
        WeightsError: there is too little room on all of them together.
    """
    cfg = network.cfg
    layers = [f"{_LAYERS}{i}" for i in range(cfg.decoder.layers)]
    kept = footprint(network).token_bytes * min(cfg.context, _KEPT) // len(layers)
    sizes = {"start": 0, **dict.fromkeys(layers, kept), "end": 0}
    weights = network.state_dict()
    for name, weight in weights.items():
        sizes[_part(name)] += weight.numel() * weight.element_size()
    parts = [Part(name=name, size_bytes=size) for name, size in sizes.items()]
    placed = place(parts, budgets, what=what)
    return {name: placed[_part(name)] for name in weights}


def slow_part(placed: Mapping[str, str]) -> str | None:
    """A sentence for layers that lie on the CPU beside a GPU, None where there are none."""
    layers = {_part(name): place for name, place in placed.items() if name.startswith(_LAYERS)}
    slow = sum(place == "cpu" for place in layers.values())
    if not slow or set(placed.values()) == {"cpu"}:
        return None
    return (
        f"{slow} of {len(layers)} layers lie on the CPU, as the GPUs have no room for them: "
        "answers will be slow. Weights in a smaller dtype (--dtype bfloat16, or tilewise convert "
        "--quantise) take less."
    )


def room(network: Network, devices: Sequence[torch.device], page_views: int) -> dict[str, int]:
    """What each device has left for weights, keys and values, beside the work on one page.

    Args:
        network: the model in the dtype that it will have; it may be on the meta device.
        devices: that it may use.
        page_views: tiles and whole-page views of the largest page that it was trained on.
    """
    needs = footprint(network)
    run = max(needs.vision_bytes, needs.run_bytes * needs.run_tokens)
    work = run + page_views * needs.tile_bytes + needs.product_bytes
    left = {str(device): available_bytes([device]) for device in devices}
    return {name: _UNKNOWN if size is None else size - work for name, size in left.items()}


def footprint(network: Network, chunk: int = CHUNK, view_chunk: int = VIEW_CHUNK) -> Footprint:
    """Memory of the model at work.

    Args:
        network: the model.
        chunk: positions that the decoder runs at a time.
        view_chunk: views that the encoder runs at a time.
    """
    cfg = network.cfg
    vision, decoder = cfg.vision, cfg.decoder
    dtype = network.decoder.norm.weight.dtype
    item = dtype.itemsize
    tokens = cfg.tiling(1).tokens_per_tile
    kv_width = decoder.kv_heads * decoder.head_size
    # Views of quantised weights cannot be made while answers are, and are not needed.
    named = network.state_dict(keep_vars=True)
    weights = list(named.values())
    hidden = 2 * cfg.merged_width + len(named["projector.up.weight"]) + 2 * decoder.width
    return Footprint(
        weights_bytes=sum(map(stored_bytes, weights)),
        token_bytes=2 * decoder.layers * kv_width * item,
        tile_bytes=2 * 3 * vision.tile**2 * 4 + tokens * hidden * item,
        vision_bytes=view_chunk * (vision.patches + 1) * (6 * vision.width + 3 * vision.mlp) * item,
        run_bytes=(6 * decoder.width + 4 * kv_width + 3 * decoder.mlp) * item,
        run_tokens=chunk,
        product_bytes=widened_bytes(weights, dtype),
        devices=tuple(dict.fromkeys(weight.device for weight in weights)),
    )


def _part(name: str) -> str:
    """The part of a model that a weight is moved with."""
    if name.startswith(_LAYERS):
        return _LAYERS + name.removeprefix(_LAYERS).partition(".")[0]
    return "end" if name.startswith(_END) else "start"
