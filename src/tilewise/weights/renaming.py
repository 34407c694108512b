"""Tensors of a folder under other names: what each will be, and how to get it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from tilewise.weights.keymap import (
    Group,
    KeyRule,
    Tensors,
    groups_of,
    groups_to_publish,
)

Layout = Literal["official", "native"]
"""Names and config as a model's authors publish them, or as the transformers library has them."""


@dataclass(frozen=True, slots=True)
class Item:
    """A tensor to be written: its name, shape, dtype, and how to get it."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]

    @property
    def size_bytes(self) -> int:
        """Bytes of its values."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    """A folder's tensors from one table of names to another.

    ``files`` fit ``before``, and what they make by it is published by ``after``. ``texts`` are
    files that are written instead of copied, by name.
    """

    files: Tensors
    before: Sequence[KeyRule]
    after: Sequence[KeyRule]
    texts: Mapping[str, str] = field(default_factory=dict)


def as_they_are(files: Tensors) -> list[Item]:
    """Items by the names that the tensors have."""
    return [
        Item(name, info.shape, info.dtype, partial(files.read, name))
        for name, info in files.infos.items()
    ]


def renamed(renaming: Renaming) -> list[Item]:
    """Items by their new names. At most what one group of names is made of is in memory at once."""
    files = renaming.files
    groups, _ = groups_of(files.infos, renaming.before)
    source = _Ours(files, groups)
    shapes = source.shapes()
    items = []
    for group in groups_to_publish(shapes, renaming.after):
        parts = group.rule.store(*(shapes[name] for name in group.ours))
        made = _Published(group, source)
        items += [
            Item(name, tuple(part.shape), part.dtype, partial(made.read, index))
            for index, (name, part) in enumerate(zip(group.theirs, parts, strict=True))
        ]
    return items


class _Ours:
    """Tensors of ours, made of those in the files; the group that was asked last is kept."""

    def __init__(self, files: Tensors, groups: Iterable[Group]) -> None:
        self._files = files
        self._groups = {name: group for group in groups for name in group.ours}
        self._kept: dict[str, Tensor] = {}

    def shapes(self) -> dict[str, Tensor]:
        """All of them without their values."""
        found: dict[str, Tensor] = {}
        for group in dict.fromkeys(self._groups.values()):
            infos = [self._files.infos[name] for name in group.theirs]
            empty = [torch.empty(i.shape, dtype=i.dtype, device="meta") for i in infos]
            found |= zip(group.ours, group.rule.loaded(empty), strict=True)
        return found

    def read(self, name: str) -> Tensor:
        """One by its name."""
        if name not in self._kept:
            group = self._groups[name]
            self._kept = {}  # first the old ones go, then the new ones come
            values = group.rule.loaded(map(self._files.read, group.theirs))
            self._kept = dict(zip(group.ours, values, strict=True))
        return self._kept[name]


class _Published:
    """The published tensors of one group."""

    def __init__(self, group: Group, source: _Ours) -> None:
        self._group, self._source = group, source

    def read(self, index: int) -> Tensor:
        """One of them by its place."""
        ours = [self._source.read(name) for name in self._group.ours]
        return self._group.rule.store(*ours)[index]
