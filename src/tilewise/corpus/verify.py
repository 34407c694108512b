"""Whether all that a run left on disk is whole, and fits together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tilewise.corpus.crawl.step import EXTRACT
from tilewise.corpus.final_stage import form_folder
from tilewise.corpus.pipeline import read_summary
from tilewise.corpus.plan import Run
from tilewise.corpus.stage_files import Marker, StageFolder, Told, read_lines
from tilewise.corpus.stages import BEFORE, STAGES, count_shards
from tilewise.corpus.stats import MEASURES, Tally, tally_of, total
from tilewise.errors import DataError
from tilewise.shards.document_check import verify as check


def verify(run: Run, told: Told) -> Iterator[str]:
    """Look at every file of every stage that has begun, and at the shards of the output.

    Yields:
        A sentence for each fault: a missing or damaged file, counts that do not add up.
    """
    before: Tally | None = None
    for stage in STAGES:
        if not run.folder(stage).is_dir():
            return
        folder, shards = StageFolder(run.folder(stage)), count_shards(run, stage)
        markers = []
        for shard in range(shards):
            told(stage, shard, shards)
            marker = folder.read_marker(shard)
            if marker is None:
                yield f"stage {stage}, shard {shard}: is not done."
                continue
            markers.append(marker)
            yield from _faults(folder, stage, shard, marker)
        if len(markers) < shards:
            before = None
            continue
        counts = total(tally_of(marker["counts"]) for marker in markers)
        yield from _count_faults(run, stage, counts, before)
        before = counts
    for form in run.cfg.output.forms:
        yield from verify_shards(form_folder(run, form), told)


def verify_shards(folder: Path, told: Told) -> Iterator[str]:
    """Look at the shards of a folder with an index: hashes, and the form of every row.

    Raises:
        DataError: there is no index.
    """
    found = check(folder, lambda done, of: told(folder.name, done, of))
    for fault in found.faults:
        yield f"{fault.where}: {fault.kind}: {fault.detail}"
    more = sum(found.counts.values()) - len(found.faults)
    if more > 0:
        yield f"{folder}: {more:,} more faults."


def _faults(folder: StageFolder, stage: str, shard: int, marker: Marker) -> Iterator[str]:
    if folder.believed(shard, marker["key"]) is None:
        yield f"stage {stage}, shard {shard}: a file is missing, or is not what was written."
        return
    for name, said in marker["files"].items():
        if not name.endswith(".jsonl.gz"):
            continue
        rows = sum(1 for _ in read_lines(folder.path / name))
        if rows != said["rows"]:
            yield f"stage {stage}, shard {shard}: {name} has {rows} rows of {said['rows']}."


def _count_faults(run: Run, stage: str, counts: Tally, before: Tally | None) -> Iterator[str]:
    names = ("documents",) if stage == EXTRACT else MEASURES
    try:
        counts.check(f"stage {stage}", before if stage in BEFORE else None, names)
    except DataError as err:
        yield str(err)
    summary = read_summary(run, stage)
    if summary is None:
        yield f"stage {stage}: has not ended with these settings; run tilewise corpus build again."
    elif summary.counts.plain() != counts.plain():
        yield f"stage {stage}: its counts are not the sum of its shards'."
