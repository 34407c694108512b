"""Every address of an image once, those of one host together: one request for each.

A shuffle by the hash of the host, so that whoever fetches a part can be polite to its hosts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tilewise.corpus.dedup.counts import key_of_text
from tilewise.corpus.dedup.steps import (
    Array,
    Made,
    Map,
    Read,
    Step,
    Told,
    bounds,
    key_after,
    open_array,
    partitions,
    read_documents,
    run_step,
    stamp,
)
from tilewise.corpus.dedup.urls import domain_of

ADDRESS: Final = np.dtype([("host", "<u8"), ("end", "<i8")])
"""An address: the hash of its host, and where it ends among all texts."""


@dataclass(frozen=True, slots=True)
class _AddressesOfShard:
    """One shard's addresses, each once, sorted by host."""

    shards: tuple[Path, ...]
    read: Read

    def __call__(self, part: int) -> Made:
        found: set[str] = set()
        for document in self.read(self.shards[part]):
            found.update(image.url for image in document.images if image.dropped is None)
        plain = {url.partition("#")[0] if "://" in url else url for url in found}
        return _made((key_of_text(domain_of(url)), _bytes(url)) for url in plain if url)


@dataclass(frozen=True, slots=True)
class _AddressesOfRange:
    """The addresses of one range of hosts from all shards, each once."""

    runs: Step
    shards: int
    parts: int

    def __call__(self, part: int) -> Made:
        low, high = bounds(part, self.parts)
        found: set[tuple[int, bytes]] = set()
        for shard in range(self.shards):
            found.update(_addresses(self.runs, shard, low, high))
        return _made(iter(found))


@dataclass(frozen=True, slots=True)
class ImageUrls:
    """All addresses of images, in parts; a host's are in one part, one after another."""

    step: Step
    parts: int
    count: int

    def of(self, part: int) -> Iterator[str]:
        """The addresses of one part; raises DataError where its file is damaged."""
        for _, url in _addresses(self.step, part, 0, 2**64):
            yield url.decode("utf-8", "surrogatepass")


def distinct_image_urls(
    shards: Sequence[Path],
    work: Path,
    run: Map = map,
    *,
    memory_bytes: int = 1 << 28,
    read: Read = read_documents,
    told: Told | None = None,
) -> ImageUrls:
    """Find the addresses of all images that no filter removed, each once.

    Args:
        shards, work, run, read, told: as ``dedup.find_duplicates``, whose promises hold here too.
        memory_bytes: what a worker may hold.

    Raises:
        DataError: a shard cannot be read, or a file in ``work`` is damaged.
    """
    runs = Step(work, "image-url-runs", key_after("urls"))
    stamps = [stamp(path) for path in shards]
    make = _AddressesOfShard(tuple(shards), read)
    markers = run_step(runs, len(shards), make, run, told, stamps)
    # A set of texts takes about five times the bytes of the texts.
    parts = partitions(2 * sum(marker["counts"]["bytes"] for marker in markers), memory_bytes)
    step = Step(work, "image-urls", key_after(parts, markers))
    done = run_step(step, parts, _AddressesOfRange(runs, len(shards), parts), run, told)
    return ImageUrls(step, parts, sum(marker["counts"]["urls"] for marker in done))


def _made(found: Iterator[tuple[int, bytes]]) -> Made:
    ordered = sorted(found)
    places = np.empty(len(ordered), ADDRESS)
    places["host"] = np.array([host for host, _ in ordered], np.uint64)
    places["end"] = np.cumsum([len(url) for _, url in ordered], dtype=np.int64)
    text = np.frombuffer(b"".join(url for _, url in ordered), np.uint8)
    return Made({"places": places, "text": text}, {"urls": len(ordered), "bytes": len(text)})


def _addresses(step: Step, part: int, low: int, high: int) -> Iterator[tuple[int, bytes]]:
    places, text = open_array(step.path("places", part)), open_array(step.path("text", part))
    first, last = _rows(places, low), len(places) if high >= 2**64 else _rows(places, high)
    start = int(places["end"][first - 1]) if first else 0
    for host, end in places[first:last].tolist():
        yield host, text[start:end].tobytes()
        start = end


def _rows(places: Array, host: int) -> int:
    return int(np.searchsorted(places["host"], np.uint64(host)))


def _bytes(url: str) -> bytes:
    return url.encode("utf-8", "surrogatepass")
