"""Conversations keep what was computed from their pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.tiny_reader import TinyReader, tiny_page
from tilewise.engine.generate import Limits
from tilewise.engine.session import Conversation
from tilewise.errors import PromptError
from tilewise.records import Answer, Piece


def last(events: Iterator[Piece | Answer]) -> Answer:
    *pieces, answer = events
    assert isinstance(answer, Answer)
    assert answer.text == "".join(piece.text for piece in pieces if isinstance(piece, Piece))
    return answer


def conversation(reader: TinyReader) -> Conversation:
    return Conversation(reader, [tiny_page(), tiny_page(30, 30, seed=1)], [4, 9])


@pytest.mark.parametrize("seed", range(4))
def test_a_second_question_runs_its_own_tokens_only_and_answers_the_same(seed: int) -> None:
    reader = TinyReader(seed)
    talk = conversation(reader)
    last(talk.ask("What is it?"))
    encoded, before = reader.tiles_encoded, reader.positions_run
    talk.forget()
    again = last(talk.ask("And this?"))
    assert reader.tiles_encoded == encoded
    assert reader.positions_run - before < len("u:And this?\n") + again.new_tokens + 1
    fresh = last(conversation(TinyReader(seed)).ask("And this?"))
    assert (again.text, again.evidence, again.prompt_tokens) == (
        fresh.text,
        fresh.evidence,
        fresh.prompt_tokens,
    )
    assert again.confidence == pytest.approx(fresh.confidence, rel=1e-4)  # float32


def test_earlier_turns_belong_to_the_prompt_until_forgotten() -> None:
    talk = conversation(TinyReader())
    first = last(talk.ask("One?"))
    second = last(talk.ask("One?"))
    assert second.prompt_tokens > first.prompt_tokens
    assert [turn.role for turn in talk.turns] == ["user", "assistant"] * 2
    talk.forget()
    assert last(talk.ask("One?")).prompt_tokens == first.prompt_tokens


def test_an_abandoned_answer_does_not_count_and_leaves_the_pages_usable() -> None:
    reader = TinyReader()
    talk = conversation(reader)
    events = talk.ask("One?")
    assert isinstance(next(events), Piece)
    events.close()  # type: ignore[attr-defined]
    encoded = reader.tiles_encoded
    assert talk.turns == ()
    assert last(talk.ask("Two?")).text == last(conversation(TinyReader()).ask("Two?")).text
    assert reader.tiles_encoded == encoded


def test_interrupted_work_leaves_no_half_filled_cache() -> None:
    class Broken(TinyReader):
        is_broken = True

        def decode(self, ids, cache):  # type: ignore[no-untyped-def]
            logits = super().decode(ids, cache)
            if self.is_broken:
                raise KeyboardInterrupt
            return logits

    reader = Broken()
    talk = conversation(reader)
    with pytest.raises(KeyboardInterrupt):
        list(talk.ask("One?"))
    reader.is_broken = False
    assert last(talk.ask("Two?")).text == last(conversation(TinyReader()).ask("Two?")).text


@pytest.mark.parametrize("question", ["", "  \n\t"])
def test_an_empty_question_is_refused(question: str) -> None:
    with pytest.raises(PromptError, match="empty"):
        list(conversation(TinyReader()).ask(question))


def test_a_question_longer_than_the_context_is_refused_and_the_next_one_is_answered() -> None:
    talk = conversation(TinyReader(context=300))
    with pytest.raises(PromptError, match="holds 300"):
        list(talk.ask("why " * 100))
    assert last(talk.ask("Why?")).prompt_tokens < 300


def test_progress_names_the_stages_in_order() -> None:
    calls: list[tuple[str, int, int]] = []
    talk = conversation(TinyReader())
    list(talk.ask("One?", Limits(max_new_tokens=3), lambda *call: calls.append(call)))
    stages = list(dict.fromkeys(stage for stage, _, _ in calls))
    assert stages == ["tiles", "prefill", "answer"]
    assert all(done <= total for _, done, total in calls)


def test_seconds_come_from_the_clock_given() -> None:
    ticks = iter(range(1000))
    talk = Conversation(TinyReader(), [tiny_page()], [4], clock=lambda: next(ticks))
    answer = last(talk.ask("One?"))
    assert 1 <= answer.first_s <= answer.total_s == answer.new_tokens + 1
