"""In how many documents each picture was seen, by p-hash and by d-hash.

Source: OmniCorpus (arXiv 2406.08418), section on image filtering: an image whose p-hash or d-hash
was seen in more than 10 documents goes everywhere. ``rules.drop_frequent`` does so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tilewise.corpus.dedup.counts import Counts, count_keys, key_of_text
from tilewise.corpus.dedup.steps import Map, Read, Told, read_documents
from tilewise.records import Document


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """The counts, on disk; it may be sent to workers."""

    counts: Counts

    def __call__(self, kind: Literal["p", "d"], said: str) -> int:
        """In how many documents a p-hash or a d-hash was seen.

        Args:
            kind: which of the two.
            said: the hash in hex.

        Raises:
            DataError: a file of counts is damaged.
        """
        return int(self.counts([key_of_text(kind, said)])[0])


def image_frequency(
    shards: Sequence[Path],
    work: Path,
    run: Map = map,
    *,
    memory_bytes: int = 1 << 28,
    read: Read = read_documents,
    told: Told | None = None,
) -> ImageCounts:
    """Count in how many documents each p-hash and each d-hash was seen.

    Only images that no filter removed and whose hashes are known count.

    Args:
        shards, work, run, read, told: as ``dedup.find_duplicates``, whose promises hold here too.
        memory_bytes: what a worker may hold.

    Raises:
        DataError: a shard cannot be read, or a file in ``work`` is damaged.
        ConfigError: ``work`` cannot be written to.
    """
    counts = count_keys(
        "image-hashes",
        shards,
        work,
        _hashes,
        run,
        settings="p and d of images not dropped",
        memory_bytes=memory_bytes,
        read=read,
        told=told,
    )
    return ImageCounts(counts)


def _hashes(document: Document) -> Iterable[int]:
    for image in document.images:
        if image.dropped is not None:
            continue
        if image.p_hash is not None:
            yield key_of_text("p", image.p_hash)
        if image.d_hash is not None:
            yield key_of_text("d", image.d_hash)
