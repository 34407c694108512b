"""Choosing ids from logits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.engine.tiny_reader import TinyPrompt, TinyReader, tiny_page
from tilewise.engine.batch import answer_batch
from tilewise.engine.generate import Limits, generate
from tilewise.engine.sampling import (
    Chooser,
    SamplingConfig,
    choose,
    draw,
    keep_top_k,
    keep_top_p,
    log_probs,
    penalise,
    temper,
    warp,
)
from tilewise.errors import ConfigError, WeightsError
from tilewise.records import Turn

LOGITS = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=12)


def test_the_most_probable_id_of_each_row_is_chosen() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, -1.0, 0.0]])
    assert choose(logits).tolist() == [1, 0]


def test_of_equals_the_lowest_id_is_chosen() -> None:
    assert choose(torch.zeros(2, 1000)).tolist() == [0, 0]
    assert choose(torch.tensor([[1.0, 5.0, 5.0]])).tolist() == [1]


def test_forbidden_ids_may_be_minus_infinity() -> None:
    assert choose(torch.tensor([[-torch.inf, -2.0]])).tolist() == [1]


@pytest.mark.parametrize("row", [[torch.nan, 1.0], [-torch.inf, -torch.inf], [torch.inf, 0.0]])
def test_logits_without_a_finite_largest_value_name_the_weights(row: list[float]) -> None:
    with pytest.raises(WeightsError, match="damaged"):
        choose(torch.tensor([[0.0, 1.0], row]))


def test_log_probs_are_those_of_the_softmax() -> None:
    logits = torch.randn(4, 9, generator=torch.Generator().manual_seed(1))
    ids = torch.tensor([0, 8, 3, 3])
    expected = torch.stack([logits[i].softmax(0)[ids[i]].log() for i in range(4)])
    torch.testing.assert_close(log_probs(logits, ids), expected)


def allowed(logits: Tensor) -> set[int]:
    return set(logits[0].isfinite().nonzero().flatten().tolist())


@given(logits=LOGITS, penalty=st.floats(0.5, 2), data=st.data())
def test_the_penalty_touches_what_was_said_and_nothing_else(
    logits: list[float], penalty: float, data: st.DataObject
) -> None:
    said = data.draw(st.sets(st.integers(0, len(logits) - 1)))
    mask = torch.tensor([[token in said for token in range(len(logits))]])
    got = penalise(torch.tensor([logits]), mask, penalty)[0].tolist()
    for token, (before, after) in enumerate(zip(logits, got, strict=True)):
        changed = before / penalty if before >= 0 else before * penalty
        assert after == pytest.approx(changed if token in said else before, rel=1e-6)


@given(logits=LOGITS, temperature=st.floats(0.001, 1000))
def test_temperature_divides_differences(logits: list[float], temperature: float) -> None:
    got = temper(torch.tensor([logits]), temperature)[0].tolist()
    best = max(logits)
    assert got == pytest.approx([(value - best) / temperature for value in logits], rel=1e-5)


@given(logits=LOGITS, k=st.integers(1, 15))
def test_top_k_keeps_the_k_largest_and_equals_of_the_last(logits: list[float], k: int) -> None:
    least = sorted(logits, reverse=True)[: min(k, len(logits))][-1]
    wanted = {token for token, value in enumerate(logits) if value >= least}
    assert allowed(keep_top_k(torch.tensor([logits]), k)) == wanted


@given(logits=LOGITS, p=st.floats(0.01, 0.99))
def test_top_p_keeps_the_fewest_that_reach_p(logits: list[float], p: float) -> None:
    """Up to rounding: the kept reach p, and without the least of them they would not."""
    kept = allowed(keep_top_p(torch.tensor([logits]), p))
    total = sum(math.exp(value) for value in logits)
    chances = [math.exp(value) / total for value in logits]
    assert sum(chances[token] for token in kept) >= p - 1e-5
    least = min(chances[token] for token in kept)
    assert sum(chances[token] for token in kept) - least <= p + 1e-5
    assert all(chances[token] <= least + 1e-6 for token in set(range(len(logits))) - kept)


def test_steps_are_taken_in_the_order_of_the_reference() -> None:
    """Temperature 2 before top-p: without it the first id alone would reach 0.6."""
    logits = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    flat = (logits / 2).softmax(-1)[0].tolist()
    assert flat[0] < 0.6 < logits.softmax(-1)[0, 0]
    assert allowed(warp(logits, SamplingConfig(temperature=2.0, top_p=0.6))) == {0, 1}
    # Top-k before top-p: of the two kept by k the first has 0.62, which reaches 0.6.
    assert allowed(warp(logits, SamplingConfig(temperature=2.0, top_p=0.6, top_k=2))) == {0}


@given(logits=LOGITS, number=st.floats(0, 1, exclude_max=True))
def test_a_number_falls_on_the_id_whose_stretch_holds_it(
    logits: list[float], number: float
) -> None:
    chances = torch.tensor(logits, dtype=torch.float64).softmax(0).tolist()
    (token,) = draw(torch.tensor([logits]), torch.tensor([number], dtype=torch.float64)).tolist()
    below = sum(chances[:token])
    assert below - 1e-9 <= number <= below + chances[token] + 1e-9


def test_forbidden_ids_are_never_drawn() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(4, 5)
    numbers = torch.tensor([0.0, 0.5, 0.999999, 1 - 2**-53], dtype=torch.float64)
    assert draw(logits, numbers).tolist() == [1, 3, 3, 3]


def test_what_is_drawn_comes_as_often_as_it_is_probable() -> None:
    logits = torch.tensor([[0.3, -1.0, 2.0, 0.0]])
    choosers = Chooser(SamplingConfig(temperature=1.0, seed=5), [()])
    count = torch.zeros(4)
    for _ in range(2000):
        count[choosers(logits)] += 1
    spread = 4 * (logits.softmax(-1)[0] / 2000).sqrt()  # four standard deviations and more
    assert ((count / 2000 - logits.softmax(-1)[0]).abs() <= spread).all()


def prompt_of(reader: TinyReader, question: str, pages: int = 1) -> TinyPrompt:
    tiles = [reader.tiles(tiny_page(seed=i), 4) for i in range(pages)]
    return reader.prompt([Turn(role="user", text=question)], tiles)


def test_one_seed_gives_one_answer_on_any_place_of_any_batch() -> None:
    cfg = SamplingConfig(temperature=1.5, top_p=0.9, repetition_penalty=1.1, seed=3)
    reader = TinyReader(1)
    prompt, others = prompt_of(reader, "What?"), [prompt_of(reader, text) for text in ("a", "Eh?")]
    alone = "".join(step.text for step in generate(reader, prompt, sampling=cfg))
    for place in range(3):
        batch = [*others[:place], prompt, *others[place:]]
        assert list(answer_batch(reader, batch, sampling=cfg))[place].text == alone
    texts = {
        "".join(
            step.text
            for step in generate(
                reader, prompt, sampling=SamplingConfig(temperature=1.5, seed=seed)
            )
        )
        for seed in range(5)
    }
    assert len(texts) > 1


def test_a_low_temperature_is_greedy() -> None:
    reader = TinyReader(2)
    prompt = prompt_of(reader, "What?")
    greedy = [step.id for step in generate(reader, prompt)]
    cold = SamplingConfig(temperature=0.001)
    assert [step.id for step in generate(reader, prompt, sampling=cold)] == greedy


@pytest.mark.parametrize("pages", [0, 1])
def test_a_penalty_counts_the_prompt_only_where_the_reader_says_so(pages: int) -> None:
    """Each id against a greedy choice over logits of a run of its own, penalised by hand."""
    reader = TinyReader(3, hurry=-1000.0)
    prompt = prompt_of(reader, "a dim pink hall", pages)
    said = set(reader.penalised_ids(prompt))
    assert bool(said) == (not pages)
    cfg = SamplingConfig(repetition_penalty=5.0)
    steps = list(generate(reader, prompt, limits=Limits(max_new_tokens=6), sampling=cfg))
    with torch.inference_mode():
        logits, cache = reader.prefill([prompt])
        for step in steps:
            row = logits[0].tolist()
            for token in said:
                row[token] = row[token] / 5 if row[token] > 0 else row[token] * 5
            assert step.id == row.index(max(row))
            assert step.log_prob == pytest.approx(float(logits.log_softmax(-1)[0, step.id]))
            said.add(step.id)
            logits = reader.decode(torch.tensor([step.id]), cache)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -1.0}, "temperature is -1.0; 0, or 0.001 to 1000"),
        ({"temperature": 1e-9}, "temperature is 1e-09"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": 1.0, "top_p": 0.0}, "top_p is 0.0; above 0"),
        ({"temperature": 1.0, "top_k": -1}, "top_k is -1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0"),
        ({"seed": -1}, "seed is -1"),
        ({"beams": 0}, "beams is 0"),
        ({"top_p": 0.8}, "temperature is 0, which takes"),
        ({"top_k": 5}, "set a temperature above 0"),
        ({"beams": 3, "temperature": 1.0}, "beams are searched, not drawn"),
        ({"length_penalty": 0.5}, "nothing to compare"),
    ],
)
def test_settings_that_cannot_hold_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SamplingConfig(**options)  # type: ignore[arg-type]
