"""Rows of the default reader's cache go on by themselves, so that beams can be searched."""

from __future__ import annotations

import pytest
import torch

from tests.models.nano.making import page_of, save_reader
from tilewise.engine.batch import answer_batch
from tilewise.engine.generate import Limits
from tilewise.engine.sampling import SamplingConfig
from tilewise.engine.session import Conversation
from tilewise.models.nano.alphabet import END
from tilewise.models.nano.model import NanoReader, load_nano
from tilewise.models.nano.prompt import NanoPrompt
from tilewise.records import Answer, Turn

FORM = page_of("Harbour Report", "Keeper: Olaf Brandt", width=500, height=300)
QUESTIONS = ("What is the title?", "What is the value of Keeper?")
LIMITS = Limits(max_new_tokens=12)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> NanoReader:
    return load_nano(save_reader(tmp_path_factory.mktemp("tiny")))


def prompts_of(reader: NanoReader) -> list[NanoPrompt]:
    tiles = reader.tiles(FORM, 4)
    return [reader.prompt([Turn(role="user", text=text)], [tiles]) for text in QUESTIONS]


def test_chosen_rows_go_on_as_runs_of_their_own(reader: NanoReader) -> None:
    """Rows 1, 0, 0 with different next ids, against single runs of the same ids."""
    prompts = prompts_of(reader)
    logits, cache = reader.prefill(prompts)
    first = logits.argmax(1)
    reader.decode(first, cache)
    forked = reader.select(cache, torch.tensor([1, 0, 0]))
    second = torch.tensor([5, 6, END])
    together = reader.decode(second, forked)
    for row, origin in enumerate((1, 0, 0)):
        _, own = reader.prefill([prompts[origin]])
        reader.decode(first[origin : origin + 1], own)
        alone = reader.decode(second[row : row + 1], own)
        assert torch.equal(together[row], alone[0])
        assert reader.evidence(forked, row) == reader.evidence(own)


def test_beams_give_whole_answers_and_the_next_question_is_answered(reader: NanoReader) -> None:
    cfg = SamplingConfig(beams=3)
    batched = list(answer_batch(reader, prompts_of(reader), LIMITS, sampling=cfg))
    talk = Conversation(reader, [FORM], [4])
    for question, wanted in zip(QUESTIONS, batched, strict=True):
        *_, answer = talk.ask(question, LIMITS, None, cfg)
        assert isinstance(answer, Answer)
        assert (answer.text, answer.evidence) == (wanted.text, wanted.evidence)
        assert answer.confidence == pytest.approx(wanted.confidence, rel=1e-4)


def test_the_footprint_counts_every_weight(reader: NanoReader) -> None:
    parts = (reader.encoder, reader.proof, reader.decoder)
    weights = sum(p.nbytes for part in parts for p in part.parameters())
    assert reader.footprint().weights_bytes == weights
    assert not reader.penalised_ids(prompts_of(reader)[0])
