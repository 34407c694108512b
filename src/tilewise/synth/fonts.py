"""The type that synthetic pages are set in: free fonts found on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Final, Literal

from PIL import ImageFont

Split = Literal["train", "test"]

ROOTS: Final = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))

FAMILIES: Final = (
    "DejaVuSans",
    "DejaVuSerif",
    "DejaVuSansMono",
    "DejaVuSansCondensed",
    "LiberationSans",
    "LiberationSerif",
    "LiberationMono",
    "LiberationSansNarrow",
    "FreeSans",
    "FreeSerif",
    "FreeMono",
    "NotoSans",
    "NotoSansMono",
    "Roboto",
    "RobotoCondensed",
    "OpenSans",
    "Lato",
    "Carlito",
    "Caladea",
    "Hack",
    "FiraCode",
    "LinLibertine_",
    "LinBiolinum_",
    "Cantarell",
    "EBGaramond12",
    "Comfortaa",
)
"""Families used for training. Noto Serif is left out: it is the font that evaluation has unseen."""

UNSEEN: Final = ("NotoSerif",)

STYLES: Final = (
    "", "Regular", "Book", "Bold", "Italic", "BoldItalic", "Oblique", "BoldOblique", "Medium",
    "Semibold", "Light", "R", "RB", "RI", "RBI",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Face:
    """One font file."""

    path: str
    family: str
    style: str

    @property
    def is_italic(self) -> bool:
        """Whether the face slants."""
        return "Ital" in self.style or "Obl" in self.style or self.style in {"RI", "RBI"}

    @property
    def is_bold(self) -> bool:
        """Whether the face is heavy."""
        return "Bold" in self.style or self.style in {"RB", "RBI", "Semibold"}


@lru_cache(maxsize=4)
def faces(split: Split = "train") -> tuple[Face, ...]:
    """Faces of one split, sorted so that a seed picks the same on every machine with them."""
    wanted = FAMILIES if split == "train" else UNSEEN
    found: dict[str, Face] = {}
    for root in ROOTS:
        for path in sorted([*root.rglob("*.ttf"), *root.rglob("*.otf")]) if root.exists() else []:
            face = _face(path, wanted)
            if face is not None:
                found.setdefault(path.name, face)
    return tuple(found[name] for name in sorted(found))


def _face(path: Path, wanted: tuple[str, ...]) -> Face | None:
    for family in wanted:
        for separator in ("-", ""):
            head = family + separator
            if path.stem.startswith(head) and path.stem[len(head) :] in STYLES:
                return Face(str(path), family, path.stem[len(head) :])
    return None


def pick_face(rng: Random, split: Split = "train", *, allow_italic: bool = True) -> Face | None:
    """One face, families equally likely; None where no font of the list is installed."""
    pool = [f for f in faces(split) if allow_italic or not f.is_italic]
    if not pool:
        return None
    family = rng.choice(sorted({f.family for f in pool}))
    members = [f for f in pool if f.family == family]
    upright = [f for f in members if not f.is_italic and f.style not in {"Light", "Medium"}]
    return rng.choice(upright if upright and rng.random() < 0.75 else members)


@lru_cache(maxsize=2048)
def load_font(face: Face | None, size: int) -> ImageFont.FreeTypeFont:
    """A face at ``size`` px per em; Pillow's own font stands in where none is installed."""
    if face is None:
        built_in = ImageFont.load_default(size)
        assert isinstance(built_in, ImageFont.FreeTypeFont)
        return built_in
    return ImageFont.truetype(face.path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=200_000)
def advance(face: Face | None, size: int, text: str) -> float:
    """Advance of ``text`` in px at ``size`` px per em."""
    return float(load_font(face, size).getlength(text))


@lru_cache(maxsize=20_000)
def has_glyph(face: Face | None, char: str) -> bool:
    """Whether a face draws ``char`` itself, not its box for unknown characters."""
    if char < "\x7f":
        return True
    font = load_font(face, 24)
    return bytes(font.getmask(char)) != bytes(font.getmask("\uffff"))
