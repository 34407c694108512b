"""What a question will cost in seconds and memory, from a short run of the reader itself.

Two small pages of noise, one tile and about four, are prefilled on this machine; between them a
straight line over the number of tokens is drawn, encoder and decoder together. Attention grows
faster than the line, so very long prompts take longer than said: an estimate, not a promise.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import numpy as np
from torch import Tensor

from tilewise.engine.generate import prefill
from tilewise.models.reader import Reader
from tilewise.records import Page, Turn

_QUESTION: Final = (Turn(role="user", text="What is the title?"),)
_PROBE_SIDE: Final = 1024  # pixels; enough for more than one tile of any reader
_CANVAS_BYTES: Final = 9  # a pixel of the canvas: the page, the canvas, its tiles, uint8 RGB each


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A line over tokens: ``base`` plus ``token`` for each one of the prompt.

    ``base_bytes`` is the peak of the process during the short run, where the system tells it,
    else the reader's weights; ``token_bytes`` is what the cache keeps.
    """

    base_s: float
    token_s: float
    base_bytes: int
    token_bytes: float

    def seconds(self, tokens: int) -> float:
        """Seconds until the first character, once the pages are decoded."""
        return max(0.0, self.base_s + self.token_s * tokens)

    def memory_bytes(self, tokens: int, canvas_pixels: int) -> int:
        """Memory of the whole process for prompts of so many tokens and pages of so many pixels."""
        return self.base_bytes + round(self.token_bytes * tokens) + _CANVAS_BYTES * canvas_pixels


def measure(reader: Reader, clock: Callable[[], float] = perf_counter) -> Cost:
    """Run two small pages and draw the line.

    Args:
        reader: the model.
        clock: seconds.

    Raises:
        WeightsError: the reader does not work.
    """
    _probe(reader, 1, clock)  # the first run also pays for what is set up once
    few, few_s, few_bytes = _probe(reader, 1, clock)
    many, many_s, many_bytes = _probe(reader, 4, clock)
    more = max(1, many - few)
    token_s = max(0.0, many_s - few_s) / more
    return Cost(
        base_s=few_s - token_s * few,
        token_s=token_s,
        base_bytes=_peak_bytes() or sum(_tensor_bytes(reader)),
        token_bytes=max(0, many_bytes - few_bytes) / more,
    )


def _probe(reader: Reader, tiles: int, clock: Callable[[], float]) -> tuple[int, float, int]:
    """Prefill one page of noise: tokens, seconds, bytes of the cache."""
    noise = np.random.default_rng(0).integers(0, 256, (_PROBE_SIDE, _PROBE_SIDE, 3), np.uint8)
    began = clock()
    cut = reader.tiles(Page(pixels=noise, name="noise"), tiles)
    _, cache = prefill(reader, [reader.prompt(_QUESTION, [cut])])
    return cache.length, clock() - began, sum(_tensor_bytes(cache))


def _tensor_bytes(value: Any, seen: set[int] | None = None) -> Iterator[int]:
    """Bytes of each tensor that a value holds, however deep, each storage once."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        storage = value.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            yield storage.nbytes()
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensor_bytes(item, seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _tensor_bytes(item, seen)
    elif type(value).__module__.partition(".")[0] not in ("builtins", "numpy", "torch") or hasattr(
        value, "_parameters"
    ):
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        for item in [getattr(value, name, None) for name in slots] + [
            getattr(value, "__dict__", None)
        ]:
            yield from _tensor_bytes(item, seen)


def _peak_bytes() -> int:
    """Largest resident size that this process had so far, 0 where unknown."""
    if sys.platform == "win32":
        return 0
    import resource  # noqa: PLC0415 - not there on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
