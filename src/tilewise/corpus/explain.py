"""What became of one page: every stage's verdict, with measured values and limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tilewise.corpus.plan import Run
from tilewise.corpus.stage_files import StageFolder, read_lines
from tilewise.corpus.stages import FINAL, STAGES, count_shards
from tilewise.corpus.thresholds import Limits, limits
from tilewise.errors import DataError
from tilewise.shards.conversation import BadError
from tilewise.shards.records import parsed

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a stage said of a page.

    ``reason`` is None where it was kept; ``value`` and ``threshold`` are what it was dropped for.
    ``measured`` are the values that this stage measured, with their limits: (least, most).
    ``images``: images that this stage removed, with the reason.
    """

    stage: str
    id: str
    url: str
    captured: str
    reason: str | None
    value: float | str | None = None
    threshold: float | str | None = None
    measured: Mapping[str, tuple[float | None, Limits]]
    images: Mapping[str, str]


def explain(run: Run, word: str) -> list[Verdict]:
    """Find a page in a run, by its URL or its document's id (or the beginning of that).

    Raises:
        DataError: no stage has seen it.
    """
    found: list[Verdict] = []
    known: dict[str, Row] = {}
    for stage in STAGES:
        if stage == FINAL:
            break  # it drops nothing
        for row, is_kept in _rows(run, stage, word):
            found.append(_verdict(run, stage, row, known.get(row["id"], {}), is_kept=is_kept))
            known[row["id"]] = row
    if not found:
        raise DataError(
            f"no page of this run has the URL or id {word}; give a whole URL, or the id as it "
            "stands in the output, at least 8 digits of it."
        )
    return found


def _rows(run: Run, stage: str, word: str) -> Iterator[tuple[Row, bool]]:
    """Rows of a stage about the page; each line is searched before it is parsed."""
    folder, needle = StageFolder(run.folder(stage)), word.encode("utf-8", "backslashreplace")
    for shard in range(count_shards(run, stage)):
        for kind in ("part", "dropped"):
            path = folder.file(kind, shard)
            for line in read_lines(path) if path.exists() else ():
                if needle in line and _is_about(row := _parsed(line), word):
                    yield row, kind == "part"


def _is_about(row: Row, word: str) -> bool:
    name = str(row.get("id", ""))
    return row.get("url") == word or (len(word) >= 8 and name.startswith(word))


def _parsed(line: bytes) -> Row:
    try:
        row = parsed(line)
    except BadError:
        return {}
    return row if isinstance(row, Mapping) else {}


def _verdict(run: Run, stage: str, row: Row, before: Row, *, is_kept: bool) -> Verdict:
    old, told = before.get("scores", {}), limits(run.cfg, stage)
    scores = row.get("scores", {})
    new = {name: value for name, value in scores.items() if name not in old}
    gone = {url: why for url, why in _removed(row).items() if url not in _removed(before)}
    return Verdict(
        stage=stage,
        id=row["id"],
        url=row["url"],
        captured=row.get("captured", ""),
        reason=None if is_kept else row["reason"],
        value=row.get("value"),
        threshold=row.get("threshold"),
        measured={name: (value, told.get(name, (None, None))) for name, value in new.items()},
        images=gone,
    )


def _removed(row: Row) -> dict[str, str]:
    images = (block.get("image") or {} for block in row.get("blocks", ()))
    return {image["url"]: image["dropped"] for image in images if image.get("dropped")}


def lines(verdict: Verdict) -> Iterator[str]:
    """A verdict as a person reads it: what became of the page, then what was measured."""
    if verdict.stage == STAGES[0]:
        yield f"{verdict.url} {verdict.captured} {verdict.id}".replace("  ", " ")
    if verdict.reason is None:
        yield f"{verdict.stage}: kept"
    else:
        told = "" if verdict.value is None else f", {_told(verdict.value)}"
        limit = "" if verdict.threshold is None else f" (limit {_told(verdict.threshold)})"
        yield f"{verdict.stage}: dropped, {verdict.reason}{told}{limit}"
    for url, why in verdict.images.items():
        yield f"    image {url}: {why}"
    for name, (value, (least, most)) in verdict.measured.items():
        low = "" if least is None else f", at least {_told(least)}"
        high = "" if most is None else f", at most {_told(most)}"
        yield f"    {name} {'not measured' if value is None else _told(value)}{low}{high}"


def _told(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
