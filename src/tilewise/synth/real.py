"""Real pages with a text layer: how they are kept on disk, and read back.

A shard is an ``.npz`` of some tens of pages named ``<split>-<number>.npz``; page ``k`` has the
arrays ``k/pixels``, ``k/code`` and so on, and ``k/meta``, a line of JSON.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tilewise.errors import SourceError
from tilewise.records import Pixels
from tilewise.synth.sheet import Glyphs

RealSplit = Literal["train", "heldout"]

SPLITS: Final = ("train", "heldout")

_META: Final = ("name", "split", "package", "version", "licence", "number", "kind")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealPage:
    """One page of a document, or a band of it.

    ``pixels`` is grey uint8 (height, width); ``chars`` are all characters its text layer names;
    ``figures`` float32 (k, 4) are boxes (left, top, right, bottom, px) of pictures, whose text
    has no glyphs. ``name`` is the document's path, ``number`` the page in it (1-based), ``kind``
    "html" or "pdf".
    """

    pixels: Pixels
    chars: Glyphs
    figures: NDArray[np.float32]
    name: str
    split: RealSplit
    package: str
    version: str
    licence: str
    number: int
    kind: str

    def glyphs(self) -> Glyphs:
        """Every character, as ``Sheet.glyphs`` gives them for a synthetic page."""
        return self.chars

    def without_figures(self) -> Pixels:
        """A copy of the pixels with every figure painted over in its mean grey.

        What is written in a figure has no glyphs; a reader trained on it would learn to overlook
        plain text.
        """
        pixels = self.pixels.copy()
        for left, top, right, bottom in self.figures.round().astype(int).clip(0).tolist():
            part = pixels[top:bottom, left:right]
            part[...] = round(float(part.mean())) if part.size else 0
        return pixels

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])


def default_folder() -> Path:
    """Where real pages are kept unless told otherwise."""
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tilewise" / "real-pages"
    )


def write_real_pages(path: Path, pages: Sequence[RealPage]) -> None:
    """Write one shard; the file appears only when it is whole."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for k, page in enumerate(pages):
        arrays[f"{k:04}/pixels"] = page.pixels
        arrays[f"{k:04}/figures"] = page.figures
        for field in fields(Glyphs):
            arrays[f"{k:04}/{field.name}"] = getattr(page.chars, field.name)
        arrays[f"{k:04}/meta"] = np.array(json.dumps({name: getattr(page, name) for name in _META}))
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    partial.replace(path)


def read_real_pages(folder: Path | str, split: RealSplit) -> Iterator[RealPage]:
    """Read the pages of one split, shard by shard, in the order they were written.

    Args:
        folder: where ``scripts/build_real_pages.py`` has put the shards.
        split: "train" or "heldout"; a document is in one of them only.

    Raises:
        SourceError: the split is unknown, the folder has no shard of it, or a shard is damaged.
    """
    for path in shards_of(folder, split):
        yield from read_shard(path)


def shards_of(folder: Path | str, split: RealSplit) -> list[Path]:
    """The shards of one split; raises SourceError as ``read_real_pages``."""
    if split not in SPLITS:
        raise SourceError(f"split is {split!r}; {' and '.join(SPLITS)} are allowed.")
    paths = sorted(Path(folder).glob(f"{split}-*.npz"))
    if not paths:
        raise SourceError(f"{folder} has no {split}-*.npz; run scripts/build_real_pages.py first.")
    return paths


def read_shard(path: Path) -> Iterator[RealPage]:
    """Read the pages of one shard, one at a time."""
    with _opened(path) as shard:
        for key in _keys(shard):
            yield _page(shard, key)


class RealPages:
    """The pages of one split, each of which can be read by itself; it travels to workers.

    Args:
        folder, split: as for ``read_real_pages``, and with its errors.
    """

    def __init__(self, folder: Path | str, split: RealSplit) -> None:
        self._places: list[tuple[Path, str]] = []
        for path in shards_of(folder, split):
            with _opened(path) as shard:
                self._places += [(path, key) for key in _keys(shard)]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> RealPage:
        """A page by its number; raises SourceError where its shard is damaged."""
        path, key = self._places[number]
        with _opened(path) as shard:
            return _page(shard, key)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as shard:
            yield shard
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as err:
        raise SourceError(
            f"{path} is no whole shard of real pages ({err}); delete it and build again."
        ) from err


def _keys(shard: Any) -> list[str]:
    return sorted(key.removesuffix("/meta") for key in shard.files if key.endswith("/meta"))


def _page(shard: Any, key: str) -> RealPage:
    chars = Glyphs(**{f.name: shard[f"{key}/{f.name}"] for f in fields(Glyphs)})
    meta = json.loads(str(shard[f"{key}/meta"]))
    return RealPage(
        pixels=shard[f"{key}/pixels"], chars=chars, figures=shard[f"{key}/figures"], **meta
    )


def read_meta(path: Path) -> list[dict[str, object]]:
    """What a shard says about its pages, without their pixels."""
    with np.load(path, allow_pickle=False) as shard:
        return [json.loads(str(shard[key])) for key in sorted(shard.files) if key.endswith("/meta")]
