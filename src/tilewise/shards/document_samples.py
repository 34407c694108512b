"""Documents of shards as samples to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tilewise.shards.conversation import Bad, BadError, ImageRef, Sample
from tilewise.shards.document_parquet import COLUMNS
from tilewise.shards.document_shards import Shards, Stored
from tilewise.shards.image_files import images_of
from tilewise.shards.index import Index
from tilewise.shards.records import sample_of
from tilewise.shards.released import check, opened

MOST_IMAGES: Final = 6
"""Images of a document that are learned from. Source: the released loaders of OmniCorpus."""


class Documents:
    """Documents by their number, as samples; a ``Dataset`` as ``listing`` has it.

    Images that ``valid_image`` leaves out, and those beyond the most, are left out and all texts
    stay.

    Args:
        index: of the shards.
        root: folder of images whose bytes are not in the shards; None for ``images`` beside them.
        most_images: of a document.
    """

    def __init__(
        self, index: Index, root: Path | None = None, most_images: int = MOST_IMAGES
    ) -> None:
        self.index, self.root = index, root
        self._most = most_images
        self._shards = Shards(index, images_of(index.folder, root), COLUMNS)

    def __len__(self) -> int:
        return len(self._shards)

    @property
    def runs(self) -> tuple[int, ...]:
        """Sizes of groups of samples that are read together."""
        return tuple(self._shards.sizes)

    def __getitem__(self, index: int) -> Sample | Bad:
        """Document ``index``, from 0; a damaged one as ``Bad``; raises DataError for a shard."""
        where = self._shards.where(self._shards.place(index))
        try:
            return sample(self._shards[index], self._most)
        except BadError as err:
            return Bad(where, err.reason, err.detail)


def sample(stored: Stored, most_images: int = MOST_IMAGES) -> Sample | Bad:
    """A stored document as a sample.

    Raises:
        BadError: its row breaks an invariant of the form.
    """
    row = opened(stored.row)
    check(row)
    valid = row.get("valid_image")
    texts: list[str | None] = []
    images: list[ImageRef | None] = []
    shown = used = 0
    for url, text in zip(row["images"], row["texts"], strict=True):
        if url is None:
            if text:
                texts.append(text)
                images.append(None)
            continue
        is_valid = valid is None or bool(valid[shown])
        if is_valid and used < most_images:
            if shown >= len(stored.images) or stored.images[shown] is None:
                raise BadError("missing image", f"{url} is not in the shard")
            texts.append(None)
            images.append(stored.images[shown])
            used += 1
        shown += 1
    record = {"id": row.get("doc_id") or "", "texts": texts, "images": images}
    return sample_of(record, stored.where, _itself)


def _itself(image: object) -> ImageRef:
    assert isinstance(image, ImageRef)
    return image
