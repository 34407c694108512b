"""Enlarged photos against their truth, and what enlarging is worth to readers of small print.

    python benchmarks/superres.py                   # both parts, on what tests/golden has
    python benchmarks/superres.py photos --golden GOLDENS/sdan [--model FOLDER]
    python benchmarks/superres.py reading --golden GOLDENS/sdan [--pages 8] [--seed 7]
    python benchmarks/superres.py ordinary --pages 175 --seed 78

``photos`` enlarges zoom pairs by bicubic and Lanczos interpolation, the shipped networks, further
ones (``--model``), and Real-ESRGAN, which ``pip install 'tilewise[benchmark]'`` brings with
scikit-image; on Debian it needs libvulkan1 and libomp5. It takes minutes.

``reading`` asks the default reader, and Tesseract where it is installed, to read the same pages
as they are, as ``--upscale auto`` has them, and enlarged whatever they are. What was said is kept
in ``--kept``, so that a run that was stopped goes on. Thresholds of the policy were found with
``--seed 1``; the results are of other seeds.

``ordinary`` asks the default reader about pages of all kinds, as they are and as ``auto`` has them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import date
from pathlib import Path
from tempfile import gettempdir

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import processor
from benchmarks.superres_parts import ordinary, photos, reading
from tilewise.models.folders import DEFAULT
from tilewise.models.load import load
from tilewise.synth.real import default_folder

ROOT = Path(__file__).resolve().parent
GOLDEN = Path(os.environ.get("TILEWISE_GOLDEN") or ROOT.parent / "tests" / "golden") / "sdan"


def main() -> None:
    """Measure the parts that are asked for, print tables and write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="photos, reading, ordinary; default the first two")
    parser.add_argument(
        "--golden",
        type=Path,
        default=GOLDEN,
        help="with pairs/ and text/; default sdan in TILEWISE_GOLDEN, else in tests/golden",
    )
    parser.add_argument("--model", action="append", default=[], help="network beside the shipped")
    parser.add_argument("--pages", type=int, default=8, help="made for each kind of print")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--arms", default="off,auto,bicubic 2", help="e.g. ours 2, deblur 0.01")
    parser.add_argument("--readers", default="default,Tesseract")
    parser.add_argument("--kept", type=Path, default=Path(gettempdir()) / "tilewise-said.jsonl")
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    args = parser.parse_args()
    if not args.golden.is_dir():
        parser.error(f"{args.golden} is no folder; name one with pairs/ and text/: --golden.")
    makers = {"photos": _photos, "reading": _reading, "ordinary": _ordinary}
    for part in args.parts or ("photos", "reading"):
        if part not in makers:
            parser.error(f"{part!r} is no part; there are {', '.join(makers)}.")
        text = makers[part](args)
        print(text)
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / f"{date.today().isoformat()}-superres-{part}.md").write_text(text)


def _photos(args: argparse.Namespace) -> str:
    began, machine = time.perf_counter(), processor()

    def told(name: str) -> None:
        print(f"{time.perf_counter() - began:.0f} s {name}", file=sys.stderr, flush=True)

    try:
        found = photos.table(args.golden / "pairs", args.model, told)
    except FileNotFoundError as err:
        sys.exit(f"{err}.")
    lines = [
        "# Enlarged photos",
        "",
        f"{machine}. Zoom pairs made from photographs that none of ours learned from; 32 px "
        "of the border are cut; PSNR in dB and SSIM, on RGB and on luma (Y). «Aligned» is the "
        "scene as the camera of the input sees it, «real» the frame of a zoomed camera that moved.",
        *("\n" + note for note in found.notes),
        "",
        *found.rows,
    ]
    return "\n".join(lines) + "\n"


def _ordinary(args: argparse.Namespace) -> str:
    lines = [
        "# What `--upscale auto` does to ordinary pages",
        "",
        f"{processor()}. tilewise-nano at its own budget of tiles, seed {args.seed}: made pages of "
        "the test split, and held-out real ones where they are on this machine. Look-ups and the "
        "texts of pages that were changed; processor time in seconds.",
        "",
        *(ordinary.HEAD, "|" + " --- |" * 11),
    ]
    reader, folder = load(DEFAULT), default_folder()
    for kind in ("made", "real") if folder.is_dir() else ("made",):
        subjects = ordinary.subjects(kind, folder, args.seed, args.pages)
        found = list(ordinary.rows(subjects, reader, lambda name: print(name, file=sys.stderr)))
        lines.append(ordinary.line(kind, found))
    return "\n".join(lines) + "\n"


def _reading(args: argparse.Namespace) -> str:
    names, wanted = args.arms.split(","), args.readers.split(",")
    began = time.perf_counter()

    def told(name: str) -> None:
        print(f"{time.perf_counter() - began:.0f} s {name}", file=sys.stderr, flush=True)

    found = reading.items(args.golden / "text", args.seed, args.pages)
    shots = reading.shoot(found, names, wanted, args.kept, told)
    lines = [
        "# Reading small and blurred print",
        "",
        f"{processor()}. Seed {args.seed}, {args.pages} pages a kind of made print. Characters "
        "wrong in % of those there, spaces between words counted alike, after "
        f"«{reading.QUESTION}» or by `tesseract --psm 6`. The interval of the difference is that "
        "of drawing pages again, 1000 times.",
    ]
    for reader in wanted:
        lines += ["", f"## {reader}", "", *reading.table(shots, names, reader)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
