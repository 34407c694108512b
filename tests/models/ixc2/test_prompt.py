"""Conversations and pages become the prompts of the authors' chat function."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.goldens import GoldenFile
from tests.models.ixc2.making import noise_page, small_reader
from tilewise.errors import PromptError
from tilewise.models.ixc2.model import Ixc2Reader
from tilewise.models.ixc2.prompt import IMAGE, chat_ids
from tilewise.models.units import Image, image_segments
from tilewise.nn.partial_lora import Segment
from tilewise.records import Tiles, Turn
from tilewise.text.pieces import SentencePieceTokenizer
from tilewise.text.templates import IXC2_SYSTEM as SYSTEM


@pytest.fixture(scope="module")
def reader() -> Ixc2Reader:
    return small_reader()


def _tiles(reader: Ixc2Reader, seed: int = 0, max_tiles: int = 2) -> Tiles:
    return reader.tiles(noise_page(20, 12, seed), max_tiles)


def _user(*texts: str) -> list[Turn]:
    roles: Any = ("user", "assistant")
    return [Turn(role=roles[i % 2], text=text) for i, text in enumerate(texts)]


CHATS: dict[str, tuple[list[Turn], int, str | None]] = {
    "chat_image_no_system": (_user("What is shown?"), 1, None),
    "two_images": (_user(f"Image1 {IMAGE}; Image2 {IMAGE}; 请比较这两张图片。"), 2, None),
}


@pytest.mark.golden
@pytest.mark.parametrize("name", CHATS)
def test_chat_prompts_equal_the_reference(name: str, golden: GoldenFile) -> None:
    tokenizer = SentencePieceTokenizer(golden("ixc2-4khd", "tokenizer/tokenizer.model"))
    cases = json.loads(golden("ixc2-4khd", "prompt_ids.json").read_text())["prompts"]
    (case,) = [c for c in cases if c["name"] == name and c["bos_policy"] == "bos_every"]
    turns, pages, system = CHATS[name]
    ids = chat_ids(turns, pages, tokenizer, system)
    assert ids == [segment["ids"] for segment in case["segments"]]


@pytest.mark.golden
def test_text_alone_has_two_start_ids_like_the_reference(golden: GoldenFile) -> None:
    tokenizer = SentencePieceTokenizer(golden("ixc2-4khd", "tokenizer/tokenizer.model"))
    cases = json.loads(golden("ixc2-4khd", "prompt_ids.json").read_text())["prompts"]
    (case,) = [c for c in cases if c["name"] == "text_only_leading_bos_in_text"]
    assert chat_ids(_user("hello"), 0, tokenizer, SYSTEM) == [case["segments"][0]["ids"]]


def test_pages_stand_in_front_of_the_first_question(reader: Ixc2Reader) -> None:
    pages = [_tiles(reader, 1), _tiles(reader, 2)]
    units = reader.prompt(_user("one", "answer", "two"), pages).units
    placed = [i for i, unit in enumerate(units) if isinstance(unit, Image)]
    assert placed == [placed[0], placed[0] + 1]
    assert [units[i].tiles for i in placed] == pages  # type: ignore[union-attr]
    before = bytes(u - 3 for u in units[1 : placed[0]] if isinstance(u, int))
    assert before.decode() == "[UNUSED_TOKEN_146]user\n"


def test_a_place_that_a_turn_names_is_kept(reader: Ixc2Reader) -> None:
    named = reader.prompt(_user(f"look: {IMAGE} what?"), [_tiles(reader)]).units
    at = next(i for i, unit in enumerate(named) if isinstance(unit, Image))
    assert bytes(u - 3 for u in named[1:at] if isinstance(u, int)).endswith(b"look: ")


def test_segments_cover_the_pages_alone(reader: Ixc2Reader) -> None:
    tiles = _tiles(reader)
    prompt = reader.prompt_of([[1, 5], [6], [7, 8, 9]], [tiles, tiles])
    length = len(reader.plan(20, 12, 2))
    spans = [Segment(0, 2, 2 + length), Segment(0, 3 + length, 3 + 2 * length)]
    assert image_segments(prompt.units) == tuple(spans)
    assert len(prompt) == 6 + 2 * length


@pytest.mark.parametrize("text", [f"{IMAGE}{IMAGE} compare", f"{IMAGE} a {IMAGE} b {IMAGE}"])
def test_a_placeholder_without_its_page_is_an_error(reader: Ixc2Reader, text: str) -> None:
    with pytest.raises(PromptError, match=r"hold \d image placeholders .* and 1 pages are"):
        reader.prompt(_user(text), [_tiles(reader)])
    with pytest.raises(PromptError, match="and 0 pages are"):
        reader.prompt(_user(text), [])


def test_a_page_without_its_placeholder_is_an_error(reader: Ixc2Reader) -> None:
    with pytest.raises(PromptError, match=r"hold 1 image placeholders .* and 2 pages are"):
        reader.prompt(_user(f"{IMAGE} what?"), [_tiles(reader, 1), _tiles(reader, 2)])
    with pytest.raises(PromptError, match="has 0 image placeholders and 1 pages are given"):
        reader.prompt_of([[1, 2]], [_tiles(reader)])


@pytest.mark.parametrize("turns", [[], _user(""), _user("  \n"), _user(IMAGE), _user("a", "b")])
def test_a_prompt_without_a_question_is_an_error(reader: Ixc2Reader, turns: list[Turn]) -> None:
    with pytest.raises(PromptError, match="the question is empty"):
        reader.prompt(turns, [_tiles(reader)])


def test_a_prompt_over_the_context_is_an_error(reader: Ixc2Reader) -> None:
    page = reader.tiles(noise_page(30, 30), 100)
    room = reader.context - len(reader.plan(30, 30, 100))
    assert len(reader.prompt_of([[1] * room, []], [page])) == reader.context
    with pytest.raises(PromptError, match=r"takes 901 tokens, 427 of them .* holds 900\. Lower"):
        reader.prompt_of([[1] * room, [1]], [page])


def test_a_penalty_counts_the_prompt_of_text_alone(reader: Ixc2Reader) -> None:
    text = reader.prompt(_user("hi"), [])
    assert reader.penalised_ids(text) == text.units
    assert reader.penalised_ids(reader.prompt(_user("hi"), [_tiles(reader)])) == ()
