"""Draw the first picture of the README: the four kinds of bundled pages, each as it is cut.

    python scripts/readme_picture.py [--out docs/images/pages.png]

Every part is what ``tilewise show`` draws of a document of ``tilewise demo``; the global view and
the counts are kept of the poster alone. The workbook needs LibreOffice, the web page Chromium.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

from tilewise.tiling.draw import MARGIN, PAPER, SIDEBAR, made_small

ROOT: Final = Path(__file__).resolve().parent.parent
DEMO: Final = ROOT / "src" / "tilewise" / "assets" / "demo"
ROWS: Final = (("poster.png", "invoice.pdf"), ("harvest.xlsx", "ferry.html"))
WHOLE: Final = "poster.png"
WIDTH: Final = 1800
"""Twice the width of a README's column, for screens with two pixels to each."""


def main() -> None:
    """Draw the parts, fit each row to the width, put the rows below one another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "pages.png")
    out: Path = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        rows = [_row([_part(name, Path(folder, "part.png")) for name in names]) for names in ROWS]
    sheet = Image.new("RGB", (WIDTH, sum(row.height for row in rows)), PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    made_small(sheet, max(sheet.size)).save(out, optimize=True)
    print(f"{out}: {sheet.width} x {sheet.height} px, {out.stat().st_size:,} bytes")


def _part(name: str, path: Path) -> Image.Image:
    """What ``tilewise show`` draws of a document, mostly without what stands beside the tiles."""
    argv = ["show", name, "-o", str(path), "--no-estimate"]
    subprocess.run(
        [sys.executable, "-m", "tilewise", *argv], cwd=DEMO, check=True, stdout=subprocess.DEVNULL
    )
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if name == WHOLE:
        return picture
    return picture.crop((0, 0, picture.width - SIDEBAR - MARGIN, picture.height))


def _row(parts: list[Image.Image]) -> Image.Image:
    """Parts side by side, of one height, as wide as the picture."""
    height = round(WIDTH / sum(part.width / part.height for part in parts))
    row = Image.new("RGB", (WIDTH, height), PAPER)
    left = 0
    for part in parts:
        width = round(part.width * height / part.height)
        row.paste(part.resize((width, height), Image.Resampling.LANCZOS), (left, 0))
        left += width
    return row


if __name__ == "__main__":
    main()
