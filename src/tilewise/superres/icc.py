"""Colours of a profile to sRGB and back, in float: what networks saw in training.

Only profiles of three primaries (a matrix and a curve for each colour) and of grey with a curve
are carried over, as these have exact ways back: sRGB, Display P3, Adobe RGB, ProPhoto. Colours
beyond sRGB become values below 0 and above 1, and nothing is cut on the way.

Source: ICC.1:2022, sections 10.6 (curveType), 10.18 (parametricCurveType), F.3 (matrix/TRC).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.superres.resample import Floats

_SRGB_TO_XYZ: Final = np.array(  # IEC 61966-2-1, adapted to D50 by Bradford
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
_NEAR: Final = 1 / 255
"""Profiles that differ from sRGB by less at most are sRGB, as makers round its primaries."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """From a colour as stored to light, both 0 to 1.

    ``(a x + b)^g + e`` from ``d`` on, else ``c x + f``; or points of a curve, joined by lines.
    """

    g: float = 1.0
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0
    points: NDArray[np.float64] | None = None

    def light(self, x: Floats) -> Floats:
        """Stored to light; what is below 0 as what is above, with its sign."""
        if self.points is not None:
            found = np.interp(x, np.linspace(0, 1, len(self.points)), self.points)
            return found.astype(np.float32)
        size = np.abs(x)
        powers = np.maximum(np.float32(self.a) * size + np.float32(self.b), 0) ** np.float32(self.g)
        low = np.float32(self.c) * size + np.float32(self.f)
        return np.copysign(np.where(size >= self.d, powers + np.float32(self.e), low), x)

    def stored(self, y: Floats) -> Floats:
        """Light to stored, the inverse."""
        if self.points is not None:
            found = np.interp(y, self.points, np.linspace(0, 1, len(self.points)))
            return found.astype(np.float32)
        size = np.abs(y)
        inner = np.maximum(size - np.float32(self.e), 0) ** np.float32(1 / self.g)
        high = (inner - np.float32(self.b)) / np.float32(self.a)
        if not self.c:
            return np.copysign(high, y)
        edge = (self.a * self.d + self.b) ** self.g + self.e
        low = (size - np.float32(self.f)) / np.float32(self.c)
        return np.copysign(np.where(size >= edge, high, low), y)


SRGB: Final = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Colours of a profile: three curves and a matrix to light of sRGB; grey has one of each."""

    curves: tuple[Curve, ...]
    matrix: Floats

    def to_srgb(self, colours: Floats) -> Floats:
        """From this space. Shape: (..., 3), or (..., 1) for grey; kept."""
        return SRGB.stored(_each(self.curves, "light", colours) @ self.matrix.T)

    def from_srgb(self, colours: Floats) -> Floats:
        """Back into this space."""
        light = SRGB.light(colours) @ np.linalg.inv(self.matrix).T
        return _each(self.curves, "stored", light)


def space_of(profile: bytes) -> Space | None:
    """Read a profile: None where it is sRGB (or as good as that), or of another kind.

    Raises:
        ValueError: it is damaged, or has neither primaries nor a grey curve.
    """
    try:
        tags = _tags(profile)
        space = profile[16:20]
        if space == b"GRAY":
            found = Space((_curve(tags[b"kTRC"]),), np.eye(1, dtype=np.float32))
        elif space == b"RGB " and profile[20:24] == b"XYZ ":
            primaries = np.stack([_xyz(tags[n]) for n in (b"rXYZ", b"gXYZ", b"bXYZ")], 1)
            matrix = np.linalg.solve(_SRGB_TO_XYZ, primaries).astype(np.float32)
            np.linalg.inv(matrix)
            curves = tuple(_curve(tags[n]) for n in (b"rTRC", b"gTRC", b"bTRC"))
            found = Space(curves, matrix)
        else:
            raise ValueError("it has no primaries")
    except (KeyError, IndexError, struct.error, np.linalg.LinAlgError) as err:
        raise ValueError("it has no primaries or curves that can be read") from err
    steps = np.linspace(0, 1, 9, dtype=np.float32)
    width = len(found.curves)
    probe = np.stack(np.meshgrid(*[steps] * width), -1)
    back = found.from_srgb(found.to_srgb(probe))
    if not np.abs(back - probe).max() < _NEAR:
        raise ValueError("its colours have no way back")
    return None if np.abs(found.to_srgb(probe) - probe).max() < _NEAR else found


def _each(curves: tuple[Curve, ...], way: str, colours: Floats) -> Floats:
    parts = [getattr(curve, way)(colours[..., i]) for i, curve in enumerate(curves)]
    return np.stack(parts, -1)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(min(count, 200))]
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _xyz(tag: bytes) -> NDArray[np.float64]:
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: bytes) -> Curve:
    if tag[:4] == b"para":
        kind = struct.unpack_from(">H", tag, 8)[0]
        count = (1, 3, 4, 5, 7)[kind]
        values = [v / 65536 for v in struct.unpack_from(f">{count}i", tag, 12)]
        g, a, b, c = (*values, *(1.0, 0.0, 0.0)[len(values) - 1 :])[:4]
        if kind == 1:
            return Curve(g, a, b, 0.0, -b / a)
        if kind == 2:
            return Curve(g, a, b, 0.0, -b / a, c, c)
        return Curve(*values) if kind >= 3 else Curve(g)
    if tag[:4] != b"curv":
        raise KeyError(tag[:4])
    (count,) = struct.unpack_from(">I", tag, 8)
    if count <= 1:
        return Curve(struct.unpack_from(">H", tag, 12)[0] / 256 if count else 1.0)
    points = np.array(struct.unpack_from(f">{count}H", tag, 12)) / 65535
    if (np.diff(points) < 0).any():
        raise KeyError("a curve that falls")
    return Curve(points=points)
