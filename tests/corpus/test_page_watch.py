"""Pages that workers end on are passed over, counted, and leave all others alone."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from tilewise.corpus.config import profile
from tilewise.corpus.page_watch import DEATHS, PageWatch, has_culprit, note
from tilewise.corpus.pipeline import build, read_summary
from tilewise.corpus.plan import open_run
from tilewise.corpus.stage_files import StageFolder, read_rows
from tilewise.runners.processes import Processes
from tilewise.settings import with_options

LONG = "<p class=a id=b title=c>x</p>" * 99_000
"""Takes a second or more of a processor to extract."""


def dies_on(folder: Path, number: int) -> None:
    """What a worker leaves that ends while it works on a page."""
    with PageWatch(folder, 0, 10.0) as watch:
        if not watch.begins(number):
            return
        left = note(folder, 0).read_bytes()
    note(folder, 0).write_bytes(left)


def test_only_the_page_on_which_all_workers_ended_is_passed_over(tmp_path: Path) -> None:
    for death in range(DEATHS):
        assert has_culprit(note(tmp_path, 0)) is False, death
        dies_on(tmp_path, 4)
    assert has_culprit(note(tmp_path, 0))
    with PageWatch(tmp_path, 0, 10.0) as watch:
        assert [watch.begins(number) for number in range(6)] == [True] * 4 + [False, True]
    assert not list(tmp_path.iterdir())


def test_workers_that_end_on_several_pages_blame_none(tmp_path: Path) -> None:
    for number in (4, 2, 4):
        dies_on(tmp_path, number)
    assert not has_culprit(note(tmp_path, 0))
    with PageWatch(tmp_path, 0, 10.0) as watch:
        assert all(watch.begins(number) for number in range(6))


def test_a_note_that_is_no_note_counts_nothing(tmp_path: Path) -> None:
    note(tmp_path, 0).write_bytes(b"\xff torn")
    with PageWatch(tmp_path, 0, 10.0) as watch:
        assert watch.begins(0)


def test_pages_that_never_end_cost_themselves_alone(tmp_path: Path) -> None:
    pages = tmp_path / "pages.jsonl"
    kept = [
        {"url": f"http://a.example/{n}", "html": f"<p>Some words {n}.</p><img src={n}.png>"}
        for n in range(6)
    ]
    for place in (2, 5):
        kept[place]["html"] = f"<img src=a.png>{LONG}"
    pages.write_text("".join(json.dumps(page) + "\n" for page in kept))
    cfg = with_options(profile("minimal"), ["run.page_seconds=0.5"])
    run, _ = open_run(tmp_path / "run", [str(pages)], cfg)
    with Processes(1) as pool:
        build(run, lambda _: partial(pool.of, 1), stages=("read", "extract"))
    summary = read_summary(run, "extract")
    assert summary is not None
    assert summary.counts.reasons["worker_lost"].documents == 2
    assert summary.counts.kept.documents == 4
    folder = StageFolder(run.folder("extract"))
    dropped = [row["url"] for row in read_rows(folder.file("dropped", 0))]
    assert dropped == ["http://a.example/2", "http://a.example/5"]
    assert not list(folder.path.glob(".page-*"))
