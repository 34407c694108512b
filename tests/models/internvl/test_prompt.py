"""Conversations and pages become the prompts that the models were trained on."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.models.internvl.making import SMALL, noise_page, small_reader
from tilewise.engine.budget import check_context
from tilewise.errors import PromptError, SourceError
from tilewise.models.internvl.model import InternVLReader
from tilewise.models.internvl.prompt import IMAGE, page_lines
from tilewise.models.units import Image, Prompt
from tilewise.records import Tiles, Turn


@pytest.fixture(scope="module")
def reader() -> InternVLReader:
    return small_reader()


@pytest.fixture(scope="module")
def pages(reader: InternVLReader) -> list[Tiles]:
    return [reader.tiles(noise_page(40, 40, seed), 1) for seed in range(3)]


@pytest.fixture(scope="module")
def frames(reader: InternVLReader) -> list[Tiles]:
    return [reader.tiles(noise_page(120, 60, seed, is_frame=True), 4) for seed in range(2)]


def _turns(*texts: str) -> list[Turn]:
    roles: Any = ("user", "assistant")
    return [Turn(role=roles[i % 2], text=text) for i, text in enumerate(texts)]


def _said(reader: InternVLReader, prompt: Prompt) -> str:
    """A prompt as text, with its pages as ``<img>`` and its markers by name."""
    tokens = ("<|im_start|>", "<|im_end|>")
    names = {reader.tokenizer.id_of(name): name for name in tokens}
    parts = [
        b"<img>" if isinstance(u, Image) else names.get(u, "").encode() or bytes([u - 3])
        for u in prompt.units[1:]  # behind the start id
    ]
    return b"".join(parts).decode()


HEAD = "<|im_start|>system\n<|im_end|><|im_start|>user\n"
TAIL = "<|im_end|><|im_start|>assistant\n"


def test_a_single_page_stands_before_the_question(
    reader: InternVLReader, pages: list[Tiles]
) -> None:
    prompt = reader.prompt(_turns("what?"), pages[:1])
    assert _said(reader, prompt) == f"{HEAD}<img>\nwhat?{TAIL}"
    assert prompt.units[0] == reader.tokenizer.bos_id


def test_several_pages_have_names(reader: InternVLReader, pages: list[Tiles]) -> None:
    prompt = reader.prompt(_turns("what?"), pages[:2])
    assert _said(reader, prompt) == f"{HEAD}Image-1: <img>\nImage-2: <img>\nwhat?{TAIL}"


def test_frames_are_named_and_take_one_tile(
    reader: InternVLReader, pages: list[Tiles], frames: list[Tiles]
) -> None:
    assert page_lines(frames) == f"Frame1: {IMAGE}\nFrame2: {IMAGE}\n"
    assert page_lines(frames[:1]) == f"Frame1: {IMAGE}\n"
    assert page_lines([pages[0], *frames]) == (
        f"Image-1: {IMAGE}\nFrame1: {IMAGE}\nFrame2: {IMAGE}\n"
    )
    images = reader.prompt(_turns("what?"), frames).images
    assert [len(image.plan) for image in images] == [4 + 2, 4 + 2]


def test_text_alone_has_no_page(reader: InternVLReader) -> None:
    assert _said(reader, reader.prompt(_turns("hello"), [])) == f"{HEAD}hello{TAIL}"


def test_earlier_questions_keep_their_pages(reader: InternVLReader, pages: list[Tiles]) -> None:
    prompt = reader.prompt(_turns("one", "yes", "two"), pages[:1])
    said = f"{HEAD}<img>\none{TAIL}yes<|im_end|><|im_start|>user\ntwo{TAIL}"
    assert _said(reader, prompt) == said


def test_places_that_turns_name_are_kept(reader: InternVLReader, pages: list[Tiles]) -> None:
    turns = _turns(f"look: {IMAGE} ok?", f"no {IMAGE} here", f"{IMAGE}\nand this?")
    said = _said(reader, reader.prompt(turns, pages[:2]))
    assert said.startswith(f"{HEAD}look: <img> ok?{TAIL}no {IMAGE} here")
    assert said.endswith(f"user\n<img>\nand this?{TAIL}")


def test_the_system_text_can_be_another(pages: list[Tiles]) -> None:
    reader = small_reader()
    reader.system = "Be brief."
    said = _said(reader, reader.prompt(_turns("what?"), pages[:1]))
    assert said.startswith("<|im_start|>system\nBe brief.<|im_end|>")
    reader.system = None
    assert "InternVL" in _said(reader, reader.prompt(_turns("what?"), pages[:1]))


@pytest.mark.parametrize("text", [f"{IMAGE}{IMAGE} compare", f"{IMAGE} a {IMAGE} b {IMAGE}"])
def test_a_placeholder_without_its_page_is_an_error(
    reader: InternVLReader, pages: list[Tiles], text: str
) -> None:
    with pytest.raises(PromptError, match=r"hold \d image placeholders \(<image>\) and 1 pages"):
        reader.prompt(_turns(text), pages[:1])
    with pytest.raises(PromptError, match="and 0 pages are"):
        reader.prompt(_turns(text), [])


def test_a_page_without_its_placeholder_is_an_error(
    reader: InternVLReader, pages: list[Tiles]
) -> None:
    with pytest.raises(PromptError, match=r"hold 1 image placeholders .* and 2 pages are"):
        reader.prompt(_turns(f"{IMAGE} what?"), pages[:2])
    with pytest.raises(PromptError, match="has 0 image placeholders and 1 pages are given"):
        reader.prompt_of([[1, 2]], pages[:1])


@pytest.mark.parametrize("turns", [[], _turns(""), _turns(" \n"), _turns(IMAGE), _turns("a", "b")])
def test_a_prompt_without_a_question_is_an_error(
    reader: InternVLReader, pages: list[Tiles], turns: list[Turn]
) -> None:
    with pytest.raises(PromptError, match="the question is empty"):
        reader.prompt(turns, pages[:1])


@pytest.mark.parametrize("marker", ["<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>"])
def test_a_question_that_holds_a_marker_is_an_error(
    reader: InternVLReader, pages: list[Tiles], marker: str
) -> None:
    with pytest.raises(PromptError, match="leave it out"):
        reader.prompt(_turns(f"what is {marker}?"), pages[:1])


def test_ids_of_visual_tokens_without_their_page_are_an_error(
    reader: InternVLReader, pages: list[Tiles]
) -> None:
    slot = reader.tokenizer.id_of("<IMG_CONTEXT>")
    assert slot is not None
    with pytest.raises(PromptError, match="has 2 ids of <IMG_CONTEXT> that belong to no page"):
        reader.prompt_of([[1, slot], [slot]], pages[:1])


def test_a_prompt_over_the_context_is_an_error(reader: InternVLReader, pages: list[Tiles]) -> None:
    room = SMALL.context - len(reader.plan(40, 40, 1))
    assert len(reader.prompt_of([[1] * room, []], pages[:1])) == SMALL.context
    with pytest.raises(PromptError, match=r"takes 901 tokens, 6 of them .* holds 900\. Lower"):
        reader.prompt_of([[1] * room, [1]], pages[:1])


def test_as_many_frames_as_are_said_to_fit_do(reader: InternVLReader) -> None:
    count = 400
    with pytest.raises(PromptError, match="are too many") as refused:
        check_context(reader, [(40, 40)] * count, (1,) * count, [True] * count)
    said = re.search(r"the first (\d+) of them fit", str(refused.value))
    assert said is not None
    tiles = reader.tiles(noise_page(40, 40, is_frame=True), 1)
    prompt = reader.prompt(_turns("What happens?"), [tiles] * int(said[1]))
    assert SMALL.context - 300 < len(prompt) < SMALL.context


@pytest.mark.parametrize("size", [(1, 1001), (5000, 4)])
def test_a_page_that_is_a_line_is_an_error(reader: InternVLReader, size: tuple[int, int]) -> None:
    with pytest.raises(SourceError, match=f"is {size[0]} x {size[1]} in size; one that is over 1"):
        reader.tiles(noise_page(*size), 4)
    for ask in (reader.fit, reader.plan, reader.raster_size):
        with pytest.raises(SourceError, match="Cut it into pieces"):
            ask(*size, 4)
    assert reader.fit(1, 1000, 12).grid == (1, 12)
