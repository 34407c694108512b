"""Documents of made-up words, and shard files of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
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


def changed(text: list[str], places: Iterable[int], mark: str) -> str:
    """A text with other words at some places."""
    return " ".join(mark + str(n) if n in set(places) else w for n, w in enumerate(text))


def a_corpus(seed: int) -> list[Document]:
    """Documents with copies of all kinds."""
    draw = random.Random(seed)
    texts = [words(seed * 100 + n, draw.randint(3, 90), 200) for n in range(12)]
    documents = []
    for _ in range(40):
        text = draw.choice(texts)
        places = draw.sample(range(len(text)), draw.choice([0, 0, 1, 2]))
        url = f"http://a.example/{draw.randint(0, 60)}"
        captured = f"20{draw.randint(10, 12)}-01-01"
        documents.append(page(changed(text, places, "x"), url=url, captured=captured))
    return list({one.id: one for one in documents}.values())
