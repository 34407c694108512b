"""How well does the default reader answer, and how fast?

    python benchmarks/default_reader.py [--part synthetic,real] [--pages 400] [--seed 0]

Parts: ``synthetic`` (look-ups and refusals on held-out synthetic pages), ``read`` (character
error rate of "Read all the text." on them), ``real`` (held-out real pages), ``resolution`` (limits
of 1 to 55 tiles), ``ablation`` (without global view and newline), ``seconds`` (a 4K page). Each
prints its tables as soon as it is done and writes them to a dated file, where the other parts of
the day stay.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tilewise
from benchmarks.default_reader_parts import reading, real, resolution, seconds, synthetic
from benchmarks.default_reader_parts.report import Report, Setting, report_path
from tilewise.errors import TilewiseError
from tilewise.synth.real import default_folder

PARTS = ("synthetic", "read", "real", "resolution", "ablation", "seconds")


def main() -> None:
    """Read the options and run the parts in their order."""
    args = _options()
    parts = tuple(args.part.split(","))
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise SystemExit(f"part {unknown[0]!r} is unknown; {', '.join(PARTS)} are allowed.")
    setting = Setting(
        model=args.model,
        seed=args.seed,
        pages=args.pages,
        read_all=args.read_all,
        large=args.large,
        huge=args.huge,
        questions=args.questions,
        real=args.real,
        real_folder=args.real_folder,
        runs=args.runs,
    )
    report = Report(report_path(args.out), args.answers)
    try:
        _run(parts, setting, report)
    except TilewiseError as err:
        raise SystemExit(str(err)) from err
    print(f"written to {report.path}", file=sys.stderr)


def _run(parts: tuple[str, ...], setting: Setting, report: Report) -> None:
    if "seconds" in parts:  # first, while this process is small
        seconds.run(setting, report)
    if parts == ("seconds",):
        return
    reader = tilewise.load(setting.model)
    runs = {
        "synthetic": synthetic.run,
        "read": reading.run,
        "real": real.run,
        "resolution": resolution.run_resolution,
        "ablation": resolution.run_ablation,
    }
    for name, run in runs.items():
        if name in parts:
            run(setting, reader, report)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", default=",".join(PARTS), help="parts, with commas; default all")
    parser.add_argument("--model", default="tilewise-nano", help="a name or a folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--questions", type=int, default=10, help="to a page, at most")
    parser.add_argument("--pages", type=int, default=400, help="synthetic pages")
    parser.add_argument("--read-all", type=int, default=120, help="pages of these to read whole")
    parser.add_argument("--large", type=int, default=60, help="for resolution, and for ablation")
    parser.add_argument("--huge", type=int, default=12, help="of 25 to 50 tiles, for resolution")
    parser.add_argument("--real", type=int, default=150, help="real pages at most")
    parser.add_argument("--real-folder", type=Path, default=default_folder())
    parser.add_argument("--runs", type=int, default=5, help="fresh processes, for seconds")
    parser.add_argument("--answers", type=Path, help="append every answer to this file as JSON")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
