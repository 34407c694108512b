"""Keys and values of all positions so far, in buffers that grow by doubling and never move back."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import torch
from torch import Tensor


class KVCache:
    """Key and value buffers of one model, (batch, heads, room, head size) for each layer.

    Writing past the room doubles it, so that a long prompt costs one copy and decoding none.

    Keys are kept as they were rotated. ``regimes`` says for each row by which rotary table, see
    ``nn.rope``; a row can only be continued by the same one.

    Args:
        layers, batch, heads, head_size: sizes of the model and of what it runs.
        room: positions that fit before the buffers grow.
        dtype: of keys and values.
        devices: where each layer's buffers lie; the CPU if not given.
    """

    def __init__(
        self,
        layers: int,
        batch: int,
        heads: int,
        head_size: int,
        room: int = 256,
        *,
        dtype: torch.dtype = torch.float32,
        devices: Sequence[torch.device] | None = None,
    ) -> None:
        # Zeros, since padding is read, and its weight of zero would not undo a NaN.
        places = devices or [torch.device("cpu")] * layers
        size = (batch, heads, room, head_size)
        self._keys = [torch.zeros(size, dtype=dtype, device=place) for place in places]
        self._values = [torch.zeros_like(keys) for keys in self._keys]
        self._is_part = False
        self._regimes = [0] * batch
        self._rows = slice(None)
        self.length = 0

    @property
    def regimes(self) -> list[int]:
        """By which rotary table each row's keys were rotated; 0 where nothing was written yet."""
        return self._regimes[self._rows]

    @regimes.setter
    def regimes(self, regimes: Sequence[int]) -> None:
        """Note by which tables all keys of the rows were rotated."""
        self._regimes[self._rows] = regimes

    @property
    def room(self) -> int:
        """Positions that fit before the buffers grow."""
        return int(self._keys[0].shape[2])

    @property
    def batch(self) -> int:
        """Rows."""
        return int(self._keys[0].shape[0])

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append (batch, heads, new, head size) to a layer; returns all its keys and values.

        ``length`` moves on with ``advance`` when every layer has written.
        """
        stop = self.length + keys.shape[2]
        if stop > self._keys[layer].shape[2]:
            self._grow(layer, stop)
        self._keys[layer][:, :, self.length : stop] = keys
        self._values[layer][:, :, self.length : stop] = values
        return self._keys[layer][:, :, :stop], self._values[layer][:, :, :stop]

    def advance(self, count: int) -> None:
        """Keep the ``count`` positions that every layer has just written."""
        self.length += count

    def truncate(self, length: int) -> None:
        """Forget all positions from ``length`` on."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cache holds {self.length} positions; cannot be cut to {length}")
        self.length = length

    def row(self, index: int, start: int) -> KVCache:
        """The room of one row from position ``start`` on, as an empty cache of its own.

        It lies in the same memory: what it is given stands in this cache too. It cannot grow
        with this cache, so the room must be enough.
        """
        assert not self._is_part, "a part has one row alone"
        part = copy(self)
        part._keys = [keys[index : index + 1, :, start:] for keys in self._keys]
        part._values = [values[index : index + 1, :, start:] for values in self._values]
        part._rows = slice(index, index + 1)
        part._is_part, part.length = True, 0
        return part

    def select(self, rows: Tensor, same: int = 0) -> KVCache:
        """A cache of the given rows, (new batch,), repeats allowed; this one is used up.

        ``same`` is a number of positions at the start in which every row equals the one that
        takes its place. They are not copied where the number of rows stays.
        """
        alike = set(self._regimes)  # asking a GPU for the rows would make it wait
        taken = [0] * len(rows) if len(alike) == 1 else rows.tolist()
        self._regimes = [self._regimes[row] for row in taken]
        for buffers in (self._keys, self._values):
            for layer, old in enumerate(buffers):
                chosen = rows.to(old.device)
                if len(rows) == len(old):
                    moved = old[:, :, same : self.length]
                    moved.copy_(moved[chosen])
                else:
                    buffers[layer] = old.index_select(0, chosen)
        return self

    def _grow(self, layer: int, least: int) -> None:
        assert not self._is_part, "the room of a part was not enough"
        for buffers in (self._keys, self._values):
            old = buffers[layer]
            room = old.shape[2]
            while room < least:
                room *= 2
            buffers[layer] = old.new_zeros(*old.shape[:2], room, old.shape[3])
            buffers[layer][:, :, : self.length] = old[:, :, : self.length]
