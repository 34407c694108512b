"""From sources and a question to text, by way of every stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import tilewise
from tests.engine.tiny_reader import TinyReader, load_tiny, tiny_page
from tilewise.engine.sampling import SamplingConfig
from tilewise.errors import ConfigError, PromptError, SourceError, WeightsError
from tilewise.models.load import FAMILIES
from tilewise.pipeline import ask, converse, places
from tilewise.sources.pages import open_source

A4_PDF = b"""%PDF-1.4
1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj
2 0 obj <</Type /Pages /Kids [3 0 R 3 0 R] /Count 2>> endobj
3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources <<>> >> endobj
trailer <</Root 1 0 R>>
"""


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(tiny_page().pixels).save(path)
    return path


def said(sources: Any, question: str = "What?", **options: Any) -> str:
    return "".join(ask(sources, question, model=TinyReader(), **options))


def test_the_same_page_gives_the_same_answer_however_it_is_given(png: Path) -> None:
    expected = said(png)
    assert expected
    assert said(str(png)) == expected
    assert said(png.read_bytes()) == expected
    assert said([png]) == expected
    assert said((png,)) == expected
    assert said(tiny_page().pixels) == expected
    with Image.open(png) as picture:
        assert said(picture) == expected


def test_the_answer_depends_on_pages_their_order_and_the_question(png: Path) -> None:
    other = tiny_page(30, 18, seed=5).pixels
    answers = {
        said(png),
        said(other),
        said([png, other]),
        said([other, png]),
        said(png, "Which?"),
    }
    assert len(answers) == 5


def test_per_page_is_each_page_asked_alone(tmp_path: Path) -> None:
    pictures = [Image.fromarray(tiny_page(seed=i).pixels) for i in range(3)]
    path = tmp_path / "three.tif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    together = said(path, per_page=True)
    alone = [said(path, pages=str(number)) for number in (1, 2, 3)]
    assert together == "\n".join(alone)


def test_pages_share_the_tile_budget(png: Path) -> None:
    pages = [open_source(tiny_page(40, 40, seed=i).pixels) for i in range(3)]
    (talk,) = converse(pages, TinyReader(), max_tiles=8)
    assert talk.max_tiles == (3, 3, 2)
    assert sum(tiles.fit.grid.tiles for tiles in talk.tiles) <= 8
    (default,) = converse(pages[:2], TinyReader())
    assert sum(default.max_tiles) == TinyReader().default_tiles
    assert [t.max_tiles for t in converse(pages, TinyReader(), max_tiles=8, per_page=True)] == [
        (8,)
    ] * 3


def test_a_pdf_is_rendered_as_large_as_the_reader_can_use() -> None:
    with open_source(A4_PDF) as source:
        (talk,) = converse([source], TinyReader(), max_tiles=8, pages="2")
        (page,) = talk.pages
        assert (page.width, page.height) == TinyReader().raster_size(595, 842, 8)
        assert page.number == 2


def test_progress_counts_pages_before_anything_else(png: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    said([png, png], progress=lambda *call: calls.append(call))
    assert calls[:2] == [("sources", 1, 2), ("sources", 2, 2)]
    assert calls[-1][0] == "answer"


def test_more_pages_than_fit_are_refused_before_one_is_decoded() -> None:
    kids = b"3 0 R " * 3000
    pdf = A4_PDF.replace(b"3 0 R 3 0 R", kids).replace(b"/Count 2", b"/Count 3000")
    with pytest.raises(
        PromptError, match=r"3000 pages are too many .* \(--pages 1-\d+\) .*per-page"
    ):
        said(pdf)
    with open_source(pdf) as source:
        first = next(converse([source], TinyReader(), per_page=True))
        assert len(first.pages) == 1


def test_one_page_of_too_many_tiles_is_refused_with_the_most_that_fit() -> None:
    pixels = tiny_page(400, 400).pixels
    with pytest.raises(PromptError, match=r"at 900 tiles for the 2000 tokens that tiny") as caught:
        said(pixels, max_tiles=900)
    most = int(str(caught.value).partition("--max-tiles ")[2].partition(")")[0])
    assert said(pixels, max_tiles=most, max_new_tokens=1)


def test_what_the_range_said_to_fit_does_fit() -> None:
    pages = [open_source(np.zeros((16, 16, 3), np.uint8)) for _ in range(300)]
    with pytest.raises(PromptError) as caught:
        next(converse(pages, TinyReader()))
    fits = int(str(caught.value).partition("--pages 1-")[2].partition(")")[0])
    (talk,) = converse(pages[:fits], TinyReader(), max_tiles=1)
    assert sum(len(TinyReader().plan(16, 16, 1)) for _ in talk.pages) < TinyReader().context


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (PromptError, {"question": " "}),
        (ConfigError, {"max_tiles": 0}),
        (ConfigError, {"max_new_tokens": 0}),
        (SourceError, {"pages": "2"}),
        (SourceError, {"sources": "nowhere.png"}),
        (SourceError, {"sources": []}),
        (SourceError, {"sources": 7}),
        (WeightsError, {"model": "gpt"}),
    ],
)
def test_bad_input_raises_the_kind_of_its_stage(
    png: Path, kind: type[Exception], options: dict[str, Any]
) -> None:
    options = {"sources": png, "question": "What?", "model": TinyReader(), **options}
    with pytest.raises(kind):
        list(ask(**options))


def test_a_model_is_given_by_name_or_kept(
    png: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "tiny", load_tiny)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps({"model_type": "tiny"}))
    reader = tilewise.load(tmp_path / "mine")
    by_name = "".join(tilewise.ask(png, "What?", model=str(tmp_path / "mine")))
    assert by_name == "".join(tilewise.ask(png, "What?", model=reader)) == said(png)


def test_sampling_reaches_the_answer(png: Path) -> None:
    warm = [said(png, sampling=SamplingConfig(temperature=2.0, seed=seed)) for seed in (1, 1, 2)]
    assert warm[0] == warm[1] != warm[2]
    events: list[tuple[str, int, int]] = []
    pieces = list(
        ask(
            png,
            "What?",
            model=TinyReader(hurry=0.6),
            sampling=SamplingConfig(beams=2),
            progress=lambda *call: events.append(call),
        )
    )
    assert pieces
    assert events[-1][0] == "answer"


def test_more_memory_than_there_is_is_refused_before_a_page_is_decoded(
    png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = TinyReader().footprint().vision_bytes + 600 * TinyReader().footprint().token_bytes
    monkeypatch.setattr("tilewise.pipeline.available_bytes", lambda devices: few)
    large = tiny_page(400, 400).pixels
    with pytest.raises(ConfigError, match=r"allow at most \d+ tiles \(--max-tiles \d+\)") as caught:
        said(large, max_tiles=80)
    most = int(str(caught.value).partition("--max-tiles ")[2].partition(")")[0])
    assert said(large, max_tiles=most)
    with pytest.raises(ConfigError, match="besides the weights of tiny"):
        said(large, max_tiles=most, sampling=SamplingConfig(beams=8))


def test_dtype_and_device_go_to_the_loader(png: Path) -> None:
    with pytest.raises(ConfigError, match="tilewise-nano runs in float32"):
        list(ask(png, "What?", dtype="bfloat16"))
    with pytest.raises(ConfigError, match="device is 'tpu'"):
        list(ask(png, "What?", device="tpu"))


def test_places_go_source_by_source(png: Path) -> None:
    with open_source(png) as one, open_source(A4_PDF) as two:
        assert places([one, two]) == [(one, 1), (two, 1), (two, 2)]
        assert places([two], "2,1") == [(two, 2), (two, 1)]


def test_small_print_is_enlarged_for_the_default_reader_alone_unless_asked_for() -> None:
    sheet = Image.new("RGB", (300, 200), "white")
    pen = ImageDraw.Draw(sheet)
    for row in range(12):
        pen.text((8, 6 + 15 * row), "some small letters of a poor scan", "black", font_size=9)
    with open_source(sheet) as page:
        (talk,) = converse([page], tilewise.load())
        assert talk.decisions is not None
        assert talk.decisions[0].factor == 2
        assert talk.shown_sizes == ((600, 400),)
        (plain,) = converse([page], tilewise.load(), upscale="off")
        assert plain.decisions is None
        (other,) = converse([page], TinyReader())
        assert other.decisions is None
