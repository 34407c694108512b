"""Draw one picture for each kind of source, as ``tilewise show`` does, for docs/sources.md.

    python scripts/source_pictures.py [--out docs/images]

The documents are made here, their words invented; LibreOffice saves them as the kinds that it
writes, and Chromium draws the web page. Every picture is at most 60 kB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from tests.sources.office_making import converted, flat_slides

ROOT: Final = Path(__file__).resolve().parent.parent
DEMO: Final = ROOT / "src" / "tilewise" / "assets" / "demo"
LONG_SIDE: Final = 640
MOST_BYTES: Final = 60_000

_SPACES: Final = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for short, name in {
        "office": "office", "text": "text", "table": "table", "style": "style",
        "fo": "xsl-fo-compatible",
    }.items()
)  # fmt: skip

_LETTER: Final = """<?xml version="1.0" encoding="UTF-8"?>
<office:document {spaces} office:version="1.3"
 office:mimetype="application/vnd.oasis.opendocument.text">
<office:styles><style:style style:name="Big" style:family="paragraph">
<style:paragraph-properties fo:margin-bottom="0.5cm"/>
<style:text-properties fo:font-size="22pt" fo:font-weight="bold"/></style:style></office:styles>
<office:body><office:text><text:p text:style-name="Big">{title}</text:p>{body}
<table:table><table:table-column table:number-columns-repeated="3"/>{rows}</table:table>
</office:text></office:body></office:document>"""

_PARAGRAPHS: Final = (
    "The north pier is closed from 3 March until the new fenders are in place.",
    "Boats over 18 m ask the harbour office for a berth a day ahead, by radio on channel 12.",
    "Water and power are paid by the meter; the fees for this season stand below.",
)
_FEES: Final = (
    ("Length", "A night", "A month"), ("up to 8 m", "14.00", "260.00"),
    ("up to 12 m", "21.50", "395.00"), ("up to 18 m", "38.00", "640.00"),
)  # fmt: skip

_DRAWING: Final = """<svg xmlns="http://www.w3.org/2000/svg" width="640" height="360">
<rect width="640" height="360" fill="#eef4f8"/>
<path d="M0 260 Q160 220 320 260 T640 260 V360 H0 Z" fill="#3f7fa8"/>
<path d="M420 120 l24 0 l10 130 l-44 0 z" fill="#c0392b"/>
<text x="40" y="70" font-size="30" font-family="sans-serif">Lights of the Sund</text>
<text x="40" y="120" font-size="20" font-family="sans-serif">Castle island: 2 flashes, 12 s</text>
<text x="40" y="160" font-size="20" font-family="sans-serif">North shore: red, 5 s</text></svg>"""


def main() -> None:
    """Make every document, draw it, and say how large its picture is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, make in _DOCUMENTS.items():
            path = make(Path(folder))
            picture = args.out / f"source-{name}.png"
            _show(path, picture)
            print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")


def _show(path: Path, picture: Path) -> None:
    """Run ``tilewise show``; a picture that is too large is drawn smaller."""
    side = LONG_SIDE
    while True:
        argv = ["show", path.name, "-o", str(picture), "--no-estimate", "--long-side", str(side)]
        subprocess.run(
            [sys.executable, "-m", "tilewise", *argv],
            cwd=path.parent, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        if picture.stat().st_size <= MOST_BYTES:
            return
        side = side * 9 // 10


def _written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _letter(kind: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        body = "".join(f"<text:p>{line}</text:p><text:p/>" for line in _PARAGRAPHS)
        rows = "".join(
            "<table:table-row>"
            + "".join(f"<table:table-cell><text:p>{c}</text:p></table:table-cell>" for c in row)
            + "</table:table-row>"
            for row in _FEES
        )
        text = _LETTER.format(spaces=_SPACES, title="Marina of Lund", body=body, rows=rows)
        return _written(folder, f"letter.{kind}", converted(text.encode(), "fodt", kind))

    return make


def _slides(folder: Path) -> Path:
    data = flat_slides("Nine lakes, nine buoys", "What the ice says")
    return _written(folder, "slides.pptx", converted(data, "fodp", "pptx"))


def _table(folder: Path) -> Path:
    lines = (";".join(row) for row in (*_FEES, ("up to 25 m", "61.00", "980.00")))
    return _written(folder, "fees.csv", "\n".join(lines).encode())


def _scan(folder: Path) -> Path:
    """The report turned by four degrees, with the grain of a scanner, as TIFF."""
    with Image.open(DEMO / "report.png") as opened:
        page = opened.convert("L").reduce(2)
    turned = page.rotate(-4, Image.Resampling.BICUBIC, expand=True, fillcolor=245)
    grain = np.random.default_rng(0).normal(0, 4, (turned.height, turned.width))
    pixels = np.clip(np.asarray(turned) - 8 + grain, 0, 255).astype(np.uint8)
    path = folder / "scan.tif"
    Image.fromarray(pixels).save(path, compression="tiff_lzw")
    return path


def _demo(name: str) -> Callable[[Path], Path]:
    return lambda folder: _written(folder, name, (DEMO / name).read_bytes())


def _drawing(folder: Path) -> Path:
    return _written(folder, "lights.svg", _DRAWING.encode())


_DOCUMENTS: Final[dict[str, Callable[[Path], Path]]] = {
    "image": _demo("poster.png"),
    "scan": _scan,
    "pdf": _demo("invoice.pdf"),
    "web": _demo("ferry.html"),
    "spreadsheet": _demo("harvest.xlsx"),
    "csv": _table,
    "document": _letter("docx"),
    "slides": _slides,
    "drawing": _drawing,
}


if __name__ == "__main__":
    main()
