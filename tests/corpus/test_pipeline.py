"""A run: stages alone and together, gone on with, changed, refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.made_crawl import HOST, write_crawl
from tilewise.corpus.config import CorpusConfig, profile
from tilewise.corpus.explain import explain, lines
from tilewise.corpus.filters.preliminary import filter_text
from tilewise.corpus.pipeline import StageSummary, build
from tilewise.corpus.plan import Run, cut, load_run, open_run
from tilewise.corpus.report.page import write_report
from tilewise.corpus.stages import STAGES
from tilewise.corpus.status import stage_states
from tilewise.corpus.verify import verify
from tilewise.errors import ConfigError, DataError, SourceError
from tilewise.runners import local
from tilewise.settings import with_options
from tilewise.shards.document_shards import read_documents


def config(*options: str) -> CorpusConfig:
    return with_options(profile("minimal"), ["run.shard_pages=7", *options])


def run_all(run: Run, *stages: str) -> dict[str, StageSummary]:
    done = build(run, lambda _: local.run, stages=stages or STAGES)
    return {one.stage: one for one in done}


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    write_crawl(tmp_path / "crawl")
    return tmp_path / "crawl"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run over a crawl; only read it."""
    place = tmp_path_factory.mktemp("finished")
    write_crawl(place / "crawl")
    run, _ = open_run(place / "run", [str(place / "crawl")], config())
    run_all(run)
    write_report(run)
    return run


def test_stages_one_by_one_leave_what_all_together_leave(tmp_path: Path, finished: Run) -> None:
    crawl = finished.root.parent / "crawl"
    apart, _ = open_run(tmp_path / "run", [str(crawl)], config())
    for stage in STAGES:
        run_all(apart, stage)
    files = [sorted((run.root / "final").iterdir()) for run in (finished, apart)]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert len(list(read_documents(finished.root / "final"))) == 6


def test_a_stage_without_the_one_before_says_what_to_run(tmp_path: Path, crawl: Path) -> None:
    run, _ = open_run(tmp_path / "run", [str(crawl)], config())
    run_all(run, "read")
    with pytest.raises(ConfigError, match="needs stage extract, which is not done"):
        run_all(run, "prelim_text")


def test_what_is_done_is_not_done_again_and_a_setting_redoes_what_it_changes(
    tmp_path: Path, crawl: Path
) -> None:
    run, _ = open_run(tmp_path / "run", [str(crawl)], config())
    run_all(run)
    again = run_all(load_run(run.root))
    assert all(one.done_before == one.shards for one in again.values())
    other, changes = open_run(run.root, [str(crawl)], config("image.min_side=100"))
    assert changes == ("image.min_side 150 → 100",)
    redone = run_all(other)
    assert redone["dedup"].done_before == redone["dedup"].shards
    assert redone["image"].done_before == 0


def test_stages_of_other_settings_or_sources_count_as_not_done(tmp_path: Path, crawl: Path) -> None:
    run, _ = open_run(tmp_path / "run", [str(crawl)], config())
    run_all(run)
    other, _ = open_run(run.root, [str(crawl)], config("image.min_side=100"))
    ends = {state.stage: state.is_ended for state in stage_states(other)}
    assert [stage for stage, is_ended in ends.items() if is_ended] == list(STAGES[:4])
    assert any("image: has not ended" in fault for fault in verify(other, lambda *_: None))
    with pytest.raises(ConfigError, match="needs stage detailed_text, which is not done with"):
        run_all(other, "final")  # it would say of old documents that they passed new limits
    report = write_report(other).read_text(encoding="utf-8")
    assert "<td>dedup<td>kept" in report
    assert "<td>image<td>kept" not in report
    run_all(other, "image", "detailed_text", "final")
    assert not list(verify(other, lambda *_: None))
    write_crawl(tmp_path / "more", 3, first=50)
    more, _ = open_run(run.root, [str(crawl), str(tmp_path / "more")], other.cfg)
    assert not any(state.is_ended for state in stage_states(more))


def test_sources_may_be_added_and_none_may_be_missing(tmp_path: Path, crawl: Path) -> None:
    cfg = config("run.shard_pages=13")
    run, _ = open_run(tmp_path / "run", [str(crawl)], cfg)
    run_all(run)
    write_crawl(tmp_path / "more", 3, first=50)
    both = [str(crawl), str(tmp_path / "more")]
    more, _ = open_run(run.root, both, cfg)
    done = run_all(more)
    assert (done["extract"].shards, done["extract"].done_before) == (2, 1)
    assert done["final"].counts.kept.documents == 9
    with pytest.raises(ConfigError, match="crawl is not among those given"):
        open_run(run.root, both[1:], cfg)
    fewer, _ = open_run(run.root, both[1:], cfg, restart=True)
    assert run_all(fewer)["final"].counts.kept.documents == 3
    assert not list(verify(fewer, lambda *_: None))


def test_a_folder_with_something_else_is_refused(tmp_path: Path, crawl: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty and holds no run"):
        open_run(tmp_path / "full", [str(crawl)], config())
    with pytest.raises(ConfigError, match="holds no run"):
        load_run(tmp_path / "full")


def test_two_runs_in_one_folder_are_refused(tmp_path: Path, crawl: Path) -> None:
    run, _ = open_run(tmp_path / "run", [str(crawl)], config())

    def second(_: str) -> Any:
        with pytest.raises(ConfigError, match="another run is building here"):
            run_all(run)
        return local.run

    build(run, second, stages=["read"])


def test_an_empty_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(SourceError):
        open_run(tmp_path / "run", [str(tmp_path / "none")], config())


def test_shards_cover_every_file_once_however_large(crawl: Path) -> None:
    for most in (1, 3, 100):
        shards = cut([str(crawl)], with_options(config(), [f"run.shard_pages={most}"]).run)
        ranges = [(piece.start, piece.end) for shard in shards for piece in shard]
        assert ranges[0][0] == 0
        assert ranges[-1][1] == 13
        assert all(one[1] == other[0] for one, other in pairwise(ranges))
        assert all(end - start <= most for start, end in ranges)


def test_a_fault_of_one_document_is_its_own(
    tmp_path: Path, crawl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def filter_or_fail(document: Any, cfg: Any) -> Any:
        if document.url.endswith("/2.html"):
            raise ValueError("a surprise")
        return filter_text(document, cfg)

    monkeypatch.setattr("tilewise.corpus.stages.filter_text", filter_or_fail)
    run, _ = open_run(tmp_path / "run", [str(crawl)], config())
    done = run_all(run)
    assert done["prelim_text"].counts.reasons["error"].documents == 1
    (verdict,) = [one for one in explain(run, f"{HOST}/2.html") if one.reason]
    assert verdict.value == "ValueError: a surprise"


def test_explain_tells_every_stage_with_values_and_limits(finished: Run) -> None:
    run = finished
    verdicts = explain(run, f"{HOST}/1.html")
    assert [one.stage for one in verdicts] == list(STAGES[:-1])
    assert explain(run, verdicts[0].id[:12])[0].url == f"{HOST}/1.html"
    said = [text for one in verdicts for text in lines(one)]
    assert any(text.startswith("    words 12") and "at least 50" in text for text in said)
    (bare,) = [one for one in explain(run, f"{HOST}/bare0.html") if one.reason]
    assert (bare.stage, bare.reason) == ("extract", "no_images")
    with pytest.raises(DataError, match="no page of this run has"):
        explain(run, "http://other.example/")


def test_a_page_that_is_there_twice_is_counted_twice_and_kept_once(tmp_path: Path) -> None:
    for copy in ("one", "two"):
        write_crawl(tmp_path / copy, 5)
    sources = [str(tmp_path / "one"), str(tmp_path / "two")]
    run, _ = open_run(tmp_path / "run", sources, config("run.shard_pages=100"))
    done = run_all(run)
    assert done["read"].counts.taken.documents == 12
    assert done["dedup"].counts.reasons["duplicate"].documents == 5
    assert done["final"].counts.kept.documents == 5


def test_status_tells_how_far_each_stage_is(tmp_path: Path, crawl: Path) -> None:
    run, _ = open_run(tmp_path / "run", [str(crawl)], config())
    run_all(run, "read", "extract")
    states = list(stage_states(run))
    assert [one.done for one in states] == [2, 2, 0, 0, 0, 0, 0]
    assert "7 documents, 6 kept, 1 dropped" in states[1].line()
    assert states[2].line().endswith("not begun")


HOSTILE = """<p>&lt;script&gt;alert(1)&lt;/script&gt; "quoted" &lt;img src=x onerror=alert(2)&gt;
<a href="javascript:alert(3)">here</a> and enough other words to stay</p>"""


def test_the_report_needs_no_network_and_escapes_what_pages_say(tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", 3, extra=HOSTILE)
    run, _ = open_run(tmp_path / "run", [str(tmp_path / "crawl")], config())
    run_all(run)
    text = write_report(run).read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text
    assert "<img src=x" not in text
    assert 'src="http' not in text
    assert "data:image/png;base64," in text
    for said in ("no_images", "Not applied", "no scorer given", "extract", run.settings):
        assert said in text


def test_the_card_and_the_index_tell_counts_limits_and_licences(finished: Run) -> None:
    run = finished
    card = (run.root / "README.md").read_text(encoding="utf-8")
    for said in ("6 documents with 6 images", "| words | 50 |", "no_images 1", "unknown | 6"):
        assert said in card
    index = json.loads((run.root / "final" / "index.json").read_bytes())
    assert index["metadata"]["settings_hash"] == run.settings
    assert index["metadata"]["counts"]["extract"]["reasons"]["no_images"][0] == 1
