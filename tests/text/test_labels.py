"""What of a conversation is learned, against the published masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.goldens import GoldenFile
from tilewise.errors import PromptError
from tilewise.records import Role, Turn
from tilewise.text.added import AddedToken, Splitter
from tilewise.text.chat import render
from tilewise.text.labels import IGNORED, labelled
from tilewise.text.templates import TEMPLATES
from tilewise.text.tokenizer import Tokenizer, load_tokenizer

ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant"}
FOLDERS = Path(__file__).parents[1] / "fixtures" / "tokenizers"


class Toy:
    """The tokenizer that the goldens define: specials by their place, bytes from 32 on."""

    eos_id = 1
    vocab_size = 288

    def __init__(self, specials: Sequence[str], has_bos: bool) -> None:
        self.bos_id = 0 if has_bos else None
        self._specials = list(specials)
        self._splitter = Splitter(AddedToken(text=t, id=i) for i, t in enumerate(specials))

    def encode(self, text: str, *, bos: bool) -> list[int]:
        ids = [0] if bos and self.bos_id == 0 else []
        for part in self._splitter.split(text):
            own = [part.id] if isinstance(part, AddedToken) else [32 + b for b in part.encode()]
            ids += own
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(i - 32 for i in ids if i >= 32).decode()

    def id_of(self, piece: str) -> int | None:
        return self._specials.index(piece) if piece in self._specials else None


@pytest.mark.golden
def test_masks_are_the_published_ones(golden: GoldenFile) -> None:
    data = json.loads(golden("internvl", "label_masks.json").read_text(encoding="utf-8"))
    assert data["cases"]
    for case in data["cases"]:
        found = labelled(
            [Turn(role=ROLES[who], text=text) for who, text in case["conversations"]],
            TEMPLATES[case["template"]],
            Toy(data["specials"], case["add_bos"]),
            slots=case["context_tokens_per_image"],
        )
        assert list(found.ids) == case["input_ids"]
        assert list(found.labels) == case["labels"]
        assert case["all_ignored"] == (set(found.labels) == {IGNORED})


PAIRS = {"Hermes-2": "qwen2", "internlm2-chat": "internlm2", "phi3-chat": "phi3"}
WORDS = st.lists(st.sampled_from([" ", "\n", "a", "the page", "第3页", "🙂", "<ref>"])).map("".join)
TEXTS = WORDS.filter(str.strip)  # an empty turn is another thing in a prompt: an open one


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    return {name: load_tokenizer(FOLDERS / folder, 10_000) for name, folder in PAIRS.items()}


@given(texts=st.lists(TEXTS, min_size=2, max_size=6).filter(lambda t: len(t) % 2 == 0))
def test_what_is_learned_follows_the_ids_of_its_prompt(
    tokenizers: dict[str, Tokenizer], texts: list[str]
) -> None:
    roles: tuple[Role, Role] = ("user", "assistant")
    for name, tokenizer in tokenizers.items():
        template = TEMPLATES[name]
        texts = [text.strip() for text in texts] if template.is_stripped else texts
        turns = [Turn(role=roles[n % 2], text=text) for n, text in enumerate(texts)]
        found = labelled(turns, template, tokenizer)
        if "\n" in "".join(t.text[:1] for t in turns[1:-1:2]):
            turns = turns[:2]  # earlier answers of a prompt may be cut into words otherwise
        end = tokenizer.id_of(template.end)
        answers = 0
        for last in range(1, len(turns), 2):
            prompt = tokenizer.encode(render(turns[:last], template, None), bos=True)
            assert list(found.ids[: len(prompt)]) == prompt
            assert found.labels[len(prompt) - 1] == IGNORED
            said = list(found.labels[len(prompt) :])
            said = said[: said.index(end) + 1] if end in said else []
            assert said == list(found.ids[len(prompt) : len(prompt) + len(said)])
            assert said
            answers += 1
        assert answers
        assert found.labels.count(end or 0) == len(texts) // 2


def test_an_empty_answer_is_learned_to_end_at_once(tokenizers: dict[str, Tokenizer]) -> None:
    turns = [Turn(role="user", text="a"), Turn(role="assistant", text="")]
    for name, tokenizer in tokenizers.items():
        found = labelled(turns, TEMPLATES[name], tokenizer)
        end = tokenizer.id_of(TEMPLATES[name].end)
        assert [label for label in found.labels if label != IGNORED] == [end]


def test_pages_need_their_places(tokenizers: dict[str, Tokenizer]) -> None:
    turns = [Turn(role="user", text="<image>\n?"), Turn(role="assistant", text="<image>")]
    tokenizer, template = tokenizers["Hermes-2"], TEMPLATES["Hermes-2"]
    found = labelled(turns, template, tokenizer, slots=[7])
    assert found.ids.count(tokenizer.id_of("<IMG_CONTEXT>") or 0) == 7
    with pytest.raises(PromptError, match=r"hold 1 image placeholders .* and 2 pages"):
        labelled(turns, template, tokenizer, slots=[7, 7])
