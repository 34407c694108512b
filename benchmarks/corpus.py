"""How fast is a corpus run beside datatrove's, and what does each stage take?

    python benchmarks/corpus.py [ARCHIVE.warc.gz] [--copies 4] [--workers 1] [--rounds 3]
        [--peer-env FOLDER] [--no-peer] [--out benchmarks/results]

Both read the same archives with as many processes: WARC, main body, Gopher's quality and
repetition filters, documents as gzipped JSON Lines. datatrove 0.10.1 extracts with trafilatura,
without images, and names no language; ours keeps images, names the language, and applies all of
its preliminary filters besides; it does not parse the pages that hold no image. Start-up counts for
both. Each round runs both, in turn; told are medians of the clock and of processor time of all
processes, which a busy machine stretches less. Bytecode of both is there, as after an installation:
each runs once untold. The copies of the archive are files of their own, as datatrove does not split
one.

So that both do the same work: records of pages say ``WARC-Identified-Payload-Type``, as those of
Common Crawl do (without it datatrove guesses, and passes over XHTML that begins with ``<?xml``);
and trafilatura does not deduplicate, as else it drops what it met twice, which copies are, before
datatrove filters it. ``--as-it-is`` leaves both as they are by default.

datatrove lives in an environment of its own, made on first use (``--peer-env``, by default under
the user's cache folder), as what it needs is not what tilewise is tested with.

Then a whole run of ours over one archive: documents a second and process of every stage, and the
bytes that a document takes on disk behind it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import processor
from tilewise.corpus.crawl.raw import RawPage
from tilewise.corpus.crawl.read import read_pages
from tilewise.corpus.pipeline import read_summary
from tilewise.corpus.plan import load_run
from tilewise.corpus.stage_files import StageFolder
from tilewise.corpus.stages import STAGES, count_shards

ROOT: Final = Path(__file__).resolve().parent.parent
ARCHIVE: Final = ROOT / "tests" / "golden" / "omnicorpus" / "golden.warc.gz"

PAGE: Final = re.compile(rb"\r\ncontent-type: *(?:text/html|application/xhtml\+xml)", re.IGNORECASE)

PEER_NEEDS: Final = (
    "datatrove==0.10.1", "warcio", "python-magic", "faust-cchardet", "trafilatura==2.3.1",
    "spacy", "orjson", "regex", "lxml[html-clean]",
)  # fmt: skip

PEER: Final = """
import sys
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers import JsonlWriter

if __name__ == "__main__":
    folder, out, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    LocalPipelineExecutor(
        pipeline=[
            WarcReader(folder, glob_pattern="*.warc.gz"),
            Trafilatura(favour_precision=True, timeout=10, deduplicate=sys.argv[4] == "yes"),
            GopherQualityFilter(),
            GopherRepetitionFilter(),
            JsonlWriter(out + "/out"),
        ],
        tasks=workers,
        workers=workers,
        logging_dir=out + "/logs",
    ).run()
"""


@dataclass(frozen=True)
class Took:
    """Seconds of one run: of the clock, and of the processor in all of its processes."""

    clock_s: float
    cpu_s: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, nargs="?", default=ARCHIVE)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    peer = cache / "tilewise" / "benchmarks" / "datatrove"
    parser.add_argument("--peer-env", type=Path, default=peer)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--as-it-is", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    told = [f"{processor()}; Python {sys.version.split()[0]}; start-up included."]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archives = folder / "archives"
        archives.mkdir()
        packed = args.archive.read_bytes()
        packed = packed if args.as_it_is else with_types(packed)
        for copy in range(args.copies):
            (archives / f"{copy:03}.warc.gz").write_bytes(packed)
        pages = args.copies * count_pages(args.archive)
        runs: dict[str, Callable[[Path], list[str]]] = {
            "tilewise": lambda out: ours(archives, out, args.workers)
        }
        if not args.no_peer:
            python = peer_python(args.peer_env)
            program = folder / "peer.py"
            program.write_text(PEER)
            runs["datatrove"] = lambda out: [
                str(python), str(program), str(archives), str(out), str(args.workers),
                "yes" if args.as_it_is else "no",
            ]  # fmt: skip
        told += side_by_side(runs, folder, pages, args.rounds, args.workers)
        told += per_stage(args.archive, folder / "whole")
    text = "\n".join(["# A corpus run", "", *told]) + "\n"
    print(text)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        path = args.out / f"{date.today().isoformat()}-corpus.md"
        path.write_text(text, encoding="utf-8")


def count_pages(archive: Path) -> int:
    """HTML pages of an archive."""
    raws = read_pages(str(archive), counts=lambda reason: None)
    return sum(isinstance(raw, RawPage) for raw in raws)


def with_types(packed: bytes) -> bytes:
    """An archive, a member a record, whose records of pages say so."""
    records = []
    while packed:
        unpacker = zlib.decompressobj(31)
        head, end, body = unpacker.decompress(packed).partition(b"\r\n\r\n")
        packed = unpacker.unused_data
        if PAGE.search(body.partition(b"\r\n\r\n")[0]):
            head += b"\r\nWARC-Identified-Payload-Type: text/html"
        records.append(gzip.compress(head + end + body, mtime=0))
    return b"".join(records)


def pages_read(out: Path) -> int:
    """Pages that either program read, as it says itself."""
    stats = out / "logs" / "stats.json"
    if stats.exists():
        return int(json.loads(stats.read_bytes())[0]["stats"]["documents"]["total"])
    summary = read_summary(load_run(out), "read")
    assert summary is not None, "the stage read has ended"
    return summary.counts.kept.documents


def ours(archives: Path, out: Path, workers: int) -> list[str]:
    """The command of our run, as far as the other one goes."""
    words = ["corpus", "build", str(archives / "*.warc.gz"), "--out", str(out)]
    words += ["--until", "prelim_text", "--workers", str(workers)]
    return [sys.executable, "-m", "tilewise", *words]


def peer_python(folder: Path) -> Path:
    """The interpreter of datatrove's environment, which is made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    check = [str(python), "-c", "import datatrove, trafilatura, spacy, warcio, magic, orjson"]
    if subprocess.run(check, check=False, capture_output=True).returncode:
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEER_NEEDS], check=True)
    return python


def side_by_side(
    runs: dict[str, Callable[[Path], list[str]]],
    folder: Path,
    pages: int,
    rounds: int,
    workers: int,
) -> Iterator[str]:
    """Pages a second of each program, rounds in turn."""
    took: dict[str, list[Took]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, command in runs.items():
            one = timed(command(folder / f"{name}-{number}"), folder / "bytecode")
            took[name] += [one] if number else []
    yield ""
    yield f"Read, extract, filter {pages:,} pages with {workers} workers, {rounds} rounds:"
    yield ""
    yield "| program | read | pages/s | pages/s of processor time | clock, s (least to most) |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    rates = {}
    for name, all_took in took.items():
        clock = [one.clock_s for one in all_took]
        by_clock = pages / statistics.median(clock)
        by_cpu = pages / statistics.median(one.cpu_s for one in all_took)
        rates[name] = by_clock, by_cpu
        spread = f"{min(clock):.1f} to {max(clock):.1f}"
        read = pages_read(folder / f"{name}-1")
        yield f"| {name} | {read:,} | {by_clock:.0f} | {by_cpu:.0f} | {spread} |"
    if len(rates) == 2:
        ratios = [one / other for one, other in zip(*rates.values(), strict=True)]
        yield ""
        told = f"{ratios[0]:.2f} times by the clock, {ratios[1]:.2f} times by the processor"
        yield f"Ours is faster: {told}."


def timed(command: list[str], bytecode: Path) -> Took:
    """What a command took, with the processes that it started; ``bytecode`` is kept there."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    env |= {"PYTHONPYCACHEPREFIX": str(bytecode), "PYTHONDONTWRITEBYTECODE": ""}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
    clock_s = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(clock_s, cpu_s)


def per_stage(archive: Path, out: Path) -> Iterator[str]:
    """Rates and bytes of every stage of a whole run over one archive, one process."""
    words = ["corpus", "build", str(archive), "--out", str(out), "--workers", "1"]
    words += ["--set", "output.image_files=false"]
    timed([sys.executable, "-m", "tilewise", *words], out.parent / "bytecode")
    run = load_run(out)
    yield ""
    yield "A whole run over one archive, one process:"
    yield ""
    yield "Rates are of processor time."
    yield ""
    yield "| stage | documents | kept | documents/s | s over all shards | bytes a document |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for stage in STAGES:
        one = read_summary(run, stage)
        assert one is not None, f"stage {stage} has ended"
        came, kept = one.counts.taken.documents, one.counts.kept.documents
        folder = StageFolder(run.folder(stage))
        size = 0
        for shard in range(count_shards(run, stage)):
            files = (folder.read_marker(shard) or {})["files"]
            size += sum(said["bytes"] for said in files.values())
        each = size / kept if kept else 0
        rate = came / one.cpu_s
        yield f"| {stage} | {came:,} | {kept:,} | {rate:,.0f} | {one.global_s:.2f} | {each:,.0f} |"
    index = json.loads((out / "final" / "index.json").read_bytes())
    fetched = sum(path.stat().st_size for path in (out / "fetched").iterdir())
    yield ""
    yield (
        f"Output: {index['bytes'] / max(1, index['rows']):,.0f} bytes a document in Parquet; "
        f"images: {fetched / max(1, index['rows']):,.0f} bytes a document of the output."
    )


if __name__ == "__main__":
    main()
