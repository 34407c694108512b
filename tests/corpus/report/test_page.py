"""The report: a waterfall whose parts join, histograms of odd values, runs with nothing in them."""

from __future__ import annotations

import gzip
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.made_crawl import write_crawl
from tilewise.corpus.config import profile
from tilewise.corpus.pipeline import build, counts_of
from tilewise.corpus.plan import Run, open_run
from tilewise.corpus.report.charts import HEIGHT, WIDTH, bar, histogram
from tilewise.corpus.report.page import write_report
from tilewise.corpus.stats import bin_of, bin_start
from tilewise.runners import local
from tilewise.settings import with_options

BARS = re.compile(r'class="(kept|gone)" style="margin-left:([\d.]+)%;width:([\d.]+)%"')


def built(root: Path, source: Path, *options: str) -> Run:
    cfg = with_options(profile("minimal"), ["run.shard_pages=7", *options])
    run, _ = open_run(root, [str(source)], cfg)
    build(run, lambda _: local.run)
    return run


def drawn(svg: str) -> tuple[list[tuple[str, float, float, float, float]], list[str]]:
    """(kind, x, y, width, height) of bars that have a height, and all texts."""
    found, texts = [], []
    for part in ET.fromstring(svg).iter():
        if part.tag == "rect" and float(part.attrib["height"]) > 0:
            sizes = (float(part.attrib[name]) for name in ("x", "y", "width", "height"))
            found.append((part.attrib["class"], *sizes))
        elif part.tag == "text":
            texts.append(part.text or "")
    return found, texts  # type: ignore[return-value]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, 3.0, 12_345.0, -2.0])
@pytest.mark.parametrize("limits", [(None, None), (1.0, None), (0.0, 5.0)])
def test_a_single_value_is_one_narrow_bar_over_its_place(
    value: float, limits: tuple[float | None, float | None]
) -> None:
    ((kind, x, y, width, height),), texts = drawn(histogram({bin_of(value): [7, 0]}, limits))
    assert (kind, y) == ("kept", 0.0)
    assert 0 < width <= WIDTH / 12
    assert 0 <= x <= WIDTH - width
    assert height > HEIGHT / 2
    low, _, high = (float(text) for text in texts[-3:])
    assert low <= value <= high
    lines = [limit for limit in limits if limit is not None]
    assert texts[:-3] == [f"{limit:g}" for limit in lines]


@given(
    bins=st.dictionaries(
        st.integers(-300, 600),
        st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(any).map(list),
        min_size=1,
    ),
    limits=st.tuples(*[st.none() | st.floats(-1e6, 1e6) | st.just(float("inf"))] * 2),
)
def test_every_histogram_stays_in_its_frame(
    bins: dict[int, list[int]], limits: tuple[float | None, float | None]
) -> None:
    bars, texts = drawn(histogram(bins, limits))
    for _, x, y, width, height in bars:
        assert -0.06 <= x <= x + width <= WIDTH + 0.6  # half a pixel is the least width
        assert -0.06 <= y <= y + height <= HEIGHT
    assert {kind for kind, *_ in bars} <= {"kept", "gone"}
    assert len(texts) >= 3


@given(st.integers(-400, 900))
def test_a_bin_s_beginning_lies_in_it_or_next_to_it(place: int) -> None:
    assert abs(bin_of(bin_start(place)) - place) <= 1


def test_the_waterfall_joins_and_ends_where_its_stages_do(tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl")
    run = built(tmp_path / "run", tmp_path / "crawl")
    text = write_report(run).read_text(encoding="utf-8")
    table = text[text.index("<table class=fall>") : text.index("<h2>Rates")]
    rows = re.findall(r"<tr class=(in|out)>(.*?)</tr>", table)
    ends = {}
    columns: list[list[tuple[str, float, float]]] = [[], [], []]
    for kind, row in rows:
        found = [(c, float(start), float(width)) for c, start, width in BARS.findall(row)]
        assert len(found) in (1, 3)  # nothing is known of texts and images before extraction
        for column, one in zip(columns, found, strict=False):
            column.append(one)
        if kind == "in":
            ends[row.partition("<td>")[2].partition("<td>")[0]] = found
    for column in columns:  # each bar ends where the one before ended, or began if that was taken
        for (before, start, width), (now, begins, wide) in pairwise(column):
            left = start if before == "gone" else width
            assert begins + wide == pytest.approx(left, abs=0.03), (now, begins, wide)
    counts = counts_of(run)
    documents, images, tokens = counts["final"]["kept"]
    most = counts["extract"]["taken"]
    expected = (documents / counts["read"]["taken"][0], images / most[1], tokens / most[2])
    assert [width / 100 for _, _, width in ends["final"]] == pytest.approx(expected, abs=1e-4)


def test_bars_stay_in_their_cell() -> None:
    for share, start in ((2.0, 0.0), (0.5, 0.8), (-1.0, -1.0), (0.3, 2.0)):
        ((_, begins, wide),) = BARS.findall(bar(share, "gone", "x", start))
        assert 0 <= float(begins) <= float(begins) + float(wide) <= 100


def test_a_run_without_a_page_and_one_not_begun_have_a_report(tmp_path: Path) -> None:
    (tmp_path / "nothing.warc.gz").write_bytes(gzip.compress(b""))
    run = built(tmp_path / "run", tmp_path / "nothing.warc.gz")
    begun, _ = open_run(tmp_path / "begun", [str(tmp_path / "nothing.warc.gz")], run.cfg)
    for one, card in ((run, "0 documents with 0 images"), (begun, "has not written its output")):
        text = write_report(one).read_text(encoding="utf-8")
        assert "What each filter removed" in text
        assert text.endswith("</body></html>")
        assert "nan" not in text
        assert card in (one.root / "README.md").read_text(encoding="utf-8")


def test_without_keep_steps_what_only_steps_need_goes_and_the_output_is_the_same(
    tmp_path: Path,
) -> None:
    write_crawl(tmp_path / "crawl")
    runs = {
        keep: built(tmp_path / keep, tmp_path / "crawl", f"run.keep_steps={keep}")
        for keep in ("true", "false")
    }
    work = {
        keep: sorted(path.parent.name for path in run.root.glob("stages/*/work"))
        for keep, run in runs.items()
    }
    assert work == {"true": ["dedup", "image"], "false": []}
    files = {
        keep: {path.name: path.read_bytes() for path in sorted((run.root / "final").iterdir())}
        for keep, run in runs.items()
    }
    assert files["true"] == files["false"]
    again = built(tmp_path / "false", tmp_path / "crawl", "run.keep_steps=false")  # goes on
    assert {path.name: path.read_bytes() for path in (again.root / "final").iterdir()} == files[
        "true"
    ]
    assert not list(again.root.glob("stages/*/work"))
