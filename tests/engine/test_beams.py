"""Beam search gives what its definition gives, worked out another way."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product

import pytest
import torch

from tests.engine.tiny_reader import TinyPrompt, TinyReader, tiny_page
from tilewise.engine.batch import answer_batch
from tilewise.engine.beams import Hypothesis, search
from tilewise.engine.generate import Limits, generate, prefill
from tilewise.engine.sampling import SamplingConfig
from tilewise.engine.session import Conversation
from tilewise.errors import WeightsError
from tilewise.records import Answer, Piece, Turn

Table = Callable[[tuple[int, ...]], list[float]]
"""Log-probabilities of the next id after these ids."""

QUESTIONS = ("What?", "What is it, then?", "a")


def small(seed: int, vocabulary: int = 4, **options: object) -> TinyReader:
    return TinyReader(seed, vocabulary=vocabulary, **options)  # type: ignore[arg-type]


def prompt_of(reader: TinyReader, question: str = "What?") -> TinyPrompt:
    return reader.prompt([Turn(role="user", text=question)], [reader.tiles(tiny_page(), 2)])


def table_of(reader: TinyReader, prompt: TinyPrompt) -> Table:
    """Every row of the table comes from a prefill of its own: no cache is ever chosen from."""

    @cache
    def row(ids: tuple[int, ...]) -> list[float]:
        with torch.inference_mode():
            logits, kept = reader.prefill([prompt])
            for token in ids:
                logits = reader.decode(torch.tensor([token]), kept)
            return logits[0].log_softmax(0).tolist()

    return row


def found(reader: TinyReader, prompt: TinyPrompt, cfg: SamplingConfig, most: int) -> Hypothesis:
    logits, kept = prefill(reader, [prompt])
    (best,), _ = search(reader, logits, kept, [()], cfg, most)
    return best


def ids_of(best: Hypothesis) -> tuple[int, ...]:
    return tuple(token for token, _ in best.steps)


def every_answer(
    table: Table, vocabulary: int, stops: frozenset[int], most: int, penalty: float = 1.0
) -> dict[tuple[int, ...], float]:
    """All answers of up to ``most`` ids that a stop id ends, or that the limit does: their sums."""
    sums = {}
    for length in range(1, most + 1):
        for ids in product(range(vocabulary), repeat=length):
            if stops & set(ids[:-1]) or (length < most and ids[-1] not in stops):
                continue
            sums[ids] = sum(
                table(ids[:i])[token] * (penalty if token in ids[:i] else 1)
                for i, token in enumerate(ids)
            )
    return sums


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("length_penalty", [1.0, 0.0])
def test_with_beams_for_all_answers_the_best_of_all_is_found(
    seed: int, length_penalty: float
) -> None:
    reader = small(seed)
    prompt = prompt_of(reader)
    best = found(reader, prompt, SamplingConfig(beams=64, length_penalty=length_penalty), 3)
    sums = every_answer(table_of(reader, prompt), 4, reader.stop_ids(), 3)
    scores = {ids: total / len(ids) ** length_penalty for ids, total in sums.items()}
    assert best.score == pytest.approx(max(scores.values()), abs=1e-4)
    assert scores[ids_of(best)] == pytest.approx(best.score, abs=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_a_repetition_penalty_multiplies_log_probabilities_of_what_was_said(seed: int) -> None:
    reader = small(seed, hurry=-1.0)
    prompt = prompt_of(reader)
    best = found(reader, prompt, SamplingConfig(beams=64, repetition_penalty=1.5), 3)
    sums = every_answer(table_of(reader, prompt), 4, reader.stop_ids(), 3, penalty=1.5)
    best_of_all = max(total / len(ids) for ids, total in sums.items())
    assert best.score == pytest.approx(best_of_all, abs=1e-4)
    plain = sum(table_of(reader, prompt)(ids_of(best)[:i])[t] for i, t in enumerate(ids_of(best)))
    assert sum(chance for _, chance in best.steps) == pytest.approx(plain, abs=1e-4)


def narrow(table: Table, stops: frozenset[int], beams: int, most: int) -> tuple[int, ...]:
    """Few beams, by sets of strings: what the definition says, step by step."""
    going: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    ended: list[tuple[float, tuple[int, ...]]] = []
    for length in range(1, most + 1):
        ranked = sorted(
            (
                (total + chance, (*ids, token))
                for total, ids in going
                for token, chance in enumerate(table(ids))
            ),
            reverse=True,
        )
        ended += [(total / length, ids) for total, ids in ranked[:beams] if ids[-1] in stops]
        ended = sorted(ended, reverse=True)[:beams]
        going = [(total, ids) for total, ids in ranked if ids[-1] not in stops][:beams]
        if len(ended) == beams and ended[-1][0] >= ranked[0][0] / length:
            return ended[0][1]
    return max(ended + [(total / most, ids) for total, ids in going])[1]


@pytest.mark.parametrize("beams", [2, 3])
@pytest.mark.parametrize(("seed", "stops"), [(0, (0,)), (1, (0,)), (2, (0, 2))])
def test_few_beams_keep_the_best_of_each_step(
    seed: int, stops: tuple[int, ...], beams: int
) -> None:
    reader = small(seed, 5, stops=stops)
    prompt = prompt_of(reader)
    best = found(reader, prompt, SamplingConfig(beams=beams), 6)
    assert ids_of(best) == narrow(table_of(reader, prompt), frozenset(stops), beams, 6)


def said(answer: Answer) -> tuple[object, ...]:
    return answer.text, answer.evidence, answer.is_found, answer.new_tokens, answer.is_complete


def test_beams_of_a_batch_equal_single_runs_and_the_stream() -> None:
    cfg = SamplingConfig(beams=3)
    reader = TinyReader(1, hurry=0.6)
    prompts = [prompt_of(reader, question) for question in QUESTIONS]
    alone = [next(answer_batch(reader, [prompt], sampling=cfg)) for prompt in prompts]
    together = list(answer_batch(reader, prompts, sampling=cfg))
    assert [said(answer) for answer in together] == [said(answer) for answer in alone]
    steps = list(generate(reader, prompts[0], sampling=cfg))
    assert "".join(step.text for step in steps) == alone[0].text
    assert steps[-1].is_stop


def test_evidence_is_that_of_the_answer_given() -> None:
    """What the reader looks at while the same ids are put to it one by one."""
    reader = TinyReader(2, hurry=0.6)
    prompt = prompt_of(reader)
    best = found(reader, prompt, SamplingConfig(beams=3), 40)
    with torch.inference_mode():
        _, kept = reader.prefill([prompt])
        for token in ids_of(best)[:-1]:
            reader.decode(torch.tensor([token]), kept)
    assert best.evidence == reader.evidence(kept)


def test_a_conversation_goes_on_after_beams_and_tells_how_far_it_is() -> None:
    calls: list[tuple[str, int, int]] = []
    cfg = SamplingConfig(beams=3)
    talk = Conversation(TinyReader(hurry=0.6), [tiny_page()], [4])
    *pieces, first = talk.ask("One?", Limits(max_new_tokens=9), lambda *c: calls.append(c), cfg)
    assert isinstance(first, Answer)
    assert first.text == "".join(piece.text for piece in pieces if isinstance(piece, Piece))
    counts = [done for stage, done, _ in calls if stage == "answer"]
    assert counts == list(range(1, len(counts) + 1))
    talk.forget()
    encoded = talk.reader.tiles_encoded  # type: ignore[attr-defined]
    *_, again = talk.ask("One?", Limits(max_new_tokens=9), None, cfg)
    assert isinstance(again, Answer)
    assert said(again) == said(first)
    assert talk.reader.tiles_encoded == encoded  # type: ignore[attr-defined]


def test_limits_and_context_cut_a_search() -> None:
    reader = TinyReader(hurry=-1000.0, context=60)
    prompt = prompt_of(reader)
    (answer,) = answer_batch(
        reader, [prompt], Limits(max_new_tokens=4), sampling=SamplingConfig(beams=2)
    )
    assert (answer.new_tokens, answer.is_complete) == (4, False)
    best = found(reader, prompt, SamplingConfig(beams=2), 4096)
    assert len(best.steps) == 60 - len(prompt) + 1, "the last id is chosen but needs no place"


def test_weights_that_give_nan_are_named_by_a_search() -> None:
    reader = TinyReader()
    with torch.no_grad():
        reader.head.weight[3] = torch.nan
    with pytest.raises(WeightsError, match="damaged"):
        list(generate(reader, prompt_of(reader), sampling=SamplingConfig(beams=2)))
