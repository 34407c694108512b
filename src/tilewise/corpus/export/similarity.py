"""Documents with similarities of images and sentences: MMC4's form, and where images are put.

Images of such a document have no place of their own; they go in front of the sentences that they
fit best, no two before the same one while there are sentences enough.

Source: MMC4 (arXiv 2304.06939), section 3; the least similarity is that of OpenFlamingo's training
(arXiv 2308.01390). The assignment is SciPy's, which the extra ``corpus`` has for its image hashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tilewise.errors import DataError, MissingExtraError
from tilewise.records import Block, Document, WebImage
from tilewise.shards.conversation import Bad, BadError
from tilewise.shards.documents import Row, image_name, line_of
from tilewise.shards.new_file import new_file
from tilewise.shards.records import parsed

LEAST: Final = 0.24
"""Similarity below which an image is left out."""

Matrix = NDArray[np.float64]
"""Similarities, (images, sentences)."""

_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Similar:
    """A document as MMC4 has it.

    ``valid`` are the images that may be used, by their numbers; ``matrix`` has a row for each of
    ``images`` and a column for each of ``sentences``. ``place`` says where the page was read,
    ``id`` is "" where the document has none of its own.
    """

    url: str
    sentences: tuple[str, ...]
    images: tuple[WebImage, ...]
    matrix: Matrix
    valid: tuple[int, ...]
    place: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.images), len(self.sentences))
        if self.matrix.shape != shape:
            raise DataError(
                f"{self.url}: the similarities are {self.matrix.shape}; {shape} are needed, a row "
                "for each image."
            )
        if not np.isfinite(self.matrix).all():
            raise DataError(f"{self.url}: a similarity is no finite number; measure it again.")


def placed(
    matrix: Matrix, valid: Sequence[int] | None = None, least: float = LEAST
) -> tuple[int | None, ...]:
    """The sentence in front of which each image goes.

    Images and sentences are matched so that the sum of similarities is greatest; of more images
    than sentences, those that are left over go to their best sentence.

    Args:
        matrix: (images, sentences).
        valid: numbers of the images that may be used, None for all.
        least: an image whose similarity with its sentence is below has none.

    Returns:
        For each image a sentence, or None.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    found: list[int | None] = [None] * matrix.shape[0]
    rows = np.arange(matrix.shape[0]) if valid is None else np.array(sorted(valid), np.int64)
    if not len(rows) or not matrix.shape[1]:
        return tuple(found)
    best = matrix[rows].argmax(axis=1)
    chosen, sentences = _assigned(matrix[rows])
    best[chosen] = sentences
    for row, sentence in zip(rows.tolist(), best.tolist(), strict=True):
        if matrix[row, sentence] >= least:
            found[row] = sentence
    return tuple(found)


def _assigned(matrix: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    try:
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - an extra
    except ImportError as err:
        raise MissingExtraError(
            "images are matched with sentences by the package scipy; install it with: "
            "pip install 'tilewise[corpus]'."
        ) from err
    rows, columns = linear_sum_assignment(-matrix)
    return rows, columns


def sentences_of(document: Document, *, is_split: bool = True) -> tuple[str, ...]:
    """The texts of a document that are compared with its images.

    Args:
        document: with its texts in order.
        is_split: into sentences, as in MMC4; else each block is one.
    """
    texts = [block.text.strip() for block in document.blocks if block.image is None]
    if not is_split:
        return tuple(text for text in texts if text)
    pieces = (piece.strip() for text in texts for piece in _SENTENCE_END.split(text))
    return tuple(piece for piece in pieces if piece)


def similar_of(document: Document, matrix: Matrix, *, is_split: bool = True) -> Similar:
    """A document with similarities.

    Args:
        document: its images are valid unless a filter dropped them.
        matrix: similarities of all its images with ``sentences_of`` it.
        is_split: as it was for ``sentences_of``.

    Raises:
        DataError: there are not as many similarities.
    """
    images = document.images
    return Similar(
        url=document.url,
        sentences=sentences_of(document, is_split=is_split),
        images=images,
        matrix=np.asarray(matrix, np.float64),
        valid=tuple(n for n, image in enumerate(images) if image.dropped is None),
        place=f"{document.archive}:{document.offset}" if document.archive else "",
        id=document.id,
    )


def document_of(similar: Similar, least: float = LEAST) -> Document:
    """An interleaved document with each image in front of its sentence; the others are left out.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    before: dict[int, list[WebImage]] = {}
    found = placed(similar.matrix, similar.valid, least)
    for image, place in zip(similar.images, found, strict=True):
        if place is not None:
            before.setdefault(place, []).append(image)
    blocks: list[Block] = []
    for number, sentence in enumerate(similar.sentences):
        blocks += [Block(kind="image", image=image) for image in before.get(number, [])]
        blocks.append(Block(kind="text", text=sentence))
    archive, _, offset = similar.place.rpartition(":")
    is_told = bool(archive) and offset.isdecimal()
    return Document(
        id=similar.id or sha256(similar.url.encode("utf-8", "surrogatepass")).hexdigest()[:32],
        url=similar.url,
        blocks=tuple(blocks),
        archive=archive if is_told else similar.place,
        offset=int(offset) if is_told else 0,
    )


def to_mmc4(similar: Similar) -> Row:
    """A document as a record of MMC4, matches included."""
    found = placed(similar.matrix, similar.valid, -np.inf)
    return {
        "url": similar.url,
        "doc_id": similar.id,
        "doc_loc": similar.place,
        "text_list": list(similar.sentences),
        "image_info": [
            {
                "image_name": image_name(image.url),
                "raw_url": image.url,
                "matched_text_index": sentence,
                "matched_sim": None if sentence is None else float(similar.matrix[n, sentence]),
                "width": image.width,
                "height": image.height,
                "alt": image.alt,
            }
            for n, (image, sentence) in enumerate(zip(similar.images, found, strict=True))
        ],
        "similarity_matrix": similar.matrix.tolist(),
        "valid_image_ids": list(similar.valid),
    }


def from_mmc4(record: object) -> Similar:
    """The document of a record of MMC4; without ``valid_image_ids`` all its images are valid.

    Raises:
        BadError: it is of another form.
    """
    if not isinstance(record, Mapping):
        raise BadError("unreadable record", f"it is a {type(record).__name__}, no object")
    try:
        images = tuple(_image(item) for item in record["image_info"])
        sentences = tuple(_said(text) for text in record["text_list"])
        matrix = np.array(record["similarity_matrix"], np.float64)
        return Similar(
            url=_said(record.get("url", "")),
            sentences=sentences,
            images=images,
            matrix=matrix.reshape(0, len(sentences)) if not images else matrix,
            valid=_valid(record, images),
            place=_said(record.get("doc_loc") or ""),
            id=_said(record.get("doc_id") or ""),
        )
    except KeyError as err:
        raise BadError("unreadable record", f"it has no {err.args[0]}") from err
    except (TypeError, ValueError, AttributeError, DataError) as err:
        raise BadError("unreadable record", f"it is of another form ({err})") from err


def read_mmc4(path: Path) -> Iterator[Similar | Bad]:
    """Records of a file of JSON Lines; a damaged one as ``Bad``.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    yield from_mmc4(parsed(line))
                except BadError as err:
                    yield Bad(f"{path}:{number}", err.reason, err.detail)
    except OSError as err:
        raise DataError(f"{path} cannot be read ({err.strerror}); check the path.") from err


def write_mmc4(documents: Iterable[Similar], path: Path) -> int:
    """Write a file of JSON Lines, whole or not at all; how many there are.

    Raises:
        DataError: it cannot be written.
    """
    count = 0
    with new_file(path) as file:
        for similar in documents:
            file.write(line_of(to_mmc4(similar)))
            count += 1
    return count


def _image(item: Mapping[str, Any]) -> WebImage:
    return WebImage(
        url=_said(item.get("raw_url") or item["image_name"]),
        alt=_said(item.get("alt") or ""),
        width=item.get("width"),
        height=item.get("height"),
    )


def _valid(record: Mapping[str, Any], images: Sequence[WebImage]) -> tuple[int, ...]:
    """Numbers of valid images, which a record may also give by their names."""
    said = record.get("valid_image_ids")
    if said is None:
        return tuple(range(len(images)))
    names = {item.get("image_name"): n for n, item in enumerate(record["image_info"])}
    found = [names.get(one) if isinstance(one, str) else one for one in said]
    numbers = [n for n in found if isinstance(n, int) and 0 <= n < len(images)]
    if len(numbers) < len(found):
        raise ValueError("valid_image_ids names an image that is not there")
    return tuple(numbers)


def _said(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value
