"""Are near-duplicates found, and what does it cost?

    python benchmarks/corpus_dedup.py [--documents 100000] [--words 300] [--out benchmarks/results]
    python benchmarks/corpus_dedup.py --documents 1000000 --words 60 --only pipeline --shapes 16x7

Documents of made-up words, some of which are copies with a run of words changed, so that their
Jaccard similarity of word 5-grams is spread evenly from 0.8 up; as many again are traps from 0.6
to 0.8. The truth is counted by sets of strings, apart from the code measured. Recall: of the
planted pairs at 0.8 and above, those of which one was dropped for the other. Precision: of the
documents dropped, those at 0.8 and above to the one kept. The whole run is one process; its memory
is the peak of a process of its own, less what it held after the imports. Signatures are also made
by datasketch and rensa where these are installed, from the same folded text. Seconds are those of
the processor, which a busy machine stretches less than the clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.machine import processor
from tilewise.corpus.dedup.documents import DedupConfig, find_duplicates
from tilewise.corpus.dedup.facts import text_of
from tilewise.corpus.dedup.minhash import MinHashConfig, fold, shingles, signature
from tilewise.corpus.dedup.steps import read_documents
from tilewise.corpus.stage_files import RowWriter
from tilewise.records import Block, Document
from tilewise.shards.documents import to_row

VOCABULARY: Final = 50_000
SHARD: Final = 10_000
PLANTED: Final = 0.1  # of all documents are copies at 0.8 and above, and as many are traps
SHAPES: Final = {"16x7": (16, 7), "14x8": (14, 8)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--only", choices=["pipeline", "signatures"])
    parser.add_argument("--work", type=Path, help="a folder for shards; default: a temporary one")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(Path(args.child[0]), int(args.child[1]), int(args.child[2]))
        return
    told = [machine()]
    with tempfile.TemporaryDirectory(dir=args.work) as name:
        folder = Path(name)
        planted = make(folder / "shards", args.documents, args.words)
        if args.only != "signatures":
            told += pipeline(folder, planted, args.documents, args.words, args.shapes)
        if args.only != "pipeline":
            told += side_by_side(folder)
    text = "\n\n".join(["# Deduplication of documents", *told]) + "\n"
    print(text)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        path = args.out / f"{date.today().isoformat()}-corpus-dedup.md"
        with path.open("a", encoding="utf-8") as file:
            file.write(text)


def make(folder: Path, count: int, length: int) -> dict[str, tuple[str, float]]:
    """Write shards; by the id of each planted copy its original's, and their similarity."""
    rng = np.random.default_rng(20240611)
    words = np.array([f"{word:05x}"[::-1].translate(LETTERS) for word in range(VOCABULARY)])
    planted: dict[str, tuple[str, float]] = {}
    pairs = int(count * 2 * PLANTED)
    numbers = rng.permutation(count)
    originals = numbers[pairs : 2 * pairs]
    held: dict[int, Any] = {}
    copy_of = dict(zip(numbers[:pairs].tolist(), originals.tolist(), strict=True))
    wanted = set(originals.tolist())
    order = [n for n in range(count) if n not in copy_of] + [
        n for n in range(count) if n in copy_of
    ]
    for start in range(0, count, SHARD):
        with RowWriter(folder / f"part-{start // SHARD:05}.jsonl.gz") as writer:
            for number in order[start : start + SHARD]:
                if number in copy_of:
                    base = held.pop(copy_of[number])
                    low, high = (0.8, 1.0) if number % 2 else (0.6, 0.8)
                    drawn = near_copy(base, rng, float(rng.uniform(low, high)))
                    truth = jaccard(words[base].tolist(), words[drawn].tolist())
                    planted[f"{number:032x}"] = (f"{copy_of[number]:032x}", truth)
                else:
                    size = max(12, int(rng.normal(length, length / 6)))
                    drawn = (VOCABULARY * rng.random(size) ** 2.5).astype(np.int64)
                    if number in wanted:
                        held[number] = drawn
                writer.write(to_row(document(number, words[drawn].tolist(), rng)))
            writer.commit()
    return planted


LETTERS: Final = str.maketrans("0123456789abcdef", "aeioubcdfglmnprs")


def near_copy(base: Any, rng: np.random.Generator, similarity: float) -> Any:
    """Words with one run of them changed, for about this similarity of word 5-grams."""
    grams = len(base) - 4
    run = max(1, round(grams * (1 - similarity) / (1 + similarity)) - 4)
    start = int(rng.integers(4, len(base) - run - 4)) if len(base) > run + 8 else 0
    drawn = base.copy()
    drawn[start : start + run] = (
        base[start : start + run] + 1 + rng.integers(0, 40_000)
    ) % VOCABULARY
    return drawn


def document(number: int, words: Sequence[str], rng: np.random.Generator) -> Document:
    """A document of paragraphs of 60 words."""
    texts = [" ".join(words[start : start + 60]) for start in range(0, len(words), 60)]
    return Document(
        id=f"{number:032x}",
        url=f"http://site{number % 997}.example/{number}",
        captured=f"20{int(rng.integers(13, 24))}-01-01T00:00:00Z",
        blocks=tuple(Block(kind="text", text=text + ".") for text in texts),
    )


def jaccard(one: list[str], other: list[str]) -> float:
    """Of the sets of word 5-grams, as strings."""
    sets = [{" ".join(w[n : n + 5]) for n in range(len(w) - 4)} for w in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def pipeline(
    folder: Path,
    planted: dict[str, tuple[str, float]],
    documents: int,
    words: int,
    shapes: Sequence[str],
) -> Iterator[str]:
    """Quality, time, memory and disk of the whole run, for each shape of bands."""
    rows, steps = [], []
    for bands, rows_each in (SHAPES[shape] for shape in shapes):
        work = folder / f"work-{bands}"
        command = [sys.executable, __file__, "--child", str(folder), str(bands), str(rows_each)]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        told = json.loads(result.stdout.splitlines()[-1])
        disk = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
        shutil.rmtree(work)
        rows.append([
            f"{bands} x {rows_each}", *quality(planted, told["decisions"]),
            f"{told['candidates']:,}", f"{told['seconds']:.0f}", f"{told['wall']:.0f}",
            f"{documents / told['seconds']:,.0f}", f"{told['state_bytes']:.0f}",
            f"{told['peak_bytes'] / 2**20:.0f}", f"{disk / documents:.0f}",
        ])  # fmt: skip
        steps.append([f"{bands} x {rows_each}", *(f"{s:.1f}" for s in told["steps"].values())])
        names = list(told["steps"])
    yield (
        f"{documents:,} documents of about {words} words, {len(planted):,} of them near copies, "
        "half of these at 0.8 and above."
    )
    yield table(
        ["bands", "recall", "at 0.80 to 0.82", "precision", "dropped", "verified pairs", "s",
         "wall s", "documents/s", "state, bytes/document", "peak memory, MiB",
         "disk, bytes/document"], rows,
    )  # fmt: skip
    yield "Seconds by step:"
    yield table(["bands", *names], steps)


def quality(planted: dict[str, tuple[str, float]], decisions: dict[str, str]) -> list[str]:
    """Recall over all, recall at the threshold, precision, and how many were dropped."""
    met, near, right = [], [], 0
    for copy, (original, truth) in planted.items():
        is_met = decisions.get(copy) == original or decisions.get(original) == copy
        right += is_met and truth >= 0.8
        if truth >= 0.8:
            met.append(is_met)
        if 0.8 <= truth < 0.82:
            near.append(is_met)
    precision = right / max(1, len(decisions))
    return [
        f"{statistics.mean(met):.4f}", f"{statistics.mean(near):.3f} of {len(near):,}",
        f"{precision:.4f}", f"{len(decisions):,}",
    ]  # fmt: skip


def child(folder: Path, bands: int, rows: int) -> None:
    """One run; prints what it found and what it took, as JSON."""
    paths = sorted((folder / "shards").iterdir())
    before, clock = peak_bytes(), Clock()
    cfg = DedupConfig(bands=bands, rows=rows)
    began, wall = time.process_time(), time.perf_counter()
    found = find_duplicates(paths, folder / f"work-{bands}", cfg, told=clock)
    seconds, wall = time.process_time() - began, time.perf_counter() - wall
    held = peak_bytes() - before
    decisions = {}
    for shard, path in enumerate(paths):
        for one, decision in zip(read_documents(path), found.of(shard), strict=True):
            if decision.level is not None:
                decisions[one.id] = decision.kept
    print(json.dumps({
        "decisions": decisions, "seconds": seconds, "wall": wall, "steps": clock.steps,
        "peak_bytes": held, "candidates": found.candidates, "state_bytes": found.state_bytes,
    }))  # fmt: skip


class Clock:
    """Seconds by step."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}
        self._last = time.process_time()

    def __call__(self, name: str, done: int, of: int) -> None:
        """Add the time since the last call to a step."""
        now = time.process_time()
        self.steps[name] = self.steps.get(name, 0.0) + now - self._last
        self._last = now


def peak_bytes() -> int:
    """The most memory that this process has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def side_by_side(folder: Path, count: int = 2000, repeats: int = 5) -> Iterator[str]:
    """Signatures of 112 values by three libraries: medians of turns taken one after another."""
    path = sorted((folder / "shards").iterdir())[0]
    texts = [text_of(one) for _, one in zip(range(count), read_documents(path), strict=False)]
    ways = {f"tilewise ({name})": way for name, way in own().items()} | others()
    for way in ways.values():
        way(texts[:20])
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.process_time()
            way(texts)
            seconds[name].append(time.process_time() - began)
    rows = []
    for name, each in seconds.items():
        rates = [count / one for one in each]
        rows.append(
            [name, f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f} to {max(rates):,.0f}"]
        )
    yield f"Signatures of {count:,} documents, 112 values, one thread: median of {repeats} turns."
    yield table(["made by", "documents/s", "range"], rows)


def own() -> dict[str, Callable[[list[str]], object]]:
    """From text, and its parts."""
    cfg = MinHashConfig()
    known: dict[int, list[Any]] = {}

    def whole(texts: list[str]) -> object:
        return [signature(shingles(fold(text), cfg), cfg) for text in texts]

    def values(texts: list[str]) -> object:
        if len(texts) not in known:
            known[len(texts)] = [shingles(fold(text), cfg) for text in texts]
        return [signature(one, cfg) for one in known[len(texts)]]

    return {"text to signature": whole, "hashed shingles to signature": values}


def others() -> dict[str, Callable[[list[str]], object]]:
    """The libraries that are installed, from text and from hashed shingles."""
    ways: dict[str, Callable[[list[str]], object]] = {}
    cfg = MinHashConfig()

    def grams(text: str) -> list[str]:
        words = "".join(map(chr, fold(text))).split()
        return [" ".join(words[n : n + 5]) for n in range(len(words) - 4)]

    if is_there("datasketch"):
        sketch = import_module("datasketch").MinHash

        def sketched(texts: list[str]) -> object:
            made = []
            for text in texts:
                one = sketch(112, seed=1)
                one.update_batch([gram.encode() for gram in grams(text)])
                made.append(one.hashvalues)
            return made

        ways[f"datasketch {version('datasketch')} (text to signature)"] = sketched
    if is_there("rensa"):
        hashing = import_module("rensa").RMinHash
        known: dict[int, tuple[Any, Any]] = {}

        def rows(texts: list[str]) -> object:
            return hashing.digest_matrix_from_token_sets(
                [grams(t) for t in texts], 112, 1
            ).to_rows()

        def values(texts: list[str]) -> object:
            if len(texts) not in known:
                each = [shingles(fold(text), cfg).astype(np.uint64) for text in texts]
                ends = np.cumsum([0, *map(len, each)]).astype(np.uint64)
                known[len(texts)] = np.concatenate(each), ends
            hashes, ends = known[len(texts)]
            return hashing.digest_matrix_from_flat_token_hashes(hashes, ends, 112, 1).to_rows()

        ways[f"rensa {version('rensa')} (text to signature)"] = rows
        ways[f"rensa {version('rensa')} (hashed shingles to signature)"] = values
    return ways


def is_there(package: str) -> bool:
    """Whether a package is installed."""
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """What ran."""
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    return (
        f"{processor()} at the start; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"OMP_NUM_THREADS {threads}."
    )


if __name__ == "__main__":
    main()
