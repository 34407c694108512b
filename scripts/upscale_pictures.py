"""Draw the picture of docs/upscale.md: crops of photographs, shrunk, and enlarged in two ways.

    python scripts/upscale_pictures.py [--model x4] [--photos FOLDER]

The crops lie in docs/images/upscale, as they were and shrunk four times; ``--photos`` cuts them
anew from the photographs, which are not part of this repository (docs/upscale.md names them, their
authors and licences).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tilewise.superres.enlarge import enlarge, enlarger
from tilewise.superres.resample import Floats

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "images" / "upscale"
SIZE: Final = (384, 288)
SCALE: Final = 4
CROPS: Final = {
    # name: photograph, left and top of the crop
    "dogs": ("friends.jpg", (300, 370)),
    "fig": ("picture_0b.jpg", (660, 400)),
    "bottle": ("wine.jpg", (400, 220)),
}


def cut(photos: Path) -> None:
    """Cut the crops from the photographs."""
    for name, (photo, (left, top)) in CROPS.items():
        with Image.open(photos / photo) as picture:
            box = (left, top, left + SIZE[0], top + SIZE[1])
            crop = picture.convert("RGB").crop(box)
        crop.save(FOLDER / f"{name}.jpg", quality=90)
        crop.reduce(SCALE).save(FOLDER / f"{name}.png", optimize=True)


def panel(rgb: Floats) -> Image.Image:
    """An array 0 to 1 as a picture."""
    return Image.fromarray(np.rint(rgb.clip(0, 1) * 255).astype(np.uint8))


def main() -> None:
    """Draw all crops into one picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="x4", help="a network: a name or a folder")
    parser.add_argument("--photos", type=Path, help="where the photographs lie")
    args = parser.parse_args()
    if args.photos:
        FOLDER.mkdir(parents=True, exist_ok=True)
        cut(args.photos)
    (width, height), head = SIZE, 24
    sheet = Image.new("RGB", (4 * width + 24, head + len(CROPS) * (height + 8)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for col, title in enumerate(
        ("before: shrunk 4 times", "bicubic x4", "ours x4", "the photograph")
    ):
        draw.text((col * (width + 8) + 4, 2), title, "black", font)
    ways = (enlarger("bicubic", SCALE), enlarger(args.model, SCALE))
    for row, name in enumerate(CROPS):
        with Image.open(FOLDER / f"{name}.png") as crop:
            rgb = np.asarray(crop.convert("RGB"), np.float32) / np.float32(255)
            shown = [crop.resize((width, height), Image.Resampling.NEAREST)]
        shown += [panel(enlarge(rgb, SCALE, way)) for way in ways]
        with Image.open(FOLDER / f"{name}.jpg") as truth:
            shown.append(truth.convert("RGB"))
        for col, one in enumerate(shown):
            sheet.paste(one, (col * (width + 8), head + row * (height + 8)))
    sheet.save(FOLDER / "ways.jpg", quality=80, optimize=True)


if __name__ == "__main__":
    main()
