"""Families with tokenizers of bytes, and samples about pages of noise."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from tests.models.internvl import making as internvl_making
from tests.models.ixc2 import making as ixc2_making
from tilewise.models.pack import IGNORE, Example
from tilewise.records import Role, Turn
from tilewise.shards.conversation import ImageRef, Sample
from tilewise.text.templates import IXC2
from tilewise.text.tokenizer import ByteTokenizer
from tilewise.train.family import Family, family_of


def ixc2(*, is_published: bool = False) -> Family:
    """Tiles of 28 px with 4 tokens each."""
    reader = ixc2_making.small_reader()
    reader.tokenizer = ByteTokenizer(300, {IXC2.end: 290, IXC2.markers[0]: 291})
    return family_of(reader, is_published=is_published)


def internvl() -> Family:
    """Tiles of 56 px with 4 tokens each."""
    return family_of(internvl_making.small_reader())


def picture(width: int = 60, height: int = 30, seed: int = 0) -> bytes:
    """A PNG of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def image(width: int = 60, height: int = 30, seed: int = 0) -> ImageRef:
    return ImageRef(name="noise", data=picture(width, height, seed))


def sample(*texts: str, images: tuple[ImageRef, ...] = (), system: str | None = None) -> Sample:
    """A conversation, the user's turn first."""
    roles: tuple[Role, Role] = ("user", "assistant")
    turns = tuple(Turn(role=roles[n % 2], text=text) for n, text in enumerate(texts))
    return Sample(id="s", turns=turns, images=images, system=system, where="a.jsonl:1")


def missing(folder: Path) -> ImageRef:
    return ImageRef(name="gone.png", path=folder / "gone.png")


def said(family: Family, example: Example) -> str:
    """Text of what is learned."""
    return family.tokenizer.decode([i for i in example.labels if i != IGNORE])
