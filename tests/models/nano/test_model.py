"""The default reader as the engine meets it, with random weights: every part, no meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models.nano.making import page_of, save_reader
from tilewise.engine.batch import answer_batch
from tilewise.engine.generate import Limits
from tilewise.engine.session import Conversation
from tilewise.errors import PromptError
from tilewise.models.load import load
from tilewise.models.nano.alphabet import END, NOT_FOUND, UNSUPPORTED, VOCABULARY
from tilewise.models.nano.answer import NanoCache, first_logits, only_first
from tilewise.models.nano.model import BEST_DPI, NanoReader, load_nano
from tilewise.models.nano.prompt import (
    LONGEST_QUESTION,
    NOT_FOUND_TEXT,
    UNSUPPORTED_TEXT,
    NanoPrompt,
)
from tilewise.records import Answer, Page, Tiles, Turn

STEPS = 24
FORM = page_of("Harbour Report", "Keeper: Olaf Brandt", "Depth: 14.5 m", width=500, height=400)
NOTE = page_of("Another page", "of two lines", width=300, height=120)
BANNER = page_of("A wide banner with a single line of text on it", width=1000, height=100)
QUESTIONS = (
    "What is the title?",
    "What is the value of Depth?",
    "Which bar is the highest?",
    "Read line 2.",
    'What comes after "Olaf"?',
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_reader(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def reader(folder: Path) -> NanoReader:
    return load_nano(folder)


def ask(reader: NanoReader, text: str, *pages: Tiles) -> NanoPrompt:
    return reader.prompt([Turn(role="user", text=text)], pages)


def greedy(
    reader: NanoReader, prompts: list[NanoPrompt], cache: NanoCache | None = None
) -> tuple[list[list[int]], Tensor, NanoCache]:
    """Ids of every row, all logits on the way (steps, batch, vocabulary), and the cache."""
    logits, cache = reader.prefill(prompts, cache)
    trace = [logits]
    for _ in range(STEPS):
        trace.append(reader.decode(trace[-1].argmax(1), cache))
    whole = torch.stack(trace)
    return whole.argmax(2).T.tolist(), whole, cache


def same(a: Tensor, b: Tensor) -> bool:
    """Equal up to float32 rounding, with the same impossible ids."""
    return torch.allclose(a, b, atol=1e-4) and torch.equal(a.isinf(), b.isinf())


def test_a_batch_of_pages_with_different_grids_equals_single_runs(reader: NanoReader) -> None:
    pages = [reader.tiles(page, 9) for page in (FORM, NOTE, BANNER)]
    assert len({tiles.fit.grid for tiles in pages}) == 3
    prompts = [ask(reader, q, tiles) for q, tiles in zip(QUESTIONS, pages, strict=False)]
    prompts.append(ask(reader, "And both?", pages[0], pages[1]))
    together, logits, cache = greedy(reader, prompts)
    for row, prompt in enumerate(prompts):
        (alone,), own, own_cache = greedy(reader, [prompt])
        assert together[row] == alone
        assert same(logits[:, row], own[:, 0])
        assert reader.evidence(cache, row) == reader.evidence(own_cache)


def test_an_answer_of_a_batch_is_that_of_a_conversation(reader: NanoReader) -> None:
    prompts = [ask(reader, q, reader.tiles(FORM, 4)) for q in QUESTIONS[:3]]
    limits = Limits(max_new_tokens=STEPS)
    for question, batched in zip(QUESTIONS, answer_batch(reader, prompts, limits), strict=False):
        *_, answer = Conversation(reader, [FORM], [4]).ask(question, limits)
        assert isinstance(answer, Answer)
        assert (answer.text, answer.evidence) == (batched.text, batched.evidence)


def test_a_second_question_on_the_same_pages_equals_a_fresh_run(reader: NanoReader) -> None:
    tiles = reader.tiles(FORM, 4)
    _, _, cache = greedy(reader, [ask(reader, QUESTIONS[0], tiles)])
    for question in (*QUESTIONS[1:], QUESTIONS[0]):
        again, logits, kept = greedy(reader, [ask(reader, question, tiles)], cache)
        fresh, wanted, own = greedy(reader, [ask(reader, question, tiles)])
        assert kept is cache
        assert again == fresh
        assert torch.equal(logits, wanted)
        assert reader.evidence(cache) == reader.evidence(own)
        assert cache.length == own.length


def test_the_encoder_does_not_run_for_a_second_question(reader: NanoReader) -> None:
    tiles = reader.tiles(FORM, 4)
    _, cache = reader.prefill([ask(reader, QUESTIONS[0], tiles)])
    ran: list[int] = []
    reader.encoder.register_forward_hook(lambda *_: ran.append(1))
    reader.prefill([ask(reader, QUESTIONS[1], tiles)], cache)
    assert not ran
    reader.prefill([ask(reader, QUESTIONS[1], reader.tiles(FORM, 4))], cache)
    assert ran  # other pages than those of the cache are read, though they look the same


def test_questions_about_several_pages_point_into_each_of_them(reader: NanoReader) -> None:
    pages = [reader.tiles(page, 4) for page in (NOTE, FORM, BANNER)]
    _, logits, cache = greedy(reader, [ask(reader, "What is the title?", *pages)])
    (row,) = cache.rows
    assert len(row.memories) == len(row.scores) == 3
    assert [len(s) for s in row.scores] == [len(m.places.char) for m in row.memories]
    _, swapped, _ = greedy(reader, [ask(reader, "What is the title?", *pages[::-1])])
    assert set(logits[0, 0].isfinite().nonzero()[:, 0].tolist()) == set(
        swapped[0, 0].isfinite().nonzero()[:, 0].tolist()
    )


def test_copying_goes_on_from_the_end_of_a_page_to_the_next(reader: NanoReader) -> None:
    pages = [reader.tiles(page, 4) for page in (NOTE, FORM)]
    _, cache = reader.prefill([ask(reader, "Read all the text.", *pages)])
    (row,) = cache.rows
    row.page, row.local = 0, len(row.memories[0].reading) - 1
    assert row.follower() == (1, 0)
    row.page, row.local = 1, len(row.memories[1].reading) - 1
    assert row.follower() is None


def blank(width: int, height: int) -> Page:
    return Page(pixels=np.full((height, width, 3), 255, np.uint8), name="blank")


@pytest.mark.parametrize(
    "page",
    [
        blank(300, 200),
        blank(1, 1),
        blank(1, 20_000),
        blank(20_000, 1),
        Page(pixels=np.zeros((20_000, 1, 3), np.uint8), name="line"),
        Page(pixels=np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8), name="noise"),
    ],
    ids=["blank", "1x1", "1x20000", "20000x1", "black line", "noise"],
)
@pytest.mark.parametrize("question", QUESTIONS[::2])
def test_odd_pages_give_a_bounded_answer(reader: NanoReader, page: Page, question: str) -> None:
    limits = Limits(max_new_tokens=STEPS)
    *_, answer = Conversation(reader, [page], [9]).ask(question, limits)
    assert isinstance(answer, Answer)
    assert answer.confidence is not None
    assert 0 <= answer.confidence <= 1
    if not answer.is_found:
        assert answer.text in (NOT_FOUND_TEXT, UNSUPPORTED_TEXT)


def test_on_a_blank_page_only_saying_so_is_possible(reader: NanoReader) -> None:
    logits, cache = reader.prefill([ask(reader, "What?", reader.tiles(blank(300, 200), 4))])
    assert logits[0].isfinite().nonzero()[:, 0].tolist() == [NOT_FOUND, UNSUPPORTED]
    assert float(logits[0].exp().sum()) == pytest.approx(1)
    then = reader.decode(logits.argmax(1), cache)
    assert then[0].isfinite().nonzero()[:, 0].tolist() == [END]
    assert reader.evidence(cache) == ()


@pytest.mark.parametrize(
    "question",
    [
        "\U0001f600",
        "\u4ec0\u4e48\u662f\u6807\u9898?",
        "What\nis\r\nthis?",
        "x",
        "?" * LONGEST_QUESTION,
        "\u200b\u0301",
    ],
    ids=["emoji", "Chinese", "newlines", "one", "longest", "invisible"],
)
def test_any_question_is_answered(reader: NanoReader, question: str) -> None:
    (ids,), logits, _ = greedy(reader, [ask(reader, question, reader.tiles(FORM, 4))])
    assert not logits.isnan().any()
    assert isinstance(reader.text(ids), str)


@pytest.mark.parametrize("has_global", [True, False])
@pytest.mark.parametrize("has_newline", [True, False])
def test_global_view_and_newlines_can_be_left_out(
    reader: NanoReader, has_global: bool, has_newline: bool
) -> None:
    reader.has_global, reader.has_newline = has_global, has_newline
    tiles = reader.tiles(FORM, 4)
    assert tuple(tiles.fit.grid) == (2, 2)
    _, logits, cache = greedy(reader, [ask(reader, "What is the title?", tiles)])
    length = 4 * 144 + 24 * has_newline + (145 + 12 * has_newline) * has_global
    assert len(reader.plan(500, 400, 4)) == length == cache.rows[0].page_length
    assert not logits.isnan().any()


def test_encoding_equal_tiles_once_changes_no_answer(reader: NanoReader) -> None:
    tiles = reader.tiles(page_of("Sparse", width=900, height=900), 9)
    prompt = ask(reader, "What is the title?", tiles)
    ids, logits, _ = greedy(reader, [prompt])
    reader.dedup = False
    again, each, _ = greedy(reader, [prompt])
    assert ids == again
    assert torch.equal(logits, each)


def test_evidence_lies_on_the_page_that_it_names(reader: NanoReader) -> None:
    limits = Limits(max_new_tokens=STEPS)
    found = 0
    for seed in range(4):
        pages = [page_of(f"Page {seed}", "with words", width=180 + 300 * seed), FORM]
        *_, answer = Conversation(reader, pages, [4, 2]).ask(f"What is word {seed}?", limits)
        assert isinstance(answer, Answer)
        for piece in answer.evidence:
            page = pages[piece.page - 1]
            # A character that a reader without sense sees in the padding has no height.
            assert 0 <= piece.box.left <= piece.box.right <= page.width
            assert 0 <= piece.box.top <= piece.box.bottom <= page.height
            assert piece.text
        found += len(answer.evidence)
    assert found


def test_copied_characters_are_the_answer_and_the_evidence(reader: NanoReader) -> None:
    (ids,), _, cache = greedy(reader, [ask(reader, "What is it?", reader.tiles(FORM, 4))])
    (row,) = cache.rows
    assert row.copied
    page, first = row.copied[0]
    assert reader.text(ids[:1]) == row.memories[page].reading.text().replace("\n", "")[0] or first
    assert reader.evidence(cache)[0].text.startswith(reader.text(ids[:1]))


def test_first_probabilities_sum_to_one_or_less(reader: NanoReader) -> None:
    _, logits, _ = greedy(reader, [ask(reader, "What is it?", reader.tiles(FORM, 4))])
    sums = logits[:, 0].exp().sum(1)
    assert float(sums[0]) <= 1 + 1e-4  # places that begin with one character share its best
    assert float(sums.max()) <= 1 + 1e-4


def test_stop_ids_text_and_is_found(reader: NanoReader) -> None:
    assert reader.stop_ids() == {END}
    assert reader.text([NOT_FOUND]) == NOT_FOUND_TEXT
    assert reader.text([UNSUPPORTED]) == UNSUPPORTED_TEXT
    assert [reader.is_found(ids) for ids in ([], [NOT_FOUND], [UNSUPPORTED], [40])] == [
        False,
        False,
        False,
        True,
    ]


def test_vector_pages_are_rendered_at_a_legible_size_and_within_the_tiles(
    reader: NanoReader,
) -> None:
    assert reader.raster_size(72, 144, 25) == (BEST_DPI, 2 * BEST_DPI)
    width, height = reader.raster_size(5000, 7000, 9)
    assert max(width, height) <= 9 * 336
    assert (width // 336) * (height // 336) <= 9
    assert width / height == pytest.approx(5 / 7, rel=0.01)
    assert reader.raster_size(0.01, 0.01, 1) == (1, 1)


def test_progress_is_told(reader: NanoReader) -> None:
    told: list[tuple[str, int, int]] = []
    prompt = ask(reader, "What?", reader.tiles(FORM, 4))
    reader.prefill([prompt, prompt], None, lambda *step: told.append(step))
    assert told[-1] == ("prefill", 2, 2)
    assert ("tiles", 10, 10) in told


class TestPrompt:
    @pytest.mark.parametrize("text", ["", "   ", "\n\t"])
    def test_an_empty_question_is_refused(self, reader: NanoReader, text: str) -> None:
        with pytest.raises(PromptError, match="the question is empty"):
            ask(reader, text, reader.tiles(NOTE, 1))

    def test_no_turn_and_no_question_are_refused(self, reader: NanoReader) -> None:
        page = reader.tiles(NOTE, 1)
        for turns in ([], [Turn(role="user", text="x"), Turn(role="assistant", text="y")]):
            with pytest.raises(PromptError, match="the question is empty"):
                reader.prompt(turns, [page])

    def test_no_page_is_refused(self, reader: NanoReader) -> None:
        with pytest.raises(PromptError, match="no page is given"):
            ask(reader, "What?")

    def test_a_question_that_is_too_long_is_refused(self, reader: NanoReader) -> None:
        with pytest.raises(PromptError, match="1001 characters; at most 1000"):
            ask(reader, "x" * (LONGEST_QUESTION + 1), reader.tiles(NOTE, 1))

    def test_pages_over_the_context_are_refused(self, reader: NanoReader) -> None:
        page = reader.tiles(BANNER, 9)
        count = reader.context // len(reader.plan(BANNER.width, BANNER.height, 9)) + 1
        with pytest.raises(PromptError, match=f"the context holds {reader.context}"):
            ask(reader, "What?", *[page] * count)
        ask(reader, "What?", *[page] * (count - 1))

    def test_earlier_turns_are_not_used(self, reader: NanoReader) -> None:
        page = reader.tiles(NOTE, 1)
        turns = [
            Turn(role="user", text="One?"),
            Turn(role="assistant", text="Yes."),
            Turn(role="user", text=" Two? "),
        ]
        assert reader.prompt(turns, [page]).question == "Two?"


def test_the_family_is_known_by_its_config(folder: Path) -> None:
    assert load(folder).name == "tilewise-nano"


def test_all_text_is_read_from_the_first_character_to_the_last(reader: NanoReader) -> None:
    tiles = reader.tiles(FORM, 4)
    _, cache = reader.prefill([ask(reader, "Read all the text.", tiles)])
    (row,) = cache.rows
    row.is_whole, row.scores = True, only_first(row.scores)
    logits = first_logits(row, torch.zeros(VOCABULARY), torch.tensor([-30.0]))
    for _ in range(len(row.memories[0].reading) * 3):
        token = int(logits.argmax())
        if token == END:
            break
        logits = reader.decode(torch.tensor([token]), cache)[0]
    assert row.copied == [(0, i) for i in range(len(row.memories[0].reading))]
    assert token == END
