"""Pairs that were prepared: files of a folder, cut and turned over by a key.

A pair is ``NAME_ref.png``, its target, with ``NAME_lr.png``, the input in RGB, and where the
network takes RAW data ``NAME_raw.png``, its mosaic with 14 bits. ``NAME_aligned.png`` is there
where it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tilewise.errors import SourceError
from tilewise.superres.pairs import developed
from tilewise.superres.photos import read_photo
from tilewise.superres.raw import demosaicked, flipped, flipped_image, read_mosaic, scaled
from tilewise.superres.registration import RegistrationConfig, fault, registered
from tilewise.superres.sdan import reference_of
from tilewise.train.superres.made import Sample

TARGET: Final = "_ref.png"
INPUT: Final = "_lr.png"
MOSAIC: Final = "_raw.png"
ALIGNED: Final = "_aligned.png"

REGISTERED_PX: Final = 256
"""Longest side of what is registered of an input."""

_SPREAD: Final = 0.2
"""Of where crops lie, as a share of the room there is, about its middle."""


def prepared_targets(paths: Sequence[Path]) -> list[Path]:
    """The targets among files, in order; none where there are no prepared pairs."""
    return [path for path in paths if path.name.endswith(TARGET)]


def misfits(targets: Sequence[Path], cfg: RegistrationConfig, *, is_raw: bool) -> list[Misfit]:
    """The pairs whose halves cannot be brought onto each other, in order.

    Args:
        targets: files of targets.
        cfg: what pairs must keep to.
        is_raw: inputs are mosaics.

    Raises:
        SourceError: a file cannot be read.
    """
    found = []
    for path in targets:
        own, target = _own(path, is_raw=is_raw), _picture(path)
        small = reference_of(target[None], *own.shape[-2:])[0]
        grey = [_middle(part.mean(0)).double().numpy() for part in (own, small)]
        why = fault(registered(grey[0], grey[1]), cfg)
        if why is not None:
            found.append(Misfit(path.name, *why))
    return found


class Misfit(NamedTuple):
    """A pair that is not learned from, why, and the measured value."""

    pair: str
    reason: str
    value: float


class PreparedPairs:
    """Gives a crop of a pair by a key; it travels to workers.

    Args:
        targets: files of targets.
        scale: of targets against inputs; pairs of another scale are refused at once.
        crop: side of inputs in pixels.
        is_raw: take mosaics.

    Raises:
        SourceError: a pair's other half is missing, or sizes do not fit.
    """

    def __init__(
        self, targets: Sequence[Path], scale: int, crop: int, *, is_raw: bool = False
    ) -> None:
        self._targets, self._scale, self._crop, self._is_raw = tuple(targets), scale, crop, is_raw
        for path in self._targets:
            self._check(path)

    def __call__(self, *key: int) -> Sample:
        """A crop, turned over at random; a mosaic keeps the places of its colours.

        Raises:
            SourceError: a file cannot be read.
        """
        rng = np.random.default_rng([6, *key])
        path = self._targets[int(rng.integers(len(self._targets)))]
        x, own, target, aligned = self._read(path)
        side = self._crop + 2
        top, left = (_place(x.shape[axis] - side, rng) // 2 * 2 for axis in (1, 2))
        turns = {
            "is_upside_down": bool(rng.random() < 0.5),
            "is_mirrored": bool(rng.random() < 0.5),
        }
        one, s = (slice(top, top + side), slice(left, left + side)), self._scale
        whole = (slice(s * top, s * (top + side)), slice(s * left, s * (left + side)))
        turned = flipped if self._is_raw else _flipped_input
        return Sample(
            x=turned(x[:, *one], **turns),
            target=flipped_image(target[:, *whole], s, **turns),
            own=flipped_image(own[:, *one], 1, **turns),
            aligned=None if aligned is None else flipped_image(aligned[:, *whole], s, **turns),
            name=f"{path.name} {'/'.join(map(str, key))}",
        )

    def _read(self, path: Path) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Input, input in RGB, target, aligned target."""
        target, beside = _picture(path), _beside(path, ALIGNED)
        aligned = _picture(beside) if beside.is_file() else None
        if not self._is_raw:
            x = _own(path, is_raw=False)
            return x, x, target, aligned
        mosaic = scaled(read_mosaic(_beside(path, MOSAIC)))
        return mosaic, developed(demosaicked(mosaic)), target, aligned

    def _check(self, path: Path) -> None:
        other = _beside(path, MOSAIC if self._is_raw else INPUT)
        if not other.is_file():
            raise SourceError(f"{path}: its input {other.name} is missing; put it beside it.")
        (width, height), (wide, high) = _size(other), _size(path)
        if (wide, high) != (width * self._scale, height * self._scale):
            raise SourceError(
                f"{path}: is {wide}x{high} px and its input {width}x{height} px; the target must "
                f"be {self._scale} times as large (model.sizes.scale)."
            )
        if min(width, height) < self._crop + 2:
            raise SourceError(
                f"{other}: is {width}x{height} px and crops take {self._crop + 2} px; make "
                "data.crop smaller."
            )


def _own(path: Path, *, is_raw: bool) -> Tensor:
    """The input of a pair in RGB."""
    if is_raw:
        return developed(demosaicked(scaled(read_mosaic(_beside(path, MOSAIC)))))
    return _picture(_beside(path, INPUT))


def _middle(image: Tensor) -> Tensor:
    """The middle of a picture, large enough to be registered and small enough to be quick."""
    top, left = (max(0, (size - REGISTERED_PX) // 2) for size in image.shape)
    return image[top : top + REGISTERED_PX, left : left + REGISTERED_PX]


def _flipped_input(image: Tensor, *, is_upside_down: bool, is_mirrored: bool) -> Tensor:
    return flipped_image(image, 1, is_upside_down=is_upside_down, is_mirrored=is_mirrored)


def _place(room: int, rng: np.random.Generator) -> int:
    """A place drawn from a normal about the middle, drawn again where it is outside.

    Source: SDAN's training code (mean 0.5, spread 0.2, from 0 to 1).
    """
    while True:
        share = float(rng.normal(0.5, _SPREAD))
        if 0 <= share <= 1:
            return round(share * room)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name.removesuffix(TARGET) + ending)


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, Image.DecompressionBombError) as err:
        raise SourceError(f"{path}: cannot be read ({err}); take the pair out.") from err


def _picture(path: Path) -> Tensor:
    return torch.from_numpy(read_photo(path)).permute(2, 0, 1).float() / 255
