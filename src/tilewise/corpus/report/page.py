"""The report of a run: one HTML file that needs nothing else, and no network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from tilewise.corpus.crawl.step import READ
from tilewise.corpus.images.find import STORE
from tilewise.corpus.images.index import ImageIndex
from tilewise.corpus.pipeline import StageSummary, read_summary
from tilewise.corpus.plan import Run
from tilewise.corpus.report.card import write_card
from tilewise.corpus.report.charts import bar, histogram
from tilewise.corpus.report.samples import ImageRoom, samples, shown
from tilewise.corpus.stage_files import write_whole
from tilewise.corpus.stages import FINAL, STAGES
from tilewise.corpus.stats import MEASURES, TOKENS, Sums
from tilewise.corpus.thresholds import limits, off
from tilewise.corpus.version import version
from tilewise.errors import DataError

REPORT: Final = "report.html"

KEPT: Final = 20
"""Kept documents that are shown."""

MOST_NAMES: Final = 30
"""Languages, licences and domains that are listed."""


def write_report(run: Run) -> Path:
    """Write the report and the card of a run, as far as it is done; the report's path.

    Raises:
        ConfigError: they cannot be written.
        DataError: a file of the run is damaged.
    """
    found = {stage: one for stage in STAGES if (one := read_summary(run, stage)) is not None}
    page = "\n".join(_page(run, found))
    path = run.root / REPORT
    write_whole(path, page.encode("utf-8", "backslashreplace"))
    write_card(run, found)
    return path


def _page(run: Run, found: Mapping[str, StageSummary]) -> Iterator[str]:
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    yield "<!doctype html><html lang=en><head><meta charset=utf-8>"
    yield (
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
    )
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>Corpus {escape(run.root.name)}</title><style>{style}</style></head><body>"
    yield f"<h1>Corpus {escape(run.root.name)}</h1>"
    sources = {piece.name for shard in run.shards for piece in shard}
    yield (
        f"<p>tilewise {escape(version())}, settings <code>{run.settings}</code>, "
        f"sources: {len(sources):,}, shards: {len(run.shards):,}. "
        f"A token is: {escape(TOKENS)}.</p>"
    )
    yield from _waterfall(found)
    yield from _rates(found)
    yield from _off(run)
    yield from _images(found)
    yield from _histograms(run, found)
    yield from _named(found)
    yield from _duplicates(run)
    yield from _samples(run, found)
    settings = json.dumps(run.cfg.told(), indent=1, ensure_ascii=False)
    yield f"<h2>Settings</h2><details><summary>All</summary><pre>{escape(settings)}</pre></details>"
    yield "</body></html>"


def _waterfall(found: Mapping[str, StageSummary]) -> Iterator[str]:
    """What is left after each stage, and between two stages where each filter took from."""
    yield "<h2>What each filter removed</h2><table class=fall><thead><tr><th>stage<th>reason"
    yield from (f"<th class=n>{name}<th class=part>" for name in MEASURES)
    yield "</tr></thead><tbody>"
    came = [one.counts.taken.plain() for one in found.values()]
    most = [max(column) for column in zip(*came, strict=True)]
    for stage, one in found.items():
        counts, has_content = one.counts, stage != READ
        if stage == READ:
            yield _row("in", "", "pages seen", counts.taken, most, has_content=False)
        left = counts.taken.plain()
        gone = sorted(counts.reasons.items(), key=lambda x: (-x[1].documents, x[0]))
        if counts.removed.images or counts.removed.tokens:
            gone.append(("removed inside kept documents", counts.removed))
        for reason, sums in gone:
            left = [one - less for one, less in zip(left, sums.plain(), strict=True)]
            yield _row("out", stage, reason, sums, most, left, has_content=has_content)
        yield _row("in", stage, "kept", counts.kept, most, has_content=has_content)
    yield "</tbody></table>"


def _row(
    kind: str,
    stage: str,
    name: str,
    sums: Sums,
    most: Sequence[int],
    left: Sequence[int] = (0, 0, 0),
    *,
    has_content: bool,
) -> str:
    """A line of the waterfall; ``left`` is what was left, behind which its bars begin."""
    cells: list[str] = []
    for number, of, start in zip(sums.plain(), most, left, strict=True):
        if cells and not has_content:
            cells.append("<td><td>")
            continue
        title, scale = f"{number:,} of {of:,}", of or 1
        colour = "kept" if kind == "in" else "gone"
        drawn = bar(number / scale, colour, title, start / scale)
        cells.append(f"<td class=n>{number:,}<td class=part>{drawn}")
    return f"<tr class={kind}><td>{escape(stage)}<td>{escape(name)}{''.join(cells)}</tr>"


def _rates(found: Mapping[str, StageSummary]) -> Iterator[str]:
    yield "<h2>Rates</h2><table><thead><tr><th>stage<th>shards<th>documents<th>left"
    yield "<th>documents/s of processor time<th>seconds of processes<th>seconds over all shards"
    yield "<th>seconds of the clock</tr></thead><tbody>"
    for stage, one in found.items():
        came = one.counts.taken.documents
        rate = f"{came / one.cpu_s:,.0f}" if one.cpu_s else ""
        left = f"{one.counts.kept.documents / came:.1%}" if came else ""
        numbers = (f"{one.shards:,}", f"{came:,}", left, rate)
        cells = "".join(f"<td class=n>{n}" for n in numbers)
        seconds = "".join(f"<td class=n>{s:,.1f}" for s in (one.worker_s, one.global_s, one.wall_s))
        yield f"<tr><td>{escape(stage)}{cells}{seconds}</tr>"
    yield "</tbody></table><p>Seconds of the clock are those of the last build.</p>"


def _off(run: Run) -> Iterator[str]:
    yield "<h2>Not applied</h2><ul>"
    yield from (f"<li>{escape(name)}: {escape(why)}" for name, why in off(run.cfg).items())
    yield "</ul>"


def _images(found: Mapping[str, StageSummary]) -> Iterator[str]:
    images = [(stage, one.counts.images) for stage, one in found.items() if one.counts.images]
    broken = found[READ].counts.broken if READ in found else {}
    yield "<h2>Images removed and broken records</h2><table><tbody>"
    for stage, counts in images:
        for reason, count in counts.most_common():
            yield f"<tr><td>{escape(stage)}<td>{escape(reason)}<td class=n>{count:,}</tr>"
    for reason, count in sorted(broken.items()):
        yield f"<tr><td>read<td>{escape(reason)}<td class=n>{count:,}</tr>"
    yield "</tbody></table><p>Images of documents that were dropped are counted too.</p>"


def _histograms(run: Run, found: Mapping[str, StageSummary]) -> Iterator[str]:
    for stage, one in found.items():
        told = limits(run.cfg, stage)
        if not one.counts.bins:
            continue
        yield f"<h2>Measured by {escape(stage)}</h2>"
        yield "<p>Documents by value: blue ones were kept, red ones dropped; lines are limits.</p>"
        yield "<div class=charts>"
        for name, bins in one.counts.bins.items():
            svg = histogram(bins, told.get(name, (None, None)))
            yield f"<figure><figcaption>{escape(name)}</figcaption>{svg}</figure>"
        yield "</div>"


def _named(found: Mapping[str, StageSummary]) -> Iterator[str]:
    """Languages, licences and domains of what is in the output."""
    last = found.get(FINAL)
    for name, counts in sorted(last.counts.of.items()) if last else ():
        yield f"<h2>By {escape(name)}</h2><table><tbody>"
        most = max(counts.values())
        for value, count in sorted(counts.items(), key=lambda x: (-x[1], x[0]))[:MOST_NAMES]:
            told = bar(count / most, "kept", f"{count:,}")
            yield f"<tr><td>{escape(value)}<td class=n>{count:,}<td class=wide>{told}</tr>"
        yield "</tbody></table>"


def _duplicates(run: Run) -> Iterator[str]:
    path = run.folder("dedup") / "found.json"
    if not path.exists():
        return
    said = json.loads(path.read_bytes())
    yield "<h2>Duplicates</h2><table><tbody>"
    rows = {f"by {level}": count for level, count in said["lost"].items()}
    rows |= {"pairs compared": said["candidates"], "pairs alike": said["pairs"]}
    for name, count in rows.items():
        yield f"<tr><td>{escape(name)}<td class=n>{count:,}</tr>"
    yield "</tbody></table>"


def _samples(run: Run, found: Mapping[str, StageSummary]) -> Iterator[str]:
    """Documents that were kept and, by stage and reason, that were not."""
    yield "<h2>Documents kept</h2>"
    with closing(_Images(run)) as images:
        room = ImageRoom(images.data)
        last = found.get(FINAL)
        kept = samples(run, FINAL, last.shards, KEPT).get("kept", []) if last else []
        for row in kept:
            yield from shown(row, room)
        yield "<h2>Documents dropped</h2>"
        for stage, one in found.items():
            rows = samples(run, stage, one.shards, KEPT)
            for reason in sorted(rows.keys() - {"kept"}):
                yield f"<h3>{escape(stage)}: {escape(reason)}</h3>"
                for row in rows[reason]:
                    yield from shown(row, room)


class _Images:
    """The images of a run, none before the stage that has them."""

    def __init__(self, run: Run) -> None:
        try:
            self._index: ImageIndex | None = ImageIndex(run.root / STORE)
        except DataError:
            self._index = None

    def data(self, url: str) -> bytes | None:
        """The bytes of an image."""
        return self._index.data(url) if self._index is not None else None

    def close(self) -> None:
        """Let go of the files."""
        if self._index is not None:
            self._index.close()
