"""Interleaved documents made less: into a corpus of text, and into pairs of an image and a text.

Source: OmniCorpus (arXiv 2406.08418) says that its documents can be used so; what goes with an
image is not published, so the order of choices here is our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from tilewise.corpus.export.similarity import LEAST, Matrix, Similar
from tilewise.errors import ConfigError, DataError
from tilewise.records import Block, Document, WebImage

BLANK_LINE: Final = "\n\n"
"""What stands between the blocks of a text."""

Origin = Literal["similar", "caption", "alt", "after", "before"]
"""Where the text of a pair was: the most similar block, or near the image."""

_UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsConfig:
    """Which texts go with images.

    ``least_similarity``: of the block that is the most similar, where similarities are known.
    ``least_caption_words``: of a caption or an alternative text. ``least_words``: of a block beside
    the image. An ideograph counts as a word, and so does a kana.
    """

    least_similarity: float = LEAST
    least_caption_words: int = 3
    least_words: int = 5

    def __post_init__(self) -> None:
        if min(self.least_caption_words, self.least_words) < 0:
            raise ConfigError(
                f"least_caption_words is {self.least_caption_words} and least_words is "
                f"{self.least_words}; 0 and more are allowed."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An image with a text, and where that was; ``number`` is the image's in its document."""

    image: WebImage
    text: str
    origin: Origin
    number: int
    similarity: float | None = None


def text_of(document: Document) -> str:
    """All texts of a document in their order, a blank line between two; images are left out."""
    return BLANK_LINE.join(block.text for block in document.blocks if block.image is None)


def pairs_of(
    document: Document, cfg: PairsConfig | None = None, similarities: Matrix | None = None
) -> Iterator[Pair]:
    """A text for each image that no filter dropped.

    It is the most similar block if it is similar enough, else the caption or the alternative text
    if it is long enough, else the block right behind the image, else the one in front of it. An
    image beside which there are only short texts is left out.

    Args:
        document: with images.
        cfg: how much is enough.
        similarities: of all images with all blocks of text, (images, blocks of text).

    Raises:
        DataError: there are not as many similarities.
    """
    cfg = cfg or PairsConfig()
    texts = [block.text for block in document.blocks if block.image is None]
    places = [place for place, block in enumerate(document.blocks) if block.image is not None]
    if similarities is not None and similarities.shape != (len(places), len(texts)):
        raise DataError(
            f"{document.id}: the similarities are {similarities.shape}; "
            f"{(len(places), len(texts))} are needed, a row for each image."
        )
    for number, (place, image) in enumerate(zip(places, document.images, strict=True)):
        if image.dropped is not None:
            continue
        if similarities is not None and len(texts):
            similar = _most_similar(image, number, similarities, texts, cfg)
            if similar is not None:
                yield similar
                continue
        beside = _caption(image, cfg) or _beside(document.blocks, place, cfg)
        if beside is not None:
            yield Pair(image=image, text=beside[1], origin=beside[0], number=number)


def pairs_of_similar(similar: Similar, cfg: PairsConfig | None = None) -> Iterator[Pair]:
    """A text for each valid image of a document whose images have no places.

    It is the most similar sentence if it is similar enough, else the alternative text if it is long
    enough.
    """
    cfg = cfg or PairsConfig()
    for number in similar.valid:
        image, pair = similar.images[number], None
        if similar.sentences:
            pair = _most_similar(image, number, similar.matrix, similar.sentences, cfg)
        said = _caption(image, cfg)
        if pair is None and said is not None:
            pair = Pair(image=image, text=said[1], origin=said[0], number=number)
        if pair is not None:
            yield pair


def _most_similar(
    image: WebImage, number: int, matrix: Matrix, texts: Sequence[str], cfg: PairsConfig
) -> Pair | None:
    best = int(np.argmax(matrix[number]))
    similarity = float(matrix[number, best])
    if similarity < cfg.least_similarity:
        return None
    return Pair(
        image=image, text=texts[best], origin="similar", number=number, similarity=similarity
    )


def words(text: str) -> int:
    """Words between white space, but each ideograph and kana for itself."""
    return len(_UNSPACED.sub(" x ", text).split())


def _caption(image: WebImage, cfg: PairsConfig) -> tuple[Origin, str] | None:
    choices: tuple[tuple[Origin, str], ...] = (("caption", image.caption), ("alt", image.alt))
    for origin, text in choices:
        if text.strip() and words(text) >= cfg.least_caption_words:
            return origin, text
    return None


def _beside(blocks: tuple[Block, ...], place: int, cfg: PairsConfig) -> tuple[Origin, str] | None:
    """The block of text right behind, or right in front."""
    choices: tuple[tuple[Origin, int], ...] = (("after", place + 1), ("before", place - 1))
    for origin, at in choices:
        if 0 <= at < len(blocks) and blocks[at].image is None:
            text = blocks[at].text
            if text.strip() and words(text) >= cfg.least_words:
                return origin, text
    return None
