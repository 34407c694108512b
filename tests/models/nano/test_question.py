"""What a question wants, from the tags of its characters."""

from __future__ import annotations

import pytest
import torch

from tests.models.nano.making import TINY
from tilewise.models.nano.alphabet import PAD
from tilewise.models.nano.question import (
    KINDS,
    TAGS,
    QuestionEncoder,
    Wanted,
    question_ids,
    wanted,
)
from tilewise.synth.phrasing import OTHER, PLAIN, fill

WORDS = {"k": "Due Date", "c": "Unit Price", "n": "three"}


def tagged(text: str, *parts: tuple[str, int]) -> list[int]:
    """Tags of ``text`` with each of ``parts`` marked."""
    tags = [0] * len(text)
    for part, tag in parts:
        at = text.index(part)
        tags[at : at + len(part)] = [tag] * len(part)
    return tags


def test_tags_name_label_and_column() -> None:
    text = "In the table, what is the Price of Rope?"
    found = wanted(text, "table", tagged(text, ("Price", 2), ("Rope", 1)))
    assert found == Wanted(kind="table", label="Rope", column="Price", line=None)


@pytest.mark.parametrize(("word", "line"), [("3", 3), ("twelve", 12), ("third", 3), ("many", None)])
def test_a_line_is_named_in_digits_or_as_a_word(word: str, line: int | None) -> None:
    text = f"Read line {word}."
    assert wanted(text, "line", tagged(text, (word, 3))).line == line


def test_the_longest_stretch_counts_and_small_gaps_do_not_end_it() -> None:
    text = "What is the Due Date?"
    tags = tagged(text, ("Due Date", 1))
    tags[0] = 1
    tags[text.index("ue")] = 0
    assert wanted(text, "value", tags).label == "Due Date"


def test_quotes_and_spaces_around_a_stretch_are_dropped() -> None:
    text = 'What comes after "the wind turned"?'
    assert wanted(text, "after", tagged(text, (' "the wind turned"', 1))).label == "the wind turned"


@pytest.mark.parametrize("tag", range(TAGS))
def test_a_question_of_one_tag_all_through(tag: int) -> None:
    found = wanted("seven", "value", [tag] * 5)
    assert found.label == ("seven" if tag == 1 else "")
    assert found.column == ("seven" if tag == 2 else "")
    assert found.line == (7 if tag == 3 else None)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unsupported"])
def test_every_phrasing_gives_back_its_words(kind: str) -> None:
    for template in (*PLAIN[kind], *OTHER[kind]):  # type: ignore[index]
        text, tags = fill(template, WORDS)
        found = wanted(text, kind, [int(t) for t in tags])
        assert found.label == (WORDS["k"] if "{k}" in template else "")
        assert found.column == (WORDS["c"] if "{c}" in template else "")
        assert found.line == (3 if "{n}" in template else None)


def test_questions_of_one_length_do_not_touch_each_other() -> None:
    torch.manual_seed(0)
    encoder = QuestionEncoder(TINY.decoder).eval()
    questions = ["What is the title?", "What is the total?"]
    together = encoder(question_ids(questions))
    for i, question in enumerate(questions):
        alone = encoder(question_ids([question]))
        assert torch.allclose(together.kinds[i], alone.kinds[0], atol=1e-5)
        assert torch.allclose(together.tags[i], alone.tags[0], atol=1e-5)


def test_padding_changes_nothing_that_a_question_says() -> None:
    torch.manual_seed(0)
    encoder = QuestionEncoder(TINY.decoder).eval()
    questions = ["What is the title?", "Read line 3.", "x", "What is the value of the Due Date?"]
    ids = question_ids(questions)
    assert ids.shape == (4, len(questions[-1]))
    assert (ids[2, 1:] == PAD).all()
    together = encoder(ids)
    assert together.tags.shape == (4, len(questions[-1]), TAGS)
    assert together.kinds.shape == (4, len(KINDS))
    for i, question in enumerate(questions):
        alone = encoder(question_ids([question]))
        assert torch.allclose(together.kinds[i], alone.kinds[0], atol=1e-5)
        assert torch.allclose(together.summary[i], alone.summary[0], atol=1e-5)
        assert torch.allclose(together.tags[i, : len(question)], alone.tags[0], atol=1e-5)
