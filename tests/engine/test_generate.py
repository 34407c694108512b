"""Streaming from one prompt."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.tiny_reader import ANSWER_IDS, LETTERS, TinyReader, tiny_page
from tilewise.engine.generate import Draft, Limits, generate
from tilewise.engine.sampling import choose, log_probs
from tilewise.errors import ConfigError, WeightsError
from tilewise.records import Turn


def prompt_of(reader: TinyReader, question: str, seed: int = 0):  # type: ignore[no-untyped-def]
    return reader.prompt(
        [Turn(role="user", text=question)], [reader.tiles(tiny_page(seed=seed), 4)]
    )


@pytest.mark.parametrize("seed", range(6))
def test_steps_equal_greedy_choice_over_full_passes(seed: int) -> None:
    """What comes out of the growing cache is what a fresh prefill of prompt and ids gives."""
    reader = TinyReader(seed)
    prompt = prompt_of(reader, "What?")
    steps = list(generate(reader, prompt))
    assert steps[-1].is_stop
    with torch.inference_mode():
        logits, cache = reader.prefill([prompt])
        ids: list[int] = []
        for step in steps:
            chosen = choose(logits)
            assert step.id == int(chosen)
            assert step.log_prob == pytest.approx(float(log_probs(logits, chosen)))
            ids.append(step.id)
            _, cache = reader.prefill([prompt])
            for token in ids:
                logits = reader.decode(torch.tensor([token]), cache)


def test_the_stream_is_the_text_of_the_ids_and_never_ends_inside_a_character() -> None:
    held_back = 0
    for seed in range(20):
        reader = TinyReader(seed)
        so_far, ids = "", []
        for step in generate(reader, prompt_of(reader, "Read it.")):
            so_far += step.text
            if not step.is_stop:
                ids.append(step.id)
                held_back += not step.text
            assert so_far == reader.text(ids)
    assert held_back > 10, "characters of two ids were among the answers"


@given(st.lists(st.integers(2, ANSWER_IDS - 1), max_size=30))
def test_any_ids_stream_to_the_text_of_the_whole(ids: list[int]) -> None:
    reader, draft = _READER, Draft()
    pieces = [draft.add(reader, token, -0.5).text for token in ids]
    assert "".join(pieces) == draft.text == reader.text(ids)
    assert draft.log_prob == pytest.approx(-0.5 * len(ids))


_READER = TinyReader()


def test_limits_cut_an_answer_which_then_is_not_complete() -> None:
    reader = TinyReader(hurry=-1000.0)
    prompt = prompt_of(reader, "What?")
    steps = list(generate(reader, prompt, limits=Limits(max_new_tokens=7)))
    assert len(steps) == 7
    assert not any(step.is_stop for step in steps)


def test_the_context_of_the_reader_is_a_limit() -> None:
    reader = TinyReader(hurry=-1000.0, context=60)
    prompt = prompt_of(reader, "What?")
    steps = list(generate(reader, prompt))
    assert len(steps) == 60 - len(prompt) + 1, "the last id is chosen but needs no place"


def test_confidence_is_the_product_of_the_probabilities() -> None:
    reader = TinyReader(1)
    prompt = prompt_of(reader, "What?")
    draft = Draft()
    for step in generate(reader, prompt):
        draft.add(reader, step.id, step.log_prob)
    answer = draft.answer(reader, reader.prefill([prompt])[1], 0, len(prompt))
    assert answer.confidence is not None
    assert 0 < answer.confidence < 1
    assert math.log(answer.confidence) == pytest.approx(draft.log_prob)
    assert answer.is_complete


def test_no_gradients_are_kept() -> None:
    reader = TinyReader()
    logits = []
    original = reader.decode

    class Watching(TinyReader):
        def decode(self, ids, cache):  # type: ignore[no-untyped-def]
            logits.append(original(ids, cache))
            return logits[-1]

    list(generate(Watching(), prompt_of(reader, "What?"), limits=Limits(max_new_tokens=3)))
    assert logits
    assert not any(value.requires_grad for value in logits)


def test_weights_that_give_nan_are_named() -> None:
    reader = TinyReader()
    with torch.no_grad():
        reader.head.weight[3] = torch.nan
    with pytest.raises(WeightsError, match="damaged"):
        list(generate(reader, prompt_of(reader, "What?")))


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_new_tokens is 0"):
        Limits(max_new_tokens=0)


def test_letters_of_the_tiny_reader_are_single_ids() -> None:
    assert _READER.text(range(2, 2 + len(LETTERS))) == LETTERS
