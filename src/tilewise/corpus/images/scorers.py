"""Models that score images: how pleasing one is, how unsafe; callables, or ONNX files.

None comes with tilewise. A slot without one gives no score, and its filter is said to be off.

Source: arXiv 2406.08418, section on image filtering: an aesthetic score of LAION's kind (0 to 10)
and a probability of being unsafe; which models these are is not published.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tilewise.errors import ConfigError, MissingExtraError
from tilewise.records import Pixels

Score = Callable[[Sequence[Pixels]], Sequence[float]]
"""Scores images, each uint8 RGB (height, width, 3); as many numbers as images."""

SLOTS: Final = ("aesthetic", "unsafe")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageScorers:
    """What scores images; None where there is none, and then its filter is off and says so.

    ``aesthetic`` gives 0 to 10, ``unsafe`` 0 to 1. ``side``: longest side in pixels of what they
    are given. ``name``: of them together, e.g. a hash of their weights; facts that were found with
    others are found anew.
    """

    aesthetic: Score | None = None
    unsafe: Score | None = None
    side: int = 448
    name: str = ""

    @property
    def drawn_side(self) -> int:
        """Side of the pixels that are needed, 0 where nobody scores."""
        return self.side if self.aesthetic or self.unsafe else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageScorerFile:
    """An ONNX model with one picture, or a batch of them, as its only input.

    A picture's shorter side is made ``resize`` pixels long (``size`` if 0), or without
    ``keep_aspect`` both sides, and the middle of ``size`` × ``size`` pixels is cut out. Values 0 to
    255 are multiplied by ``scale``, then ``mean`` is taken off and ``std`` divides, in the order of
    ``channels``. ``layout``: colours first or last. ``column`` of the output is the score, after
    ``activation``.
    """

    model: Path = Path()
    size: int = 224
    resize: int = 0
    keep_aspect: bool = True
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    column: int = -1
    activation: Literal["none", "logistic", "softmax"] = "none"

    def __post_init__(self) -> None:
        if self.size < 1 or self.resize < 0 or 0.0 in self.std:
            raise ConfigError(
                f"{self.model}: size is {self.size}, resize {self.resize}, std {self.std}; a size "
                "over 0, a resize of 0 or more and std without 0 are allowed."
            )


def scorers_of(files: Mapping[str, ImageScorerFile]) -> ImageScorers:
    """Scorers from ONNX files by slot; a model is loaded with the first image.

    Raises:
        ConfigError: a slot is unknown, or a file is not there.
    """
    check_slots(files)
    for slot, file in files.items():
        if not file.model.is_file():
            raise ConfigError(f"the scorer {slot} names {file.model}, which is no file.")
    by_slot = {slot: OnnxImageScorer(file) for slot, file in files.items()}
    side = max([448, *(2 * max(file.size, file.resize) for file in files.values())])
    hashes = [f"{slot}={_hash(file.model)}{file!r}" for slot, file in sorted(files.items())]
    name = hashlib.sha256("".join(hashes).encode()).hexdigest()[:16] if files else ""
    return ImageScorers(
        aesthetic=by_slot.get("aesthetic"), unsafe=by_slot.get("unsafe"), side=side, name=name
    )


def check_slots(slots: Mapping[str, object]) -> None:
    """Raise ConfigError for a slot that is none."""
    for slot in slots:
        if slot not in SLOTS:
            raise ConfigError(f"{slot!r} is no scorer of images; {' and '.join(SLOTS)} are.")


class OnnxImageScorer:
    """A scorer from a file; picklable, the model is loaded once in each process."""

    def __init__(self, file: ImageScorerFile) -> None:
        self.file = file

    def __call__(self, images: Sequence[Pixels]) -> list[float]:
        """The score of each image.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            ConfigError: the model does not take such pictures, or gives no number.
        """
        session, name, is_batch = _load(self.file.model)
        ready = np.stack([self._ready(pixels) for pixels in images])
        groups = [ready] if is_batch else [ready[i : i + 1] for i in range(len(ready))]
        try:
            found = [session.run(None, {name: group})[0] for group in groups]
            rows = np.concatenate(found).reshape(len(images), -1).astype(np.float64)
            scores = _activated(rows, self.file)
        except Exception as err:  # onnxruntime's errors have no root of their own
            raise ConfigError(
                f"the scorer {self.file.model} does not take pictures of {self.file.size} pixels "
                f"in {self.file.layout} ({str(err).partition(chr(10))[0][:200]}); see its settings."
            ) from err
        if not np.isfinite(scores).all():
            raise ConfigError(f"the scorer {self.file.model} gives no number; see its settings.")
        return [float(score) for score in scores]

    def _ready(self, pixels: Pixels) -> NDArray[np.float32]:
        """One picture as the model wants it."""
        from PIL import Image  # noqa: PLC0415 - settings of a run without images need it not

        file, image = self.file, Image.fromarray(pixels)
        side = file.resize or file.size
        ratio = side / min(image.size) if file.keep_aspect else 0.0
        wide, high = (max(side, round(length * ratio)) for length in image.size)
        left, top = (wide - file.size) // 2, (high - file.size) // 2
        image = image.resize((wide, high), Image.Resampling.BICUBIC)
        image = image.crop((left, top, left + file.size, top + file.size))
        values = np.asarray(image, np.float32)
        values = values[..., ::-1] if file.channels == "bgr" else values
        mean, std = np.array(file.mean, np.float32), np.array(file.std, np.float32)
        values = (values * np.float32(file.scale) - mean) / std
        ready: NDArray[np.float32] = np.ascontiguousarray(
            values.transpose(2, 0, 1) if file.layout == "nchw" else values
        )
        return ready


def _activated(rows: NDArray[np.float64], file: ImageScorerFile) -> NDArray[np.float64]:
    if file.activation == "softmax":
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
        rows = rows / rows.sum(axis=1, keepdims=True)
    column = rows[:, file.column]
    return 1 / (1 + np.exp(-column)) if file.activation == "logistic" else column


@lru_cache(maxsize=4)
def _load(model: Path) -> tuple[Any, str, bool]:
    """A session, the name of its input, and whether it takes several pictures at once."""
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
    except ImportError as err:
        raise MissingExtraError(
            f"the scorer {model} needs onnxruntime; pip install 'tilewise[scorers]', or leave its "
            "slot empty."
        ) from err
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # workers are processes
    try:
        session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as err:
        raise ConfigError(f"{model} cannot be loaded as an ONNX model ({err}).") from err
    first = session.get_inputs()[0]
    return session, first.name, not isinstance(first.shape[0], int)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
