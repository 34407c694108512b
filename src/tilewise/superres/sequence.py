"""SR-RAW: sequences of one scene at growing focal lengths are prepared as pairs to learn from.

A scene is a folder with up to seven frames from the longest focal length, ``00001``, to the widest,
each as RAW and as the camera's JPEG, and ``tform.txt`` and ``wb.txt``. Prepared pairs are what
``tilewise train`` reads: ``NAME_raw.png``, the input's mosaic, never resampled, and
``NAME_ref.png``, the target, where the input lies by the frames' global registration.

Source: SDAN's preparation of SR-RAW (X. Zhang et al., CVPR 2019); pairs, bad targets, levels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tilewise.errors import SourceError
from tilewise.superres.pairs import GAMMA, developed, sampled
from tilewise.superres.photos import read_photo
from tilewise.superres.raw import RAW_ENDINGS, demosaicked, read_mosaic, scaled
from tilewise.superres.registration import Registered, RegistrationConfig, fault, registered
from tilewise.superres.sdan import reference_of

PAIRS: Final[Mapping[int, tuple[tuple[int, int], ...]]] = {
    4: ((5, 1), (6, 2), (7, 3)),
    8: ((6, 1),),
}
"""Frames of input and target by scale."""

BAD_TARGETS: Final = frozenset({(350, 1), (350, 2), (350, 3), (560, 3), (267, 3)})
"""Scenes and frames whose JPEG is damaged."""

REJECTED: Final = "rejected.jsonl"

_MOSAICS: Final = (*sorted(RAW_ENDINGS), ".png", ".tif", ".tiff")
_FOCAL_LENGTH, _EXIF = 0x920A, 0x8769
_ROOM: Final = 2
"""Planes' pixels cut inside of the edge of what both frames show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A pair that was not prepared, why, and the measured value where there is one."""

    pair: str
    reason: str
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What came of a data set: names of pairs, and those that were rejected."""

    pairs: tuple[str, ...]
    rejected: tuple[Rejected, ...] = field(default=())

    @property
    def reasons(self) -> dict[str, int]:
        """How many were rejected for each reason."""
        found: dict[str, int] = {}
        for one in self.rejected:
            found[one.reason] = found.get(one.reason, 0) + 1
        return found


class Frame(NamedTuple):
    """One frame of a scene: its mosaic and its JPEG, focal length in mm, affine map, gains."""

    raw: Path
    jpeg: Path
    focal_mm: float
    affine: NDArray[np.float64]
    gains: tuple[float, float, float, float]


def prepare(
    root: str | Path,
    out: str | Path,
    scale: int = 4,
    *,
    tform_shrink: float = 8.0,
    cfg: RegistrationConfig | None = None,
) -> Prepared:
    """Prepare all scenes of a folder; pairs that are there already are left as they are.

    Args:
        root: holds a folder for each scene, named by its number.
        out: gets the pairs, and ``rejected.jsonl``.
        scale: 4 or 8.
        tform_shrink: by how much the pictures were shrunk whose pixels ``tform.txt`` counts shifts
            in. SR-RAW's were registered at an eighth.
        cfg: what a pair must keep to, else it is rejected.

    Raises:
        SourceError: there is no scene.
        MissingExtraError: frames are a camera's RAW files, and rawpy is not installed.
        OSError: ``out`` cannot be written.
    """
    root, out = Path(root), Path(out)
    scenes = sorted(path.parent for path in root.glob("*/tform.txt"))
    if not scenes:
        raise SourceError(
            f"{root}: holds no scenes; folders with frames, tform.txt and wb.txt are read."
        )
    out.mkdir(parents=True, exist_ok=True)
    made, rejected = [], []
    for name, why in _prepared(scenes, out, scale, tform_shrink, cfg or RegistrationConfig()):
        if why is None:
            made.append(name)
        else:
            rejected.append(Rejected(pair=name, reason=why[0], value=why[1]))
    lines = (
        json.dumps({"pair": one.pair, "reason": one.reason, "value": one.value}) + "\n"
        for one in rejected
    )
    (out / REJECTED).write_text("".join(lines), encoding="utf-8")
    return Prepared(pairs=tuple(made), rejected=tuple(rejected))


def zoom_pair(
    source: Frame, target: Frame, longest_mm: float, scale: int, tform_shrink: float = 8.0
) -> tuple[NDArray[np.uint16], Tensor]:
    """The input's mosaic and the target of a pair, both showing what the longest frame shows.

    Args:
        source: the wider frame, whose mosaic is cut.
        target: the longer one, whose JPEG is read once where the mosaic has its pixels.
        longest_mm: focal length of frame 1, in whose pixels the maps are told.
        scale: of the target against the mosaic.
        tform_shrink: as for ``prepare``.

    Returns:
        The mosaic, uint16 (2 h, 2 w), and the target without its white balance, float32
        (3, scale * 2 h, scale * 2 w), 0 to 1.

    Raises:
        SourceError: files cannot be read, or the frames do not show the same.
    """
    mosaic = read_mosaic(source.raw)
    photo = torch.from_numpy(read_photo(target.jpeg)).permute(2, 0, 1).float() / 255
    full = np.array([photo.shape[2], photo.shape[1]], np.float64)  # frame 1 has this size, x first
    affine = _between(source, target, tform_shrink)
    near, far = (frame.focal_mm / longest_mm for frame in (source, target))

    def seen(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares of the mosaic's width and height → places in the target's JPEG, (..., 2)."""
        ones = np.ones_like(x)
        inner = np.stack([0.5 + (one - 0.5) / near for one in (x, y)], -1) * full - 0.5
        moved = np.concatenate([inner, ones[..., None]], -1) @ affine.T
        return (0.5 + ((moved + 0.5) / full - 0.5) * far) * full - 0.5

    left, top, right, bottom = _common(mosaic.shape, seen, near, full)
    cut = mosaic[2 * top : 2 * bottom, 2 * left : 2 * right]
    rows, cols = (scale * size for size in cut.shape)
    x = (2 * left + (np.arange(cols) + 0.5) / scale) / mosaic.shape[1]
    y = (2 * top + (np.arange(rows) + 0.5) / scale) / mosaic.shape[0]
    places = torch.from_numpy(seen(*np.meshgrid(x, y))).float()
    read = sampled(photo, places[..., 1], places[..., 0]).clamp(0, 1)
    gains = torch.tensor([target.gains[n] for n in (0, 1, 3)]).float()
    return cut, (read / gains[:, None, None] ** (1 / GAMMA)).clamp(0, 1)


def checked(mosaic: NDArray[np.uint16], target: Tensor) -> Registered:
    """How a target lies on its mosaic, in pixels of the mosaic."""
    own = developed(demosaicked(scaled(mosaic)))
    small = reference_of(target[None], *own.shape[-2:])[0]
    return registered(*(part.mean(0).double().numpy() for part in (own, small)))


def read_frames(scene: Path) -> dict[int, Frame]:
    """The frames of a scene by their numbers.

    Raises:
        SourceError: a table is missing or cannot be read, or a JPEG tells no focal length.
    """
    maps = _rows(scene / "tform.txt", 2, 3, r"00001-(\d{5})")
    gains = _rows(scene / "wb.txt", 1, 4, r"(\d{5})")
    frames = {}
    for jpeg in sorted(scene.glob("*.[jJ][pP][gG]")):
        if not re.fullmatch(r"\d{5}", jpeg.stem):
            continue
        number = int(jpeg.stem)
        raws = [path for path in scene.glob(f"{jpeg.stem}.*") if path.suffix.lower() in _MOSAICS]
        if not raws or number not in gains:
            continue
        affine = maps.get(number, np.eye(2, 3))
        red, green, other, blue = (float(value) for value in gains[number][0])
        frames[number] = Frame(
            sorted(raws)[0], jpeg, _focal_mm(jpeg), affine, (red, green, other, blue)
        )
    return frames


def _prepared(
    scenes: list[Path], out: Path, scale: int, shrink: float, cfg: RegistrationConfig
) -> Iterator[tuple[str, tuple[str, float | None] | None]]:
    """Names of all pairs, with why one was rejected."""
    for scene in scenes:
        frames: dict[int, Frame] = {}
        unread: str | None = None
        try:
            frames = read_frames(scene)
        except SourceError as err:
            unread = str(err)
        for source, target in PAIRS[scale]:
            name = f"{scene.name}_{source:05}_{target:05}"
            number = int(scene.name) if scene.name.isdigit() else -1
            if (number, target) in BAD_TARGETS:
                yield name, ("known as bad", None)
            elif unread is not None:
                yield name, (unread, None)
            elif not {source, target, 1} <= frames.keys():
                yield name, ("frames are missing", None)
            elif (out / f"{name}_ref.png").is_file():
                yield name, None
            else:
                pair = frames[source], frames[target], frames[1].focal_mm
                yield name, _write(out, name, pair, scale, shrink, cfg)


def _write(
    out: Path,
    name: str,
    pair: tuple[Frame, Frame, float],
    scale: int,
    shrink: float,
    cfg: RegistrationConfig,
) -> tuple[str, float | None] | None:
    """Make a pair and write it, or say why not. The target comes last: it makes a pair one."""
    try:
        mosaic, target = zoom_pair(*pair, scale, shrink)
        why = fault(checked(mosaic, target), cfg)
    except SourceError as err:
        return str(err), None
    if why is not None:
        return why
    pixels = (target * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    for picture, kind in ((Image.fromarray(mosaic), "raw"), (Image.fromarray(pixels), "ref")):
        path = out / f"{name}_{kind}.png"
        part = path.with_name(f".{path.name}.part")
        try:
            picture.save(part, "PNG")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return None


def _between(source: Frame, target: Frame, shrink: float) -> NDArray[np.float64]:
    """From a place of the pair, in the source's frame, to one of the target's: x, y, 1 → x, y."""
    maps = []
    for frame in (source, target):
        whole = np.eye(3)
        whole[:2] = frame.affine
        whole[:2, 2] *= shrink
        maps.append(whole)
    return np.asarray((np.linalg.inv(maps[0]) @ maps[1])[:2])


def _common(
    shape: tuple[int, ...], seen: object, near: float, full: NDArray[np.float64]
) -> tuple[int, int, int, int]:
    """The rectangle of planes' pixels inside of which both frames show the same."""
    assert callable(seen)
    rows, cols = shape[0] // 2, shape[1] // 2
    x, y = (np.arange(size + 1) / size for size in (cols, rows))
    grid = np.meshgrid(x, y)
    places = seen(*grid)
    is_in = ((places >= 0) & (places <= full - 1)).all(-1)
    for share in grid:
        is_in &= np.abs(share - 0.5) <= near / 2
    by_col, by_row = is_in[rows // 2], is_in[:, cols // 2]
    if not by_col.any() or not by_row.any():
        raise SourceError("the frames do not show the same")
    left, right = _within(by_col)
    top, bottom = _within(by_row)
    while left < right and top < bottom and not is_in[top : bottom + 1, left : right + 1].all():
        left, top, right, bottom = left + 1, top + 1, right - 1, bottom - 1
    if right - left < 2 * _ROOM + 8 or bottom - top < 2 * _ROOM + 8:
        raise SourceError("the frames do not show the same")
    return left + _ROOM, top + _ROOM, right - _ROOM, bottom - _ROOM


def _within(line: NDArray[np.bool_]) -> tuple[int, int]:
    found = np.flatnonzero(line)
    return int(found[0]), int(found[-1])


def _rows(path: Path, count: int, width: int, label: str) -> dict[int, NDArray[np.float64]]:
    """Tables of numbers behind lines with a frame's label, by frame."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as err:
        raise SourceError(f"{path}: cannot be read ({err.strerror})") from err
    found = {}
    for place, line in enumerate(lines):
        match = re.search(label, line)
        if match is None:
            continue
        try:
            table = [[float(word) for word in row.split()] for row in lines[place + 1 :][:count]]
            found[int(match[1])] = np.array(table, np.float64).reshape(count, width)
        except ValueError as err:
            raise SourceError(f"{path}: line {place + 2} is no row of {width} numbers") from err
    if not found:
        raise SourceError(f"{path}: names no frame")
    return found


def _focal_mm(path: Path) -> float:
    try:
        with Image.open(path) as picture:
            value = picture.getexif().get_ifd(_EXIF).get(_FOCAL_LENGTH)
    except OSError as err:
        raise SourceError(f"{path}: cannot be read ({err})") from err
    try:
        focal = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        focal = 0.0
    if not focal > 0:
        raise SourceError(f"{path}: its EXIF tells no focal length")
    return focal
