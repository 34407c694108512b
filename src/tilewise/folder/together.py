"""Several pages asked in one go: their tiles share the encoder's runs, their answers each step."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
from torch import Tensor

from tilewise.engine.batch import answer_batch
from tilewise.engine.generate import Limits
from tilewise.engine.sampling import SamplingConfig
from tilewise.engine.session import Conversation
from tilewise.records import Answer, Plan, Tiles, Turn

Entry = TypeVar("Entry")


class _HasTalk(Protocol):
    """What may hold pages to ask."""

    @property
    def talk(self) -> Conversation | None:
        """The pages, None where there are none."""


Part = TypeVar("Part", bound=_HasTalk)


def grouped(
    parts: Iterable[tuple[Entry, Part | None]], size: int
) -> Iterator[list[tuple[Entry, Part | None]]]:
    """Groups of ``size`` parts with pages to ask, in order, with what stands between them.

    What has no pages waits for nothing if no group is begun.
    """
    group: list[tuple[Entry, Part | None]] = []
    count = 0
    for entry, part in parts:
        group.append((entry, part))
        count += part is not None and part.talk is not None
        if count in (0, size):
            yield group
            group, count = [], 0
    if group:
        yield group


def answer_together(
    talks: Sequence[Conversation],
    question: str,
    limits: Limits | None,
    sampling: SamplingConfig,
) -> list[Answer]:
    """Ask the same about several pages, with the texts that asking each alone gives.

    Raises:
        TilewiseError: one of them cannot be asked; which one shows when each is asked alone.
    """
    reader, turn = talks[0].reader, Turn(role="user", text=question)
    prompts = [reader.prompt((turn,), talk.tiles) for talk in talks]
    return list(answer_batch(reader, prompts, limits, size=len(prompts), sampling=sampling))


class Recent:
    """Keeps what the vision side gave for the last few pages, in memory, for further questions.

    Meets ``models.reader.VisionStore``.
    """

    def __init__(self, pages: int) -> None:
        self._most = pages
        self._kept: OrderedDict[str, dict[str, Tensor]] = OrderedDict()

    def key(self, tiles: Tiles, plan: Plan) -> str:
        """Name of a page."""
        digest = hashlib.sha256(repr(tiles.fit).encode())
        digest.update(plan.entries.tobytes())
        digest.update(np.ascontiguousarray(tiles.canvas).data)
        if tiles.whole is not None:
            digest.update(np.ascontiguousarray(tiles.whole).data)
        return digest.hexdigest()

    def get(self, key: str) -> dict[str, Tensor] | None:
        """What was put under a key, if it is one of the last."""
        return self._kept.get(key)

    def put(self, key: str, parts: Mapping[str, Tensor]) -> None:
        """Keep tensors; the oldest go."""
        self._kept[key] = dict(parts)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
