"""Images of web pages: how many are decoded, hashed, found and fetched in a second?

    python benchmarks/corpus_images.py [ARCHIVE.warc.gz] [--rounds 3] [--hosts 100]
        [--out benchmarks/results]

Decoding: images of an archive, and photographs made by a seed, as JPEG of common sizes. Rates are
by processor time: Pillow with imagehash in this process, and ``ImageMeter``, whose process and
what it costs to ask it are counted together. Fetching: a server on this machine with many host
names and no delay between requests, so that only our own work limits the rate; with a polite delay
of half a second a host gives two images a second, whatever the machine. A lookup is of an address
in a store of so many.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import imagehash
import numpy as np
from PIL import Image

from benchmarks.machine import processor
from tilewise.corpus.crawl.raw import RawImage
from tilewise.corpus.crawl.read import read_pages
from tilewise.corpus.images.facts import ImageMeter
from tilewise.corpus.images.fetch import fetch_images
from tilewise.corpus.images.fetch_config import FetchConfig
from tilewise.corpus.images.index import KEYS, ImageIndex, index_images
from tilewise.corpus.images.store import ImagePart
from tilewise.sources.processes import cpu_seconds

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "omnicorpus" / "golden.warc.gz"
SIZES = ((320, 240, 60), (640, 480, 40), (1280, 960, 20), (3000, 2000, 6))
PER_HOST = 40
STORED = 200_000

SERVER = """
import asyncio, sys
body = open(sys.argv[1], "rb").read()
head = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
missing = b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\n\\r\\n"
async def answer(reader, writer):
    try:
        while True:
            asked = await reader.readuntil(b"\\r\\n\\r\\n")
            writer.write(missing if b"robots.txt" in asked[:40] else head + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass
class Rate:
    """One row: a set of images, in images a second."""

    name: str
    count: int
    size_bytes: int
    plain: float
    ours: float


def main() -> None:
    """Measure, print the table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", nargs="?", default=str(GOLDEN))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    machine = processor()
    sets = {f"images of {Path(args.archive).name}": _archived(args.archive)}
    sets |= {f"photographs, {w} × {h}, JPEG": _photographs(w, h, n) for w, h, n in SIZES}
    rates = [_rate(name, images, args.rounds) for name, images in sets.items()]
    fetched = [_fetch(args.hosts, size) for size in (5_000, 50_000, 500_000)]
    text = _report(args, machine, rates, fetched, _lookups())
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{date.today().isoformat()}-corpus-images.md").write_text(text)


def _archived(archive: str) -> list[bytes]:
    raws = read_pages(archive, counts=lambda _: None)
    return [raw.data for raw in raws if isinstance(raw, RawImage) and b"\n" not in raw.data[:4]]


def _photographs(width: int, height: int, count: int) -> list[bytes]:
    """Soft colours with grain: files as large as photographs are."""
    rng, found = np.random.default_rng(width), []
    for _ in range(count):
        small = rng.integers(0, 256, (9, 12, 3), np.uint8)
        image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        grain = rng.normal(0, 6, (height, width, 1))
        pixels = np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
        out = BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=85)
        found.append(out.getvalue())
    return found


def _rate(name: str, images: Sequence[bytes], rounds: int) -> Rate:
    meter, plain, ours = ImageMeter(), [], []
    meter.measure(images[:1])
    _plain(images[0])
    try:
        for _ in range(rounds):
            began = process_time()
            for data in images:
                _plain(data)
            plain.append(process_time() - began)
            running = meter._decoder.running
            assert running is not None
            before, began = cpu_seconds(running.process.pid), process_time()
            meter.measure(images)
            ours.append(process_time() - began + cpu_seconds(running.process.pid) - before)
    finally:
        meter.close()
    size = sum(map(len, images))
    rate = [len(images) / statistics.median(taken) for taken in (plain, ours)]
    return Rate(name, len(images), size, rate[0], rate[1])


def _plain(data: bytes) -> None:
    Image.MAX_IMAGE_PIXELS = 10**8
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(BytesIO(data)) as image:
            imagehash.phash(image)
            imagehash.dhash(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return


def _fetch(hosts: int, size: int) -> tuple[int, int, float, float, int]:
    """Size and number of images, seconds by the clock and of the processor, and how many came."""
    noise = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    body = b"\x89PNG\r\n\x1a\n" + noise
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body").write_bytes(body)
        command = [sys.executable, "-c", SERVER, str(folder / "body")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            urls = [f"http://{h}.example:{port}/{n}.png" for h in range(hosts)
                    for n in range(PER_HOST)]  # fmt: skip
            cfg = FetchConfig(
                contact="benchmark@tilewise.example", delay_s=0.0, allow_private=True,
                concurrency=64,
            )  # fmt: skip
            began, clock = process_time(), perf_counter()
            counts = fetch_images(urls, folder, "web", cfg, look_up=_here)
            taken = perf_counter() - clock, process_time() - began
            server.kill()
    return size, len(urls), *taken, counts["kept"]


def _here(host: str, port: int, timeout_s: float) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def _lookups() -> tuple[float, float]:
    """Addresses looked up a second, and bytes of the index for each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ImagePart(folder, "web") as part:
            for n in range(STORED):
                part.fail(f"http://{n % 977}.example/{n}.png", "image_unavailable", "status 404")
        index_images(folder)
        index = ImageIndex(folder)
        order = np.random.default_rng(1).permutation(STORED)[:20_000]
        began = process_time()
        for n in order:
            assert index.lookup(f"http://{n % 977}.example/{n}.png").detail == "status 404"
        taken = process_time() - began
        index.close()
        return len(order) / taken, (folder / KEYS).stat().st_size / STORED


def _report(
    args: argparse.Namespace,
    machine: str,
    rates: Sequence[Rate],
    fetched: Sequence[tuple[int, int, float, float, int]],
    lookups: tuple[float, float],
) -> str:
    lines = [
        "# Images of web pages\n",
        f"{machine}; rates are for one core, by processor time, median of {args.rounds} rounds in "
        "turn.\n",
        "Decoding and both hashes:\n",
        "| images | count | mean bytes | Pillow and imagehash, images/s | ImageMeter, images/s "
        "| its share |",
        "| --- " * 6 + "|",
    ]
    lines += [
        f"| {one.name} | {one.count} | {one.size_bytes // one.count:,} | {one.plain:,.0f} "
        f"| {one.ours:,.0f} | {one.ours / one.plain:.2f} |"
        for one in rates
    ]
    lines += [
        f"\nFetching from a server on this machine, {args.hosts} hosts, 64 at once, no delay:\n",
        "| bytes of an image | images | came | images/s by the clock | images/s of a core "
        "| Gbit/s of a core |",
        "| --- " * 6 + "|",
    ]
    lines += [
        f"| {size:,} | {count:,} | {came:,} | {came / wall:,.0f} | {came / cpu:,.0f} "
        f"| {came * size * 8 / cpu / 1e9:.2f} |"
        for size, count, wall, cpu, came in fetched
    ]
    lines.append(
        f"\nLookups in a store of {STORED:,}: {lookups[0]:,.0f} a second of a core; "
        f"{lookups[1]:.0f} bytes of index for each address.\n"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
