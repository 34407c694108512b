"""What does it take to get the first page out of a file of every kind?

    python benchmarks/sources.py [--repeats 3] [--only xlsx,docx] [--out benchmarks/results]

Images hold the bundled report page of 2480 x 3508 px; office files, web pages and the rest are
those of the tests of real files. Every run is a process of its own, in which tilewise has been
imported when the clock starts. Memory is the most that this process and all programs that it
started held at one time, sampled every 20 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from PIL import Image

from benchmarks.machine import processor
from tests.fuzz.family import family_pss
from tests.sources.real_files import FILES, ROOT, missing

SAMPLE_S: Final = 0.02

_CHILD: Final = """
import json, sys, time
from tilewise.sources.pages import open_source
print("ready", flush=True)
began = time.perf_counter()
with open_source(sys.argv[1]) as source:
    opened = time.perf_counter() - began
    page = source.page(1)
    took = time.perf_counter() - began
    print(json.dumps([opened, took, source.count, page.width, page.height]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measurement: seconds to open and to the first page, and the most memory seen."""

    open_s: float
    page_s: float
    pages: int
    width: int
    height: int
    peak_bytes: int


def main() -> None:
    """Measure all kinds, print a table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", help="names of rows with commas between")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    machine = processor()
    rows = [
        "| kind | file | open | first page | fastest to slowest | pages | pixels | memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder  # for what the makers of files leave there
        for name, path in _files(Path(folder), args.only):
            rows.append(_row(name, path, [_measured(path) for _ in range(args.repeats)]))
            print(rows[-1], flush=True)
    tempfile.tempdir = None
    text = (
        f"# From a file to its first page\n\n{machine} at the start; Python "
        f"{platform.python_version()}. Seconds: median of {args.repeats} runs. Memory: MiB of "
        "tilewise with the programs it starts; Python with the imports holds "
        f"{_measured(ROOT / 'tests/fixtures/scene.heic').peak_bytes >> 20} MiB of it.\n\n"
        + "\n".join(rows)
        + "\n"
    )
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{date.today().isoformat()}-sources.md").write_text(text)


def _files(folder: Path, only: str | None) -> Iterator[tuple[str, Path]]:
    """Name and path of every file whose programs are here."""
    wanted = only.split(",") if only else None
    for name, make in _scans().items():
        if wanted is None or name in wanted:
            path = folder / f"scan.{name}"
            path.write_bytes(make())
            yield name, path
    for file in FILES:
        is_ours = file.check in ("pdf", "web") and "data:" not in file.name
        if not is_ours or (wanted is not None and file.name not in wanted):
            continue
        lacking = missing(file.needs)
        if lacking:
            print(f"{file.name} is left out: {lacking} is not here")
            continue
        made, _ = file.make()
        if not isinstance(made, Path):
            assert isinstance(made, bytes)
            path = folder / f"made.{file.name.partition(',')[0]}"
            path.write_bytes(made)
            made = path
        yield file.name, made


def _scans() -> dict[str, Callable[[], bytes]]:
    """The bundled report page as every kind of image."""
    with Image.open(ROOT / "src/tilewise/assets/demo/report.png") as opened:
        picture = opened.convert("RGB")

    def saved(kind: str, **options: Any) -> Callable[[], bytes]:
        def make() -> bytes:
            file = BytesIO()
            picture.save(file, kind, **options)
            return file.getvalue()

        return make

    made = {kind.lower(): saved(kind) for kind in ("PNG", "WEBP", "BMP", "GIF", "AVIF")}
    made["jpg"] = saved("JPEG", quality=85)
    made["tif"] = saved("TIFF", compression="tiff_lzw", save_all=True, append_images=[picture] * 4)
    if not missing("c44"):
        made["djvu"] = lambda: _djvu(picture)
    return made


def _djvu(picture: Image.Image) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        picture.save(f"{folder}/a.ppm")
        subprocess.run(["c44", f"{folder}/a.ppm", f"{folder}/a.djvu"], check=True)
        return Path(folder, "a.djvu").read_bytes()


def _measured(path: Path) -> Run:
    more = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(path)],
        stdout=subprocess.PIPE, text=True, env=os.environ | more,
    )  # fmt: skip
    assert child.stdout is not None  # it is a pipe
    with child.stdout:
        assert child.stdout.readline() == "ready\n"
        peak = 0
        while child.poll() is None:
            peak = max(peak, family_pss(child.pid))
            time.sleep(SAMPLE_S)
        opened, took, pages, width, height = json.loads(child.stdout.read())
    return Run(open_s=opened, page_s=took, pages=pages, width=width, height=height, peak_bytes=peak)


def _row(name: str, path: Path, runs: list[Run]) -> str:
    first = runs[0]
    times = [run.page_s for run in runs]
    return (
        f"| {name} | {path.stat().st_size / 1024:,.0f} KiB | "
        f"{statistics.median(run.open_s for run in runs):.2f} | {statistics.median(times):.2f} | "
        f"{min(times):.2f} to {max(times):.2f} | {first.pages} | {first.width} x {first.height} | "
        f"{max(run.peak_bytes for run in runs) >> 20:,} |"
    )


if __name__ == "__main__":
    main()
