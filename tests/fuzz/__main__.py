"""Read thousands of damaged files over all readers and say what went wrong.

    python -m tests.fuzz [--count 10000] [--seed 0] [--jobs 2] [--groups images,pdf] [--out FOLDER]

Files that a reader fails at are kept in the folder with what was said; without any the exit
status is 0. The same seed, versions and number give the same files.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import time
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

from benchmarks.machine import processor
from tests.fuzz.pool import LIMIT_BYTES, LIMIT_S, SHARES, Result, run, shared_out
from tests.fuzz.worker import damaged


def main() -> int:
    """Run, keep failures, print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--groups", default=",".join(SHARES), help="names with commas between")
    parser.add_argument("--out", type=Path, default=Path("out.fuzz"), help="where failures go")
    parser.add_argument("--results", type=Path, help="a folder for the table")
    args = parser.parse_args()
    machine, began = processor(), time.monotonic()
    results: dict[str, list[Result]] = defaultdict(list)
    for count, result in enumerate(
        run(shared_out(args.count, args.seed, args.groups.split(",")), args.jobs), start=1
    ):
        results[result.case.group].append(result)
        if result.fault:
            _keep(result, args.out)
        if count % 100 == 0 or result.fault:
            faults = sum(bool(each.fault) for group in results.values() for each in group)
            print(f"{count} files, {faults} faults, {time.monotonic() - began:.0f} s", flush=True)
    text = _report(results, machine, time.monotonic() - began, args.seed, args.jobs)
    print(text)
    if args.results:
        (args.results / f"{date.today().isoformat()}-fuzz.md").write_text(text)
    return int(any(each.fault for group in results.values() for each in group))


def _keep(result: Result, folder: Path) -> None:
    """The file that failed, beside what was said."""
    folder.mkdir(parents=True, exist_ok=True)
    case = result.case
    stem = f"{case.group.replace(' ', '-')}-{case.seed}-{case.number}"
    (folder / f"{stem}.bin").write_bytes(damaged(*case))
    facts = {"fault": result.fault, "seconds": result.seconds, "peak_bytes": result.peak_bytes}
    (folder / f"{stem}.txt").write_text(f"{json.dumps(facts)}\n{result.said}")
    print(f"{stem}: {result.fault}: {result.said[-300:]}", file=sys.stderr)


def _report(
    results: dict[str, list[Result]], machine: str, wall_s: float, seed: int, jobs: int
) -> str:
    lines = [
        "| readers | files | gave pages | refused | different sentences | "
        "wrong, crash, time, memory | median s | most s | most MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for group, found in results.items():
        faults = Counter(each.fault for each in found)
        pages = sum(each.said == "pages" for each in found)
        sentences = {_shape(each.said) for each in found if not each.fault} - {"pages"}
        times = sorted(each.seconds for each in found)
        lines.append(
            f"| {group} | {len(found):,} | {pages:,} | {faults[''] - pages:,} | {len(sentences)} | "
            f"{', '.join(str(faults[name]) for name in ('wrong', 'crash', 'time', 'memory'))} | "
            f"{times[len(times) // 2]:.2f} | {times[-1]:.1f} | "
            f"{max(each.peak_bytes for each in found) >> 20:,} |"
        )
    total = sum(map(len, results.values()))
    return (
        f"# Damaged files over all readers\n\n{machine} at the start; Python "
        f"{platform.python_version()}. {total:,} files, seed {seed}, {jobs} at a time, "
        f"{wall_s / 60:.0f} minutes. Limits: {LIMIT_S:g} s without the time spent waiting for a "
        f"processor, {LIMIT_BYTES >> 20:,} MiB of memory with all programs that are started.\n\n"
        + "\n".join(lines)
        + "\n"
    )


def _shape(said: str) -> str:
    """A sentence without its numbers and names, so that kinds of sentences can be counted."""
    return re.sub(r"[0-9][0-9,.]*|'[^']*'|\"[^\"]*\"|\([^()]*\)", "#", said)


if __name__ == "__main__":
    sys.exit(main())
