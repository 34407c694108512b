"""Which documents of Debian packages real pages are made of, and under which licence."""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pypdfium2

from tilewise.synth.real import RealSplit

HELDOUT_PERCENT: Final = 15
PART: Final = 30  # pages of a long PDF that count as a document of their own


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package, the licence of its documents, what its copyright file says, and quota."""

    name: str
    licence: str
    evidence: str
    pages: int


PACKAGES: Final = (
    Package("sqlite3-doc", "public domain", "License: public-domain", 240),
    Package("python3.11-doc", "PSF-2.0", "PYTHON SOFTWARE FOUNDATION LICENSE", 270),
    Package("git-doc", "GPL-2.0", "License: GPL-2", 190),
    Package("gimp-help-en", "GFDL-1.2+", "GFDL-NIV-1.2+", 180),
    Package("debian-reference-en", "GPL-2.0+", "License: GPL-2+", 130),
    Package("octave-doc", "GPL-3.0+", "License: GPL-3+", 190),
    Package("gnuplot-doc", "gnuplot", "distribute this software and its", 120),
    Package("asymptote-doc", "GPL-3.0+", "License: GPL-3+", 110),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file of a package, or for a long PDF one part of it."""

    package: Package
    version: str
    path: Path
    pages: int  # how many of its pages are tried
    part: int = 0  # of PART pages each

    @property
    def digest(self) -> int:
        """A number that hangs on package, path and part alone."""
        text = f"{self.package.name}:{self.path}:{self.part}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])

    @property
    def split(self) -> RealSplit:
        """Which side of the split the whole document is on."""
        return "heldout" if self.digest % 100 < HELDOUT_PERCENT else "train"

    @property
    def kind(self) -> str:
        """Html or pdf."""
        return "pdf" if self.path.suffix == ".pdf" else "html"


def documents(package: Package) -> list[Document]:
    """The HTML and PDF files of an installed package, in the order of their digests."""
    query = ["dpkg-query", "-W", "-f", "${Status} ${Version}", package.name]
    status = subprocess.run(query, capture_output=True, text=True, check=False)
    if not status.stdout.startswith("install ok installed"):
        print(f"{package.name} is not installed and is left out; apt-get install {package.name}")
        return []
    rights = Path("/usr/share/doc", package.name, "copyright").read_text("utf-8", "replace")
    if package.evidence not in rights:
        raise SystemExit(f"{package.name}: its copyright file does not say {package.evidence!r}.")
    listing = subprocess.run(
        ["dpkg", "-L", package.name], capture_output=True, text=True, check=True
    ).stdout
    files = [Path(line) for line in listing.splitlines() if re.search(r"\.(html?|pdf)$", line)]
    seen: dict[Path, Path] = {}
    for path in files:
        if path.is_file() and 3_000 < path.stat().st_size < 3_000_000:
            seen.setdefault(path.resolve(), path)
    share = min(12, max(3, round(3 * package.pages / max(len(seen), 1))))
    version = status.stdout.split()[-1]
    html = [
        Document(package=package, version=version, path=path, pages=share)
        for path in seen
        if path.suffix != ".pdf"
    ]
    parts = [
        Document(package=package, version=version, path=path, pages=8, part=part)
        for path in seen
        if path.suffix == ".pdf"
        for part in range(-(-page_count(path) // PART))
    ]
    turns = [(k, d) for kind in (html, parts) for k, d in enumerate(sorted(kind, key=by_digest))]
    return [d for _, d in sorted(turns, key=lambda turn: turn[0])]


def by_digest(document: Document) -> int:
    """A key that shuffles documents the same way on every machine."""
    return document.digest


def page_count(path: Path) -> int:
    """Pages of a PDF."""
    with pypdfium2.PdfDocument(path) as pdf:
        return len(pdf)
