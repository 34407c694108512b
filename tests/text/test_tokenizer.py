"""Tokenizers: bytes, and SentencePiece where a golden model is at hand."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from tests.goldens import GoldenFile
from tests.text.training import train
from tilewise.errors import MissingExtraError, PromptError, WeightsError
from tilewise.text.added import SETTINGS as CONFIG
from tilewise.text.added import AddedToken, Splitter
from tilewise.text.pieces import SentencePieceTokenizer
from tilewise.text.tokenizer import (
    SENTENCEPIECE,
    ByteTokenizer,
    Tokenizer,
    check_covers,
    check_tokens,
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


@pytest.mark.parametrize("beside", [CONFIG, "added_tokens.json", "special_tokens_map.json"])
def test_what_lies_beside_a_tokenizer_tells_that_it_is_missing(tmp_path: Path, beside: str) -> None:
    (tmp_path / beside).write_text("{}")
    with pytest.raises(WeightsError, match=r"tokenizer\.model: the file is missing"):
        load_tokenizer(tmp_path, 512)


def test_a_tokenizer_of_a_smaller_model_is_told() -> None:
    folder = Path("model")
    check_covers(ByteTokenizer(151_655), 151_936, folder)  # the rest is padding
    check_covers(ByteTokenizer(300), 720, folder)  # of a random model
    with pytest.raises(WeightsError, match=r"has only 92553 ids and the model has 151655; put"):
        check_covers(ByteTokenizer(92_553), 151_655, folder)


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


FOLDERS = Path(__file__).parents[1] / "fixtures" / "tokenizers"


def _copy(folder: Path, kind: str, *names: str) -> Path:
    for name in names:
        shutil.copy(FOLDERS / kind / name, folder)
    return folder


def test_a_folder_without_any_tokenizer_says_which_would_do(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"so are vocab\.json with merges\.txt and tokenizer\.json"
    ):
        load_tokenizer(tmp_path, 151_655)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("vocab.json", "merges.txt"), ("merges.txt", "vocab.json")],
)
def test_half_of_a_byte_pair_tokenizer_names_the_other(
    tmp_path: Path, name: str, wanted: str
) -> None:
    with pytest.raises(WeightsError, match=rf"{wanted}: the file is missing, and {name} is of no"):
        load_tokenizer(_copy(tmp_path, "qwen2", name), 151_655)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("vocab.json", b"{", "vocab.json: is no JSON, or damaged"),
        ("vocab.json", b"[1]", "vocab.json: holds no JSON object"),
        ("vocab.json", b'{"a": "b"}', "vocab.json: an id is no number"),
        ("vocab.json", b'{"a": 1}', "vocab.json: 255 of the 256 bytes have no id"),
        ("merges.txt", b"#version: 0.2\na b\nc\n", "merges.txt: line 3 is no pair"),
        ("merges.txt", b"\xff\xfe", "merges.txt: is no text in UTF-8"),
        ("merges.txt", "一 二\n".encode(), "merges.txt: line 1 .* not in vocab.json"),
        ("tokenizer_config.json", b"{,}", "tokenizer_config.json: is no JSON"),
        ("tokenizer_config.json", b'{"added_tokens_decoder": [1]}', "decoder is no object"),
        ("tokenizer_config.json", b'{"added_tokens_decoder": {"x": {}}}', "is no token"),
        ("tokenizer_config.json", b'{"eos_token": "<|gone|>"}', r"no end id \(<\|gone\|>\)"),
        ("tokenizer_config.json", b'{"tokenizer_class": "GPT2Tokenizer"}', "is a GPT2Tokenizer"),
    ],
)
def test_a_damaged_byte_pair_tokenizer_is_named(
    tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    _copy(tmp_path, "qwen2", "vocab.json", "merges.txt", "tokenizer_config.json")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError, match=said):
        load_tokenizer(tmp_path, 151_655)


@pytest.mark.parametrize(
    "data", [b"{", b"{}", b'{"model": {"type": "BPE", "vocab": {}, "merges": [["a", "b"]]}}']
)
def test_a_damaged_tokenizer_json_is_named(tmp_path: Path, data: bytes) -> None:
    pytest.importorskip("tokenizers")
    (tmp_path / "tokenizer.json").write_bytes(data)
    with pytest.raises(WeightsError, match=r"tokenizer\.json: is no"):
        load_tokenizer(tmp_path, 151_655)


def test_without_its_library_tokenizer_json_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tilewise\[tokenizers\]'"):
        load_tokenizer(tmp_path, 151_655)


def test_pieces_of_an_unknown_form_are_refused(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.WordLevel({"a": 0, "</s>": 1}, unk_token="a")
    tokenizers.Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(WeightsError, match=r"of a form that is not known \(none\)"):
        load_tokenizer(tmp_path, 151_655)


def test_a_template_without_its_tokens_names_them(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(_copy(tmp_path, "qwen2", "vocab.json", "merges.txt", CONFIG), 999)
    check_tokens(tokenizer, ["<img>", "<|im_end|>"], tmp_path)
    with pytest.raises(WeightsError, match=r"does not know <\|end\|>, <\|user\|>, of which"):
        check_tokens(tokenizer, ["<|end|>", "<img>", "<|user|>", "<|end|>"], tmp_path)


def test_added_tokens_of_older_files_are_those_of_the_newer(tmp_path: Path) -> None:
    """``added_tokens.json`` and ``special_tokens_map.json`` for ``tokenizer_config.json``."""
    newer = load_tokenizer(FOLDERS / "phi3", 999)
    data = json.loads((FOLDERS / "phi3" / CONFIG).read_text())
    added = data.pop("added_tokens_decoder")
    tokens = {item["content"]: int(i) for i, item in added.items() if int(i) > 2}
    named = [item for i, item in added.items() if int(i) > 2]
    _copy(tmp_path, "phi3", SENTENCEPIECE)
    (tmp_path / CONFIG).write_text(json.dumps({"legacy": False}))
    (tmp_path / "added_tokens.json").write_text(json.dumps(tokens))
    special = {"bos_token": "<s>", "eos_token": {"content": "</s>"}}
    special["additional_special_tokens"] = named
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(special))
    older = load_tokenizer(tmp_path, 999)
    text = "a<|user|>\n b<img> c</s><ref>d</ref>"
    assert older.encode(text, bos=True) == newer.encode(text, bos=True)
    assert older.decode(newer.encode(text, bos=True)) == newer.decode(newer.encode(text, bos=True))


def test_tokens_take_the_blanks_that_their_flags_say() -> None:
    tokens = [
        AddedToken(text="<l>", id=1, strips_left=True),
        AddedToken(text="<r>", id=2, strips_right=True),
        AddedToken(text="<rr>", id=3),
        AddedToken(text="word", id=4, is_word=True),
    ]
    found = [p if isinstance(p, str) else p.id for p in Splitter(tokens).split("a <l> b <r>\n c")]
    assert found == ["a", 1, " b ", 2, "c"]
    found = [
        p if isinstance(p, str) else p.id for p in Splitter(tokens).split("<r>  <rr> words word")
    ]
    assert found == [2, 3, " words ", 4]
    assert list(Splitter([]).split("a")) == ["a"]


@pytest.mark.parametrize(("adds", "start"), [(True, 1), (False, None)])
def test_the_start_id_is_set_where_the_settings_say_so(
    tmp_path: Path, adds: bool, start: int | None
) -> None:
    _copy(tmp_path, "phi3", SENTENCEPIECE)
    data = json.loads((FOLDERS / "phi3" / CONFIG).read_text()) | {"add_bos_token": adds}
    (tmp_path / CONFIG).write_text(json.dumps(data))
    tokenizer = load_tokenizer(tmp_path, 999)
    assert tokenizer.bos_id == start
    assert (tokenizer.encode("a", bos=True)[0] == 1) == adds


def test_long_words_take_no_long_time() -> None:
    tokenizer = load_tokenizer(FOLDERS / "qwen2", 999)
    text = "页" * 20_000 + "a" * 20_000
    assert tokenizer.decode(tokenizer.encode(text, bos=True)) == text


def test_named_tokens_of_a_random_model_are_single_ids() -> None:
    tokenizer = ByteTokenizer(512, {"<img>": 400, "<ref>": 401})
    ids = tokenizer.encode("a<img><ref>é", bos=False)
    assert ids == [100, 400, 401, 198, 172]
    assert tokenizer.decode(ids) == "a<ref>é"
    assert tokenizer.id_of("<ref>") == 401
    assert tokenizer.decode([198, 400, 172]) == "\ufffd\ufffd"
