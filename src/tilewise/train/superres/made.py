"""Pairs made of photographs and of rendered pages, each by the seed and its number alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Final, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tilewise.records import Pixels
from tilewise.superres.pairs import FRAME, MARGIN, camera_pair
from tilewise.superres.photos import Photos
from tilewise.superres.shrink import ShrinkConfig, shrunk_pair
from tilewise.synth.fonts import Split
from tilewise.synth.pages import make_page
from tilewise.train.superres.config import PairsConfig

Kind = Literal["camera", "shrunk", "print"]

CUT: Final = 4
"""Pixels of inputs that are made around a crop and cut again, as blur reaches across its edge."""

LEAST_PHOTO: Final = (FRAME[0] + 2 * MARGIN, FRAME[1] + 2 * MARGIN)
"""Rows and columns of a photograph that pairs are made of."""

EM: Final = (6.0, 20.0)
"""Pixels per em of print in the input, for most pages."""


class Sample(NamedTuple):
    """A pair as it is learned from: ``tilewise.superres.losses.Pairs`` without a batch axis."""

    x: Tensor
    target: Tensor
    own: Tensor
    aligned: Tensor | None
    name: str


class MadePairs:
    """Makes the pair of a key; it travels to workers.

    Args:
        photos: what photographs there are.
        cfg: kinds, their shares and settings.
        scale: of targets.
        is_raw: inputs are mosaics.
        split: of the words on rendered pages.
    """

    def __init__(
        self, photos: Photos, cfg: PairsConfig, scale: int, *, is_raw: bool, split: Split = "train"
    ) -> None:
        self._photos, self._cfg, self._scale = photos, cfg, scale
        self._is_raw, self._split = is_raw, split

    def __call__(self, *key: int) -> Sample:
        """The pair of a key, the kind drawn by shares."""
        shares = {"camera": self._cfg.camera, "shrunk": self._cfg.shrunk, "print": self._cfg.print}
        rng = np.random.default_rng([1, *key])
        total = float(rng.random()) * sum(shares.values())
        for kind, share in shares.items():
            total -= share
            if share and total < 0:
                return self.of(kind, *key)  # type: ignore[arg-type]
        return self.of(max(shares, key=lambda kind: shares[kind]), *key)  # type: ignore[arg-type]

    def of(self, kind: Kind, *key: int) -> Sample:
        """The pair of a key of one kind."""
        make: Mapping[Kind, Callable[..., Sample]] = {
            "camera": self._camera,
            "shrunk": self._shrunk,
            "print": self._print,
        }
        return make[kind](*key)

    def _camera(self, *key: int) -> Sample:
        photo, number = self._photo(key)
        cfg = self._cfg
        pair = camera_pair(photo, self._scale, cfg.crop, cfg.cameras, [2, *key], tries=cfg.tries)
        x, own = (pair.mosaic, pair.raw_rgb) if self._is_raw else (pair.x, pair.x)
        target = pair.aligned if cfg.is_aligned else pair.target
        return Sample(x, target, own, pair.aligned, self._name("camera", number, key))

    def _shrunk(self, *key: int) -> Sample:
        photo, number = self._photo(key)
        rng = np.random.default_rng([3, *key])
        picture = _part(photo, self._side, rng, self._cfg.tries)
        return self._pair(picture, self._cfg.photo_shrink, rng, self._name("shrunk", number, key))

    def _print(self, *key: int) -> Sample:
        rng = np.random.default_rng([4, *key])
        picture = _part(self._page(rng), self._side, rng, self._cfg.tries)
        return self._pair(picture, self._cfg.print_shrink, rng, self._name("print", 0, key))

    def _page(self, rng: np.random.Generator) -> Pixels:
        """A page in type that is small in the input; larger than a crop."""
        zoom = max(1, round(float(rng.uniform(*EM)) * self._scale / 16))
        least = -(-(self._side + 8) // zoom)
        size = (max(320, least), max(260, least))
        page = make_page(Random(int(rng.integers(2**60))), self._split, size=size)
        pixels = page.sheet.render(zoom)
        return 255 - pixels if rng.random() < 0.1 else pixels

    def _pair(
        self, picture: Pixels, cfg: ShrinkConfig, rng: np.random.Generator, name: str
    ) -> Sample:
        x, target = shrunk_pair(picture, self._scale, cfg, rng, CUT)
        return Sample(x, target, x, target, name)

    @property
    def _side(self) -> int:
        return (self._cfg.crop + 2 * CUT) * self._scale

    def _photo(self, key: tuple[int, ...]) -> tuple[Pixels, int]:
        """A photograph, turned over at random, and its number."""
        rng = np.random.default_rng([5, *key])
        number = int(rng.integers(len(self._photos)))
        photo = self._photos[number]
        rows, cols = (slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(2))
        return photo[rows, cols], number

    def _name(self, kind: str, number: int, key: tuple[int, ...]) -> str:
        what = kind if kind == "print" else f"{kind} {self._photos.paths[number].name}"
        return f"{what} {'/'.join(map(str, key))}"


def _part(picture: Pixels, side: int, rng: np.random.Generator, tries: int) -> Pixels:
    """A square part of a picture, that with the most detail of a few drawn ones."""
    rows, cols = picture.shape[0] - side, picture.shape[1] - side
    corners = [(int(rng.integers(rows + 1)), int(rng.integers(cols + 1))) for _ in range(tries)]
    parts = [picture[top : top + side, left : left + side] for top, left in corners]
    return max(parts, key=_spread)


def _spread(part: Pixels) -> float:
    return float(np.abs(np.diff(part[::2, :, 1].astype(np.int16), axis=1)).mean())


def joined(samples: list[Sample]) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Samples as a batch: inputs, targets, inputs in RGB, aligned targets where all have them."""
    aligned = [sample.aligned for sample in samples if sample.aligned is not None]
    whole = torch.stack(aligned) if len(aligned) == len(samples) else None
    x, target, own = (torch.stack([s[n] for s in samples]) for n in range(3))  # type: ignore[misc]
    return x, target, own, whole
