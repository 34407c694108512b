"""Keys and values of all positions so far, in buffers that grow by doubling and never move back."""

from __future__ import annotations

import torch
from torch import Tensor


class KVCache:
    """Static key and value buffers of one model: (layers, batch, heads, room, head size).

    Writing past the room doubles it, so that a long prompt costs one copy and decoding none.
    """

    def __init__(
        self, layers: int, batch: int, heads: int, head_size: int, room: int = 256
    ) -> None:
        self._keys = torch.zeros(layers, batch, heads, room, head_size)
        self._values = torch.zeros_like(self._keys)
        self.length = 0

    @property
    def room(self) -> int:
        """Positions that fit before the buffers grow."""
        return int(self._keys.shape[3])

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append (batch, heads, new, head size) to a layer; returns all its keys and values.

        ``length`` moves on with ``advance`` when every layer has written.
        """
        stop = self.length + keys.shape[2]
        if stop > self.room:
            self._grow(stop)
        self._keys[layer, :, :, self.length : stop] = keys
        self._values[layer, :, :, self.length : stop] = values
        return self._keys[layer, :, :, :stop], self._values[layer, :, :, :stop]

    def advance(self, count: int) -> None:
        """Keep the ``count`` positions that every layer has just written."""
        self.length += count

    def truncate(self, length: int) -> None:
        """Forget all positions from ``length`` on."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cache holds {self.length} positions; cannot be cut to {length}")
        self.length = length

    def _grow(self, least: int) -> None:
        room = self.room
        while room < least:
            room *= 2
        for name in ("_keys", "_values"):
            old: Tensor = getattr(self, name)
            new = old.new_zeros(*old.shape[:3], room, old.shape[4])
            new[:, :, :, : self.length] = old[:, :, :, : self.length]
            setattr(self, name, new)
