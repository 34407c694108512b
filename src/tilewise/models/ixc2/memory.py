"""Where the weights of InternLM-XComposer2-4KHD lie, and what it needs while it works."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

import torch

from tilewise.models.ixc2.network import Ixc2
from tilewise.models.reader import Footprint

WORK_SHARE: Final = 0.2
"""Share of a GPU's free memory that weights leave for keys, values and activations."""

_LAYERS: Final = "decoder.layers."
_END: Final = ("decoder.norm.", "decoder.output.")


def spread(
    network: Ixc2, dtype: torch.dtype, rooms: Sequence[tuple[torch.device, float]]
) -> dict[str, torch.device]:
    """Assign every weight to a device: from the first on, each takes what it has room for.

    Everything that images and ids pass before the first layer, separators included, lies on the
    first device; layers are not divided; the output lies with the last layer or behind it. What
    no device has room for goes to the last.

    Args:
        network: the model; it may be on the meta device.
        dtype: that it will have.
        rooms: devices and bytes that weights may take there.

    Returns:
        Devices by the names of the network's ``state_dict``.
    """
    blocks: dict[str, int] = {}
    names: dict[str, str] = {}
    for name, weight in network.state_dict().items():
        names[name] = _block(name)
        size = weight.numel() * dtype.itemsize
        blocks[names[name]] = blocks.get(names[name], 0) + size
    layers = [f"{_LAYERS}{i}" for i in range(network.cfg.decoder.layers)]
    places: dict[str, torch.device] = {}
    left = list(rooms)
    for block in ("start", *layers, "end"):
        while len(left) > 1 and block != "start" and left[0][1] < blocks[block]:
            left.pop(0)
        device, room = left[0]
        places[block] = device
        left[0] = (device, room - blocks[block])
    return {name: places[block] for name, block in names.items()}


def room_bytes(device: torch.device) -> float:
    """Bytes that weights may take on a device; the CPU takes all that comes."""
    if device.type != "cuda":
        return inf
    free, _ = torch.cuda.mem_get_info(device)
    return free * (1 - WORK_SHARE)


def footprint(network: Ixc2, chunk: int, view_chunk: int) -> Footprint:
    """Memory of the model at work.

    Args:
        network: the model.
        chunk: positions that the decoder runs at a time.
        view_chunk: views that the encoder runs at a time.
    """
    cfg = network.cfg
    vision, decoder = cfg.vision, cfg.decoder
    item = network.newline.dtype.itemsize
    tokens = cfg.tiling(1).tokens_per_tile
    kv_width = decoder.kv_heads * decoder.head_size
    hidden = 2 * cfg.merged_width + cfg.projector_width + 2 * decoder.width
    weights = list(network.parameters())
    return Footprint(
        weights_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
        token_bytes=2 * decoder.layers * kv_width * item,
        tile_bytes=2 * 3 * vision.tile**2 * 4 + tokens * hidden * item,
        vision_bytes=view_chunk * (vision.patches + 1) * (6 * vision.width + 3 * vision.mlp) * item,
        run_bytes=(6 * decoder.width + 4 * kv_width + 3 * decoder.mlp) * item,
        run_tokens=chunk,
        devices=tuple(dict.fromkeys(weight.device for weight in weights)),
    )


def _block(name: str) -> str:
    """The part of a model that a weight is moved with."""
    if name.startswith(_LAYERS):
        return _LAYERS + name.removeprefix(_LAYERS).partition(".")[0]
    return "end" if name.startswith(_END) else "start"
