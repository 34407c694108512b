"""A PDF of one page, written here, is read back: positions, links, questions, shards."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pypdfium2
import pytest

from tilewise.errors import SourceError
from tilewise.synth.real import RealPage, read_meta, read_real_pages, write_real_pages
from tilewise.synth.real_questions import questions_for
from tilewise.synth.sheet import END, SPACE
from tilewise.synth.text_layer import (
    UNKNOWN,
    Layer,
    flaw,
    flaw_in_picture,
    normalise_char,
    picture,
    read_layer,
    without_text,
)

SCALE = 2.0

TITLE = "Harbour Report"
PARAGRAPH = (
    "The tide gauge at the north pier was read every hour",
    "by two keepers who wrote the height of the water in a",
    "long green book that nobody has opened since then.",
)
PAIRS = ("Keeper: Olaf Brandt", "Depth: 14.5 m", "See: the book")
CELLS = ("Left cell", "Right cell")


def pdf_bytes(lines: list[tuple[float, float, float, str]], prefix: str = "") -> bytes:
    """A PDF page of 420 x 320 pt in Helvetica: (x, baseline from the top, size, text)."""
    drawn = "".join(f"BT /F {s} Tf {x} {320 - y} Td ({t}) Tj ET\n" for x, y, s, t in lines)
    stream = prefix + drawn
    objects = (
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 420 320]/Contents 4 0 R"
        "/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica"
        "/Encoding/WinAnsiEncoding>>>>>>>>",
        f"<</Length {len(stream)}>>\nstream\n{stream}\nendstream",
    )
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    head = f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{table}"
    tail = f"trailer\n<</Size {len(places) + 1}/Root 1 0 R>>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + head.encode() + tail.encode()


def default_lines() -> list[tuple[float, float, float, str]]:
    lines = [(30.0, 50.0, 22.0, TITLE)]
    lines += [(30.0, 90.0 + 14 * i, 11.0, t) for i, t in enumerate(PARAGRAPH)]
    lines += [(30.0, 160.0 + 14 * i, 11.0, t) for i, t in enumerate(PAIRS)]
    return [*lines, (30.0, 230.0, 11.0, CELLS[0]), (200.0, 230.0, 11.0, CELLS[1])]


def layer_of(data: bytes) -> Layer:
    with pypdfium2.PdfDocument(data) as pdf:
        return read_layer(pdf[0])


def page_of(data: bytes, band: tuple[float, float] = (0.0, 320.0)) -> RealPage:
    with pypdfium2.PdfDocument(data) as pdf:
        pixels, chars, figures = picture(pdf[0], read_layer(pdf[0]), SCALE, band)
    return RealPage(
        pixels=pixels,
        chars=chars,
        figures=figures,
        name="harbour.pdf",
        split="heldout",
        package="made-here",
        version="1",
        licence="none needed",
        number=1,
        kind="pdf",
    )


@pytest.fixture(scope="module")
def page() -> RealPage:
    return page_of(pdf_bytes(default_lines()))


def test_the_text_comes_back_in_order_with_its_lines_cells_and_blocks(page: RealPage) -> None:
    lines = [TITLE, *PARAGRAPH, *PAIRS, " ".join(CELLS)]
    assert page.chars.text() == "\n".join(lines)
    ends = page.chars.brk[page.chars.link == END].tolist()
    assert ends == [2, 1, 1, 2, 1, 1, 2, 0, 2]


def test_every_character_is_centred_where_its_ink_is(page: RealPage) -> None:
    glyphs = page.glyphs()
    for i in range(len(glyphs)):
        x, y, em, wide = (float(a[i]) for a in (glyphs.x, glyphs.y, glyphs.height, glyphs.width))
        box = page.pixels[
            int(y - 0.5 * em) : int(y + 0.6 * em), int(x - wide / 2) : int(x + wide / 2) + 2
        ]
        columns = np.flatnonzero(box.min(0) < 160)
        assert len(columns), f"no ink at character {i}"
        middle = int(x - wide / 2) + (columns[0] + columns[-1]) / 2
        assert abs(middle - x) < 0.2 * em


def test_sizes_are_the_font_size_in_pixels_and_lines_share_one_middle(page: RealPage) -> None:
    glyphs = page.glyphs()
    first = len(TITLE.replace(" ", ""))
    np.testing.assert_allclose(glyphs.height[:first], 22 * SCALE, rtol=1e-3)
    np.testing.assert_allclose(glyphs.height[first:], 11 * SCALE, rtol=1e-3)
    np.testing.assert_allclose(glyphs.y[:first], (50 - 0.35 * 22) * SCALE, atol=0.1)
    assert float(glyphs.width[0]) == pytest.approx(0.722 * 22 * SCALE, rel=0.01)  # H of Helvetica


def test_a_band_keeps_whole_lines_and_moves_them_up(page: RealPage) -> None:
    band = page_of(pdf_bytes(default_lines()), (150.0, 215.0))
    assert band.chars.text() == "\n".join(PAIRS)
    assert band.pixels.shape == (130, 840)
    at = page.chars.text().replace("\n", "").replace(" ", "").index("Keeper:")
    assert float(band.chars.y[0]) == pytest.approx(float(page.chars.y[at]) - 300, abs=0.5)


def test_questions_have_answers_that_stand_on_the_page(page: RealPage) -> None:
    asked = [q for seed in range(20) for q in questions_for(page, Random(seed))]
    assert {q.kind for q in asked} == {"title", "value", "after"}
    for question in asked:
        assert len(question.tags) == len(question.text)
        if question.answer is None:
            assert (question.start, question.stop) == (-1, -1)
            continue
        codes = page.chars.code[question.start : question.stop]
        assert "".join(map(chr, codes)) == question.answer.replace(" ", "")
    told = {q.text: q.answer for q in asked}
    assert told["What is the title?"] == TITLE
    assert told["What is the value of Keeper?"] == "Olaf Brandt"
    assert told["What is the value of Depth?"] == "14.5 m"


def test_what_comes_after_is_true_across_lines_and_for_unique_phrases_only(page: RealPage) -> None:
    words = " ".join(PARAGRAPH).split()
    asked = [q for seed in range(80) for q in questions_for(page, Random(seed))]
    found = {q.text.split('"')[1]: q.answer for q in asked if q.kind == "after" and q.answer}
    for phrase, answer in found.items():
        at = next(i for i in range(len(words)) if " ".join(words[i : i + 3]) == phrase)
        assert answer == " ".join(words[at + 3 : at + 6])
    assert any(p in {"read every hour", "was read every", "water in a"} for p in found)


def test_questions_without_an_answer_ask_for_what_is_not_there(page: RealPage) -> None:
    text = page.chars.text().replace("\n", " ").casefold()
    missing = [q for s in range(20) for q in questions_for(page, Random(s)) if q.answer is None]
    assert {q.kind for q in missing} == {"value", "after"}
    for question in missing:
        asked = "".join(c for c, t in zip(question.text, question.tags, strict=True) if t == "1")
        assert asked
        assert asked.casefold() not in text


def test_a_page_with_two_headings_of_one_size_has_no_title() -> None:
    lines = [*default_lines(), (30.0, 280.0, 22.0, "Second Report")]
    asked = questions_for(page_of(pdf_bytes(lines)), Random(0))
    assert not [q for q in asked if q.kind == "title"]


def test_a_label_that_stands_twice_is_not_asked_for() -> None:
    lines = [*default_lines(), (30.0, 280.0, 11.0, "Depth: 9 m")]
    for seed in range(5):
        asked = questions_for(page_of(pdf_bytes(lines)), Random(seed))
        assert "What is the value of Depth?" not in [q.text for q in asked]


@pytest.mark.parametrize(
    ("char", "plain"),
    [
        ("’", "'"), ("“", '"'), ("—", "-"), ("−", "-"), ("\xa0", " "), ("ﬁ", "fi"), ("ﬄ", "ffl"),
        ("é", "é"), ("€", "€"), ("\x03", chr(UNKNOWN)), ("\ue000", chr(UNKNOWN)),
    ],
)  # fmt: skip
def test_typographic_characters_become_plain_ones(char: str, plain: str) -> None:
    assert normalise_char(char) == plain


def test_a_sound_page_has_no_flaw(page: RealPage) -> None:
    assert flaw(layer_of(pdf_bytes(default_lines()))) is None
    assert flaw_in_picture(page.pixels, page.chars) is None


@pytest.mark.parametrize(
    ("lines", "prefix", "reason"),
    [
        ([(30.0, 50.0, 11.0, "Too short")], "", "fewer than 80 characters"),
        ([*default_lines(), (380.0, 260.0, 22.0, "cut off")], "", "characters outside the page"),
        ([*default_lines(), (30.0, 90.5, 11.0, "x" * 60)], "", "characters on top of each other"),
        (default_lines(), "0.9 0.3 -0.3 0.9 60 -40 cm\n", "text that is not upright"),
    ],
)
def test_pages_that_would_teach_wrong_things_are_refused(
    lines: list[tuple[float, float, float, str]], prefix: str, reason: str
) -> None:
    assert flaw(layer_of(pdf_bytes(lines, prefix))) == reason


def test_text_in_the_colour_of_the_paper_is_noticed() -> None:
    page = page_of(pdf_bytes(default_lines(), "1 1 1 rg\n"))
    assert flaw_in_picture(page.pixels, page.chars) == "characters that are not seen"


def test_a_shard_gives_back_what_was_written(page: RealPage, tmp_path: Path) -> None:
    write_real_pages(tmp_path / "heldout-0000.npz", [page, page])
    write_real_pages(tmp_path / "train-0000.npz", [])
    back = list(read_real_pages(tmp_path, "heldout"))
    assert len(back) == 2
    np.testing.assert_array_equal(back[1].pixels, page.pixels)
    np.testing.assert_array_equal(back[1].chars.x, page.chars.x)
    assert (back[1].name, back[1].number, back[1].licence) == ("harbour.pdf", 1, "none needed")
    assert back[0].chars.text() == page.chars.text()
    assert [meta["package"] for meta in read_meta(tmp_path / "heldout-0000.npz")] == [
        "made-here"
    ] * 2
    assert list(read_real_pages(tmp_path, "train")) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["heldout-0000.npz", "train-0000.npz"]


def test_a_missing_or_damaged_shard_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"build_real_pages"):
        list(read_real_pages(tmp_path, "heldout"))
    (tmp_path / "heldout-0000.npz").write_bytes(b"PK\x03\x04 not a shard")
    with pytest.raises(SourceError, match="no whole shard"):
        list(read_real_pages(tmp_path, "heldout"))


def test_spaces_are_links_not_glyphs(page: RealPage) -> None:
    assert 32 not in page.chars.code
    assert int(page.chars.link[len("Harbour") - 1]) == SPACE


def test_figures_are_painted_over_on_demand_only(page: RealPage) -> None:
    boxed = replace(page, figures=np.array([[10.0, 10.0, 400.0, 110.0]], np.float32))
    hidden = boxed.without_figures()
    assert np.ptp(hidden[10:110, 10:400]) == 0
    assert np.ptp(boxed.pixels[10:110, 10:400]) > 100


def test_a_picture_behind_text_is_no_figure(page: RealPage) -> None:
    boxes = np.array([[40, 10, 400, 110], [600, 500, 800, 600]], np.float32)
    np.testing.assert_array_equal(without_text(boxes, page.chars), boxes[1:])
