"""Adapters that a checkpoint keeps beside the weights they belong to, merged as these are read.

A training run that saves its adapted model as it is writes ``a.base_layer.weight``,
``a.lora_A.default.weight`` and ``a.lora_B.default.weight`` where others have ``a.weight``.

Source: LoRA (arXiv 2106.09685).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from tilewise.errors import WeightsError
from tilewise.weights.files import TensorInfo
from tilewise.weights.keymap import Tensors
from tilewise.weights.names import listed

_BASE: Final = re.compile(r"\.base_layer\.(weight|bias)$")
_LORA: Final = re.compile(r"(.+)\.lora_([AB])\.default\.weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """A part of a model that may have adapters: the tensors whose names begin with ``start``.

    ``inner`` is what names have behind ``start`` where the part was saved adapted. ``rank`` is
    what the config says, 0 for none, and ``said`` how; ``scale`` multiplies the product.
    """

    start: str
    inner: str
    rank: int
    said: str
    scale: float


@dataclass(frozen=True, slots=True)
class _Pair:
    """Names of an adapter's two matrices, (rank, in) and (out, rank), and its scale."""

    a: str
    b: str
    scale: float


class MergedFiles:
    """The tensors of a folder as if its adapters had been merged: W + scale * B @ A.

    The sum is computed in float32 and rounded once. A folder without adapters is as it is.

    Args:
        files: the tensors as they are stored.
        adapters: the parts of the model that may have them.

    Raises:
        WeightsError: an adapter in half, of no weight, of a shape that does not fit, or of
            another rank than the config says.
    """

    def __init__(self, files: Tensors, adapters: Sequence[Adapters]) -> None:
        self._files = files
        self._stored: dict[str, str] = {}
        self.infos: dict[str, TensorInfo] = {}
        halves: dict[str, dict[str, str]] = {}
        for name, info in files.infos.items():
            plain = _plain(name, adapters)
            half = _LORA.fullmatch(plain)
            if half:
                halves.setdefault(f"{half[1]}.weight", {})[half[2]] = name
                continue
            if plain in self._stored:
                raise WeightsError(
                    f"{files.folder}: {name} and {self._stored[plain]} are the same tensor saved "
                    "with and without adapters; keep one of them."
                )
            self._stored[plain], self.infos[plain] = name, info
        self._check(halves)
        self._pairs = {
            name: _Pair(pair["A"], pair["B"], self._scale(name, pair["A"], adapters))
            for name, pair in halves.items()
        }
        self._check_ranks(adapters)

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._files.folder

    @property
    def has_adapters(self) -> bool:
        """Whether anything is merged."""
        return bool(self._pairs)

    def read(self, name: str) -> Tensor:
        """A tensor by its plain name, its adapter merged; copy it before writing to it."""
        value = self._files.read(self._stored[name])
        if name not in self._pairs:
            return value
        pair = self._pairs[name]
        added = self._files.read(pair.b).float() @ self._files.read(pair.a).float()
        return torch.add(value.float(), added, alpha=pair.scale).to(value.dtype)

    def close(self) -> None:
        """Let go of open files."""
        self._files.close()

    def _check(self, halves: dict[str, dict[str, str]]) -> None:
        """Raises WeightsError where an adapter is in half or does not fit its weight."""
        wrong: list[str] = []
        for name, pair in halves.items():
            shapes = [self._files.infos[pair[half]].shape for half in "AB" if half in pair]
            whole = self.infos[name].shape if name in self.infos else ()
            fits = len(shapes) == len(whole) == 2 and shapes == [
                (shapes[0][0], whole[1]),
                (whole[0], shapes[0][0]),
            ]
            if not fits:
                wrong += pair.values()
        if wrong:
            raise WeightsError(
                f"{self.folder}: holds adapters without their other half or their weight, or of "
                f"shapes that do not fit it: {listed(wrong)}; get the folder again."
            )

    def _scale(self, name: str, a: str, adapters: Sequence[Adapters]) -> float:
        for part in adapters:
            if name.startswith(part.start):
                return part.scale
        raise WeightsError(f"{self.folder}: {a} is an adapter where none can be; leave it out.")

    def _check_ranks(self, adapters: Sequence[Adapters]) -> None:
        """Raises WeightsError where config and adapters contradict each other."""
        for part in adapters:
            ranks = {
                self._files.infos[pair.a].shape[0]
                for name, pair in self._pairs.items()
                if name.startswith(part.start)
            }
            if ranks != ({part.rank} if part.rank else set()):
                found = " and ".join(map(str, sorted(ranks))) or "0"
                raise WeightsError(
                    f"{self.folder}: config.json says {part.said} {part.rank} and the adapters "
                    f"in {part.start}* have rank {found}; the two contradict each other. Correct "
                    "the config, or get the weights again."
                )


def _plain(name: str, adapters: Sequence[Adapters]) -> str:
    """The name that a tensor has in a model without adapters, of an adapter its own."""
    for part in adapters:
        if name.startswith(part.start + part.inner):
            name = part.start + name.removeprefix(part.start + part.inner)
    return _BASE.sub(r".\1", name)
