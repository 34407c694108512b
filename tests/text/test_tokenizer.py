"""Tokenizers: bytes, and SentencePiece where a golden model is at hand."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from tests.goldens import GoldenFile
from tests.text.training import train
from tilewise.errors import PromptError, WeightsError
from tilewise.text.tokenizer import (
    SENTENCEPIECE,
    ByteTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    load_tokenizer,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small SentencePiece model that has two markers."""
    return train(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module", params=["sentencepiece", "bytes"])
def tokenizer(request: pytest.FixtureRequest, folder: Path) -> Tokenizer:
    if request.param == "bytes":
        return ByteTokenizer(512)
    return SentencePieceTokenizer(folder / SENTENCEPIECE)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(text=TEXTS)
def test_bytes_encoded_then_decoded_are_the_same_text(text: str) -> None:
    tokenizer = ByteTokenizer(512)
    assert tokenizer.decode(tokenizer.encode(text, bos=True)) == text


@pytest.mark.parametrize(
    "text", ["", "the page", " two  spaces ", "浦语·灵笔", "naïve 🙂 text\nline\ttab", "\u0301x"]
)
def test_encoded_then_decoded_is_the_same_text(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text, bos=False)
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode(text, bos=True) == [tokenizer.bos_id, *ids]


@given(ids=st.lists(st.integers(0, 299), max_size=30))
def test_text_only_ever_grows_whatever_ids_come(folder: Path, ids: list[int]) -> None:
    for tokenizer in (ByteTokenizer(512), _cached(folder)):
        grown = ""
        for count in range(len(ids) + 1):
            text = tokenizer.decode(ids[:count])
            assert text.startswith(grown)
            grown = text


_MODELS: dict[Path, SentencePieceTokenizer] = {}


def _cached(folder: Path) -> SentencePieceTokenizer:
    if folder not in _MODELS:
        _MODELS[folder] = SentencePieceTokenizer(folder / SENTENCEPIECE)
    return _MODELS[folder]


@pytest.mark.parametrize("character", ["é", "語", "🙂"])
def test_a_character_appears_with_its_last_byte(tokenizer: Tokenizer, character: str) -> None:
    ids = tokenizer.encode(f"a{character}", bos=False)
    texts = [tokenizer.decode(ids[:count]) for count in range(1, len(ids) + 1)]
    assert texts == ["a"] * (len(ids) - 1) + [f"a{character}"]
    assert len(ids) == 1 + len(character.encode())


def test_bytes_that_begin_no_character_do_not_hold_the_stream_back(tokenizer: Tokenizer) -> None:
    tail = tokenizer.encode("🙂", bos=False)
    assert "\ufffd" not in tokenizer.decode(tail[:3])
    assert tokenizer.decode([*tail[:2], *tokenizer.encode("a", bos=False)]).endswith("\ufffda")
    assert tokenizer.decode(tail[1:2]) == "\ufffd"


def test_start_end_and_unknown_ids_have_no_text(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("a", bos=True)
    assert tokenizer.decode([*ids, tokenizer.eos_id, 100_000, -1]) == "a"


def test_markers_are_single_ids_wherever_they_stand(folder: Path) -> None:
    tokenizer = _cached(folder)
    one, two = tokenizer.id_of("[UNUSED_TOKEN_1]"), tokenizer.id_of("[UNUSED_TOKEN_2]")
    assert one is not None
    assert two is not None
    word = tokenizer.encode("page", bos=False)
    text = "[UNUSED_TOKEN_1]page[UNUSED_TOKEN_2][UNUSED_TOKEN_1]"
    assert tokenizer.encode(text, bos=False) == [one, *word, two, one]
    assert tokenizer.encode("page</s>", bos=False) == [*word, tokenizer.eos_id]
    assert tokenizer.id_of("[UNUSED_TOKEN_3]") is None
    assert tokenizer.id_of("<unk>") == 0


def test_text_of_another_encoding_is_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(PromptError, match=r"no Unicode at its character 4 .*UTF-8"):
        tokenizer.encode("caf\udce9", bos=False)


def test_a_folder_gives_its_tokenizer(folder: Path) -> None:
    size = _cached(folder).vocab_size
    assert load_tokenizer(folder, size).vocab_size == size
    with pytest.raises(WeightsError, match=f"has {size} ids and the model has 300"):
        load_tokenizer(folder, 300)


def test_a_random_model_without_tokenizer_has_bytes_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert isinstance(load_tokenizer(tmp_path, 512), ByteTokenizer)
    assert len(caplog.records) == 1
    assert "bytes as ids" in caplog.text


@pytest.mark.parametrize("size", [92_544, 100])
def test_a_real_model_without_tokenizer_names_the_file(tmp_path: Path, size: int) -> None:
    with pytest.raises(WeightsError, match=r"tokenizer\.model: the file is missing"):
        load_tokenizer(tmp_path, size)


@pytest.mark.parametrize("data", [b"", b"no model", b"\x0a\xff\xff"])
def test_a_damaged_tokenizer_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / SENTENCEPIECE).write_bytes(data)
    with pytest.raises(WeightsError, match=r"tokenizer\.model: .*(damaged|no start)"):
        load_tokenizer(tmp_path, 92_544)


def test_loading_says_nothing_on_stderr(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    SentencePieceTokenizer(folder / SENTENCEPIECE)
    assert capfd.readouterr().err == ""


@pytest.mark.golden
def test_the_published_tokenizer_says_nothing_on_stderr(
    golden: GoldenFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = golden("ixc2-4khd", f"tokenizer/{SENTENCEPIECE}")
    tokenizer = load_tokenizer(path.parent, 92_544)
    assert tokenizer.id_of("[UNUSED_TOKEN_145]") == 92_542
    assert capfd.readouterr().err == ""


@pytest.mark.golden
def test_the_published_tokenizer_decodes_as_its_library_does(golden: GoldenFile) -> None:
    """Leading blanks stay, and text streams, for any ids that do not end within a character."""
    path = golden("ixc2-4khd", f"tokenizer/{SENTENCEPIECE}")
    ours = load_tokenizer(path.parent, 92_544)
    library = sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    random = np.random.default_rng(0)
    for _ in range(300):
        drawn = random.integers(3, random.choice([300, 2_000, 92_544]), random.integers(1, 20))
        ids = [*drawn.tolist(), ours.encode(".", bos=False)[0]]
        assert ours.decode(ids) == library.decode(ids)
        streamed = [ours.decode(ids[:count]) for count in range(len(ids) + 1)]
        assert all(longer.startswith(shorter) for shorter, longer in pairwise(streamed))
    word = library.piece_to_id("\u2581The")
    assert ours.decode([word, word]) == library.decode([word, word]) == " The The"
