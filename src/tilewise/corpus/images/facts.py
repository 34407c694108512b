"""What is known of images from their bytes, found out in a process of its own.

A decoder that crashes, takes too much memory or comes to no end on one image costs that image.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from tilewise.errors import ConfigError, MissingExtraError
from tilewise.records import Pixels
from tilewise.sources.decoder import Decoder, Document, Limits, LostError, room

DECODED: Final = ("PNG", "JPEG", "WebP", "GIF")
"""Kinds that are decoded; which of them may stay is a setting of the filter."""

OTHER_IMAGES: Final = frozenset(
    {
        "TIFF", "BMP", "AVIF", "HEIC", "SVG", "an icon", "a JPEG 2000 image", "a JPEG XL image",
        "a Photoshop image", "DjVu", "a PostScript document",
    }
)  # fmt: skip
"""Kinds that are images, and not decoded here."""

_PROGRAM: Final = Path(__file__).with_name("program.py")
_START_S: Final = 60.0
_BATCH: Final = 32
_BATCH_BYTES: Final = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an image's bytes say.

    ``kind`` as ``sources.content`` names it; ``width`` and ``height`` in pixels, upright;
    ``p_hash`` and ``d_hash`` 64 bits in hex. ``reason`` names what is wrong with it, "" for an
    image that decodes, and ``detail`` says more. ``aesthetic`` and ``unsafe`` where scored.
    """

    kind: str
    width: int | None = None
    height: int | None = None
    p_hash: str | None = None
    d_hash: str | None = None
    is_animated: bool = False
    reason: str = ""
    detail: str = ""
    aesthetic: float | None = None
    unsafe: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeLimits:
    """What one image may take.

    ``max_pixels`` and ``max_side`` by its header, before it is decoded; ``cpu_s`` processor time
    and ``wall_s`` time that goes by; ``memory_bytes`` of the whole process that decodes.
    """

    max_pixels: int = 100_000_000
    max_side: int = 20_000
    cpu_s: float = 20.0
    wall_s: float = 120.0
    memory_bytes: int = 1600 << 20

    def __post_init__(self) -> None:
        for name in ("max_pixels", "max_side", "cpu_s", "wall_s", "memory_bytes"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be over 0.")


class ImageMeter:
    """Measures images in a process of its own, which starts with the first one.

    One for each worker process; ``close`` ends it, as does the end of Python.
    """

    def __init__(self, limits: DecodeLimits | None = None) -> None:
        """Raise MissingExtraError where a package is not installed; nothing starts yet."""
        self.limits = limits or DecodeLimits()
        if importlib.util.find_spec("imagehash") is None:
            raise MissingExtraError(
                "hashes of images need imagehash; install it with: pip install 'tilewise[corpus]'."
            )
        memory_bytes = self.limits.memory_bytes
        self._starting = Limits(cpu_s=_START_S, memory_bytes=memory_bytes)
        self._allowed = Limits(
            cpu_s=self.limits.cpu_s, wall_s=self.limits.wall_s, memory_bytes=memory_bytes
        )
        self._decoder = Decoder("images", "its decoder", self._starting, _PROGRAM)

    def measure(self, images: Sequence[bytes]) -> list[Facts]:
        """Facts of images in memory, in their order."""
        with room() as file:
            places, at = [], 0
            for data in images:
                file.write(data)
                places.append((at, len(data)))
                at += len(data)
            file.flush()
            return self.measure_file(file, places)

    def measure_file(self, file: BinaryIO, places: Sequence[tuple[int, int]]) -> list[Facts]:
        """Facts of images that lie in one file, in the order of ``places``.

        Args:
            file: with a descriptor.
            places: offset and length of each image in bytes.
        """
        return [facts for facts, _ in self.draw_file(file, places, 0)]

    def draw_file(
        self, file: BinaryIO, places: Sequence[tuple[int, int]], side: int
    ) -> Iterator[tuple[Facts, Pixels | None]]:
        """Facts of images, and their pixels with at most ``side`` a side; 0 for no pixels.

        Yields:
            Facts, and uint8 RGB (height, width, 3) on white or None, in the order of ``places``.
        """
        document = Document(file)
        try:
            for batch in _batches(places):
                yield from self._asked(document, batch, side)
        finally:
            self._decoder.forget(document)

    def close(self) -> None:
        """End the process."""
        self._decoder.end()

    def _start(self, document: Document) -> None:
        """See that the process runs and has the document; not on the time of any image."""
        self._decoder.limits = self._starting
        for is_last in (False, True):
            try:
                self._decoder.ask(document, "ready")
                break
            except LostError as err:  # it may have ended since it was asked last
                if is_last:
                    raise ConfigError(
                        f"the process that decodes images {str(err).removeprefix('makes ')} at its "
                        f"start; memory_bytes is {self.limits.memory_bytes}, give more."
                    ) from err
        self._decoder.limits = self._allowed

    def _asked(
        self, document: Document, places: list[tuple[int, int]], side: int
    ) -> list[tuple[Facts, Pixels | None]]:
        """One request; where it is lost, one for each image."""
        limits = {"max_pixels": self.limits.max_pixels, "max_side": self.limits.max_side}
        self._start(document)
        try:
            if not side:
                found = self._decoder.ask(document, "measure", places=places, limits=limits)
                return [(_facts(fact), None) for fact in found]
            with room() as canvas:
                limits |= {"drawn_side": side}
                found = self._decoder.ask(
                    document, "measure_and_draw", canvas.fileno(), places=places, limits=limits
                )
                return [(_facts(fact), _pixels(canvas, fact)) for fact in found]
        except LostError as err:
            if len(places) == 1:
                lost = Facts(kind="unknown", reason="image_decode", detail=f"it {err}")
                return [(lost, None)]
            return [pair for place in places for pair in self._asked(document, [place], side)]


def _batches(places: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Places in requests of bounded size."""
    batch: list[tuple[int, int]] = []
    for place in places:
        is_full = len(batch) == _BATCH or sum(size for _, size in batch) + place[1] > _BATCH_BYTES
        if batch and is_full:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


_NAMES: Final = frozenset(one.name for one in fields(Facts))


def _facts(fact: dict[str, Any]) -> Facts:
    return Facts(**{name: value for name, value in fact.items() if name in _NAMES})


def _pixels(canvas: BinaryIO, fact: dict[str, Any]) -> Pixels | None:
    if "drawn_at" not in fact:
        return None
    height, width, _ = fact["drawn_shape"]
    canvas.seek(fact["drawn_at"])
    data = canvas.read(3 * height * width)
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)
