"""Documents of made-up words, and shard files of them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from tilewise.corpus.stage_files import RowWriter
from tilewise.records import Block, Document, WebImage
from tilewise.shards.documents import to_row


def words(seed: int, count: int, vocabulary: int = 3000) -> list[str]:
    """Made-up words, the same for a seed."""
    return [f"w{number:x}" for number in np.random.default_rng(seed).integers(0, vocabulary, count)]


def page(
    text: str,
    *,
    url: str = "",
    captured: str = "2023-10-01T00:00:00Z",
    images: Sequence[WebImage] = (),
) -> Document:
    """A document with one block for each line of a text; its address is its text's by default."""
    url = url or f"http://{sha256(text.encode()).hexdigest()[:12]}.example/{captured}"
    blocks = [Block(kind="text", text=line) for line in text.split("\n")]
    blocks += [Block(kind="image", image=image) for image in images]
    return Document(
        id=sha256((url + captured).encode()).hexdigest()[:32],
        url=url,
        captured=captured,
        blocks=tuple(blocks),
    )


def write_shards(folder: Path, documents: Sequence[Document], count: int) -> list[Path]:
    """Documents dealt out to so many shard files."""
    paths = []
    for number in range(count):
        with RowWriter(folder / f"part-{number:05}.jsonl.gz") as writer:
            for document in documents[number::count]:
                writer.write(to_row(document))
            writer.commit()
        paths.append(writer.path)
    return paths
