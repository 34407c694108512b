"""Questions about synthetic pages: answers stand where they say, tags mark the words."""

from __future__ import annotations

from random import Random

import pytest

from tilewise.synth import words
from tilewise.synth.facts import Question
from tilewise.synth.fonts import Split
from tilewise.synth.pages import LAYOUTS, Made, make_page
from tilewise.synth.phrasing import OTHER, PLAIN, TAGS, UNSUPPORTED, fill, phrase
from tilewise.synth.questions import questions_about
from tilewise.synth.sheet import SAME_WORD, Glyphs

Asked = tuple[Made, Glyphs, list[Question]]


@pytest.fixture(scope="module")
def pages() -> list[Asked]:
    """Pages of every layout with their questions."""
    out = []
    for seed in range(90):
        rng = Random(seed)
        layout = tuple(LAYOUTS)[seed % len(LAYOUTS)]
        made = make_page(rng, "test" if seed % 4 == 0 else "train", layouts=(layout,), max_tiles=6)
        glyphs = made.sheet.glyphs()
        out.append((made, glyphs, questions_about(made.facts, glyphs, rng, "train", 12)))
    return out


def text_of(glyphs: Glyphs, start: int, stop: int) -> str:
    """Glyphs [start, stop) with a space at every gap."""
    parts = []
    for code, link in zip(glyphs.code[start:stop], glyphs.link[start:stop], strict=True):
        parts += [chr(code)] if link == SAME_WORD else [chr(code), " "]
    return "".join(parts).strip(" ")


def test_every_kind_is_asked(pages: list[Asked]) -> None:
    kinds = {q.kind for _, _, asked in pages for q in asked}
    assert kinds == {*PLAIN, "unsupported"}
    assert any(q.answer is None for _, _, asked in pages for q in asked if q.kind == "value")


def test_answers_are_the_text_of_their_span(pages: list[Asked]) -> None:
    for _, glyphs, asked in pages:
        for q in asked:
            if q.answer is None:
                assert (q.start, q.stop) == (-1, -1)
            else:
                assert 0 <= q.start < q.stop <= len(glyphs)
                assert q.answer == text_of(glyphs, q.start, q.stop)


def test_tags_have_a_digit_a_character(pages: list[Asked]) -> None:
    for _, _, asked in pages:
        for q in asked:
            assert len(q.tags) == len(q.text)
            assert set(q.tags) <= set("0123")


def marked(q: Question, tag: str) -> str:
    """What a tag marks in a question, which is one stretch."""
    at = [i for i, t in enumerate(q.tags) if t == tag]
    assert not at or at == list(range(at[0], at[-1] + 1))
    return "".join(q.text[i] for i in at)


def test_tags_mark_the_label_that_the_answer_belongs_to(pages: list[Asked]) -> None:
    for made, _, asked in pages:
        values = {(p.value.start, p.value.stop): p.label for p in made.facts.pairs}
        for q in asked:
            if q.kind in {"value", "chart"} and q.answer is not None:
                label = values[q.start, q.stop]
                assert marked(q, "1").lower() == label.lower()
                assert not marked(q, "2") + marked(q, "3")


def test_tags_mark_row_and_column_of_the_cell_that_answers(pages: list[Asked]) -> None:
    seen = 0
    for made, _, asked in pages:
        names = {
            (cell.start, cell.stop): (row, column)
            for t in made.facts.tables
            for row, cells in zip(t.rows, t.cells, strict=True)
            for column, cell in zip(t.columns, cells, strict=True)
        }
        for q in asked:
            if q.kind == "table" and q.answer is not None:
                row, column = names[q.start, q.stop]
                assert (marked(q, "1").lower(), marked(q, "2").lower()) == (
                    row.lower(),
                    column.lower(),
                )
                seen += 1
    assert seen > 20


def test_what_comes_after_quoted_words_follows_them_at_once(pages: list[Asked]) -> None:
    seen = 0
    for _, glyphs, asked in pages:
        for q in asked:
            if q.kind == "after" and q.answer is not None:
                quoted = marked(q, "1")
                assert text_of(glyphs, 0, q.start).lower().endswith(quoted.lower())
                seen += 1
    assert seen > 20


def test_lines_are_asked_by_their_number_from_the_top(pages: list[Asked]) -> None:
    for made, _, asked in pages:
        for q in asked:
            if q.kind == "line":
                n = int(marked(q, "3"))
                lines = made.facts.lines
                assert (n > len(lines)) == (q.answer is None)
                if q.answer is not None:
                    assert lines[n - 1] == (q.start, q.stop)


def test_the_highest_and_lowest_label_have_the_extreme_value(pages: list[Asked]) -> None:
    seen = 0
    for made, _, asked in pages:
        for q in asked:
            if q.kind in {"highest", "lowest"} and q.answer is not None:
                (series,) = [
                    s for s in made.facts.series if any(r.start == q.start for r in s.labels)
                ]
                at = next(i for i, r in enumerate(series.labels) if r.start == q.start)
                pick = max if q.kind == "highest" else min
                assert series.values[at] == pick(series.values)
                assert len(set(series.values)) == len(series.values)
                seen += 1
    assert seen > 3


def test_labels_that_are_not_there_are_not_there(pages: list[Asked]) -> None:
    for _, glyphs, asked in pages:
        text = glyphs.text().replace("\n", " ").lower()
        for q in asked:
            if q.kind in {"value", "chart", "after"} and q.answer is None:
                assert marked(q, "1").lower() not in text


def test_questions_come_again_from_the_same_seed_and_none_twice(pages: list[Asked]) -> None:
    for made, glyphs, _ in pages[:9]:
        once, again = (
            questions_about(made.facts, glyphs, Random(5), "train", 12) for _ in range(2)
        )
        assert [(q.text, q.answer) for q in once] == [(q.text, q.answer) for q in again]
        assert len({q.text for q in once}) == len(once) <= 12


def test_training_and_test_words_never_meet() -> None:
    splits: tuple[Split, Split] = ("train", "test")
    made = {
        split: {words.pseudo_word(Random(seed), split) for seed in range(4000)} for split in splits
    }
    assert len(made["train"]) > 2000
    assert len(made["test"]) > 2000
    assert not made["train"] & made["test"]
    for split in splits:
        assert all(words.is_of(word.upper(), split) for word in made[split])


@pytest.mark.parametrize("kind", PLAIN)
def test_phrasings_hold_all_their_parts(kind: str) -> None:
    templates = (*PLAIN[kind], *OTHER[kind])  # type: ignore[index]
    slots = {part for t in templates for part in TAGS if f"{{{part}}}" in t}
    parts = {part: f"<{part}>" for part in slots}
    for template in templates:
        text, tags = fill(template, parts)
        assert len(text) == len(tags)
        assert "{" not in text
        for part in slots:
            at = text.index(f"<{part}>")
            assert tags[at : at + 3] == TAGS[part] * 3
            assert tags.count(TAGS[part]) == 3


def test_phrases_vary_and_keep_their_tags_in_step() -> None:
    texts = set()
    for seed in range(300):
        text, tags = phrase(Random(seed), "table", k="Due Date", c="Price")
        assert len(text) == len(tags)
        assert tags.count("1") == 8
        assert tags.count("2") == 5
        texts.add(text)
    assert len(texts) > 12


def test_no_unsupported_request_is_also_a_supported_one() -> None:
    supported = {t for by_kind in (PLAIN, OTHER) for group in by_kind.values() for t in group}
    assert not supported & set(UNSUPPORTED)
    assert len(set(UNSUPPORTED)) == len(UNSUPPORTED)
