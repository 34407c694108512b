"""Batches give what single runs give."""

from __future__ import annotations

import pytest

from tests.engine.tiny_reader import TinyPrompt, TinyReader, tiny_page
from tilewise.engine.batch import answer_batch
from tilewise.engine.generate import Limits
from tilewise.records import Answer, Turn

SIZES = [(8, 8), (30, 11), (11, 30), (64, 9), (24, 24)]
QUESTIONS = ["What?", "What is the title of this page?", "Ü", "Read line 3.", "And?"]


def prompts(reader: TinyReader) -> list[TinyPrompt]:
    return [
        reader.prompt(
            [Turn(role="user", text=question)],
            [reader.tiles(tiny_page(*size, seed=i), 1 + 2 * i)],
        )
        for i, (size, question) in enumerate(zip(SIZES, QUESTIONS, strict=True))
    ]


def said(answer: Answer) -> tuple[object, ...]:
    return answer.text, answer.evidence, answer.is_found, answer.new_tokens, answer.is_complete


@pytest.mark.parametrize("size", [2, 3, 5, 8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pages_of_different_grids_together_equal_single_runs(seed: int, size: int) -> None:
    reader = TinyReader(seed)
    alone = [next(answer_batch(reader, [prompt])) for prompt in prompts(reader)]
    together = list(answer_batch(reader, prompts(reader), size=size))
    assert [said(answer) for answer in together] == [said(answer) for answer in alone]
    assert len({answer.new_tokens for answer in alone}) > 1, "rows ended at different steps"
    for one, other in zip(alone, together, strict=True):
        assert one.confidence == pytest.approx(other.confidence, rel=1e-4)  # float32


def test_a_limit_holds_for_every_row() -> None:
    reader = TinyReader(hurry=-1000.0)
    answers = list(answer_batch(reader, prompts(reader), Limits(max_new_tokens=4)))
    assert [(a.new_tokens, a.is_complete) for a in answers] == [(4, False)] * 5


def test_no_prompts_give_no_answers() -> None:
    assert list(answer_batch(TinyReader(), [])) == []
