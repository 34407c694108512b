"""Text to ids and back, with the tokenizer that lies in a model's folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from tilewise.errors import WeightsError
from tilewise.text.added import (
    ADDED,
    SETTINGS,
    SPECIAL,
    TOKENIZER_JSON,
    AddedToken,
    Splitter,
    read_settings,
)
from tilewise.text.byte_pairs import KINDS, MERGES, VOCABULARY, BytePairTokenizer
from tilewise.text.characters import check_unicode, joined
from tilewise.text.pieces import SentencePieceTokenizer
from tilewise.text.tokenizer_json import JsonTokenizer

SENTENCEPIECE: Final = "tokenizer.model"
"""Name of the SentencePiece model in a folder."""

FULL_VOCABULARY: Final = 32_000
"""Trained language models have at least so many ids; below, weights are random ones for tests."""

_LEAST_KNOWN: Final = 0.9  # of a model's ids; what is over is padding, of some hundred ids
_BYTE_IDS: Final = 3
_LOG = logging.getLogger(__name__)


class Tokenizer(Protocol):
    """Text ↔ ids of one vocabulary.

    ``bos_id`` is the id that is set in front of a text, None where the model was trained without
    one; ``vocab_size`` is the number of ids.
    """

    bos_id: int | None
    eos_id: int
    vocab_size: int

    def encode(self, text: str, *, bos: bool) -> list[int]:
        """Text → ids, tokens added to the vocabulary as their one id each; ``bos`` starts it."""

    def decode(self, ids: Sequence[int]) -> str:
        """Ids → text, without tokens that steer a model; an unfinished character is left out.

        The text of the first ids is the start of the text of all ids, so answers can stream.
        Tags of names and boxes (``<ref>``, ``<box>``) are text.
        """

    def id_of(self, piece: str) -> int | None:
        """The id of a piece of the vocabulary, None if it has no such piece."""


def load_tokenizer(
    folder: Path, vocab_size: int, named: Mapping[str, int] | None = None
) -> Tokenizer:
    """The tokenizer of a model's folder.

    Of several, the first of these is taken, which is what the published models were trained
    with: ``tokenizer.model`` (SentencePiece), ``vocab.json`` with ``merges.txt`` (byte pairs,
    of Qwen2), ``tokenizer.json``. Tokens added to them are in ``tokenizer_config.json``, or in
    ``added_tokens.json`` and ``special_tokens_map.json``.

    A folder without one, nor any file beside one, is that of a random model for tests if its
    vocabulary is too small for a trained one: bytes are its ids then, and a warning is logged.

    Args:
        folder: where the files lie.
        vocab_size: number of ids that the model has.
        named: tokens of a random model by name, e.g. ``{"<img>": 391}``.

    Raises:
        WeightsError: no tokenizer, a damaged one, or one with more ids than the model has.
        MissingExtraError: there is only ``tokenizer.json``, and its library is not installed.
    """
    tokenizer = _found(folder)
    if tokenizer is not None:
        if tokenizer.vocab_size > vocab_size:
            raise WeightsError(
                f"{folder}: its tokenizer has {tokenizer.vocab_size} ids and the model has "
                f"{vocab_size}; put the tokenizer of this very model there."
            )
        return tokenizer
    has_settings = any((folder / name).is_file() for name in (SETTINGS, ADDED, SPECIAL))
    if has_settings or not _BYTE_IDS + 256 <= vocab_size < FULL_VOCABULARY:
        raise WeightsError(
            f"{folder / SENTENCEPIECE}: the file is missing, and so are {VOCABULARY} with {MERGES} "
            f"and {TOKENIZER_JSON}; without one of them no text can be read or written. "
            "Copy it there from where the model was published."
        )
    _LOG.warning(
        "%s has no %s and only %d ids: taken for a random model, with bytes as ids.",
        folder,
        SENTENCEPIECE,
        vocab_size,
    )
    return ByteTokenizer(vocab_size, named or {})


def check_tokens(tokenizer: Tokenizer, names: Iterable[str], folder: Path) -> None:
    """See that a tokenizer knows the tokens that a template is made of; raises WeightsError."""
    missing = [name for name in dict.fromkeys(names) if tokenizer.id_of(name) is None]
    if missing:
        raise WeightsError(
            f"{folder}: its tokenizer does not know {', '.join(missing)}, of which prompts are "
            "made; tokenizer_config.json or added_tokens.json must hold them, copy them there "
            "from where the model was published."
        )


def check_covers(tokenizer: Tokenizer, vocab_size: int, folder: Path) -> None:
    """See that a tokenizer is large enough to be that of a trained model.

    Args:
        tokenizer: what ``load_tokenizer`` gave.
        vocab_size: number of ids that the model has.
        folder: for the message.

    Raises:
        WeightsError: it knows too few of the ids, as that of a smaller language model does, which
            may well have all tokens of the template.
    """
    if vocab_size >= FULL_VOCABULARY and tokenizer.vocab_size < _LEAST_KNOWN * vocab_size:
        raise WeightsError(
            f"{folder}: its tokenizer has only {tokenizer.vocab_size} ids and the model has "
            f"{vocab_size}; put the tokenizer of this very model there."
        )


def _found(folder: Path) -> Tokenizer | None:
    """The first tokenizer that is there."""
    if (folder / SENTENCEPIECE).is_file():
        return SentencePieceTokenizer(folder / SENTENCEPIECE, read_settings(folder))
    has_vocabulary, has_merges = (folder / VOCABULARY).is_file(), (folder / MERGES).is_file()
    has_json = (folder / TOKENIZER_JSON).is_file()
    if has_vocabulary and has_merges:
        settings = read_settings(folder)
        if settings.kind is None or settings.kind in KINDS:
            return BytePairTokenizer(folder, settings)
        if not has_json:
            raise WeightsError(
                f"{folder}: its tokenizer is a {settings.kind}, and {VOCABULARY} with {MERGES} is "
                f"read for {KINDS[0]} only; put the model's {TOKENIZER_JSON} there too."
            )
    if has_json:
        return JsonTokenizer(folder, read_settings(folder))
    if has_vocabulary or has_merges:
        there, gone = (VOCABULARY, MERGES) if has_vocabulary else (MERGES, VOCABULARY)
        raise WeightsError(
            f"{folder / gone}: the file is missing, and {there} is of no use without it; "
            "copy it there from where the model was published."
        )
    return None


class ByteTokenizer:
    """Bytes as ids from 3 on; 1 starts and 2 ends a text. For random models.

    ``named`` tokens are one id each and no part of a text but for tags of names and boxes; with
    ``<s>`` among them, that is what starts a text.
    """

    eos_id = 2

    def __init__(self, vocab_size: int, named: Mapping[str, int] | None = None) -> None:
        self.vocab_size = vocab_size
        self._named = dict(named or {})
        self.bos_id: int | None = self._named.get("<s>", 1)
        tokens = [AddedToken(text=text, id=i) for text, i in self._named.items()]
        self._said = {token.id: token.said for token in tokens}
        self._splitter = Splitter(tokens)

    def encode(self, text: str, *, bos: bool) -> list[int]:
        """Text → ids; raises PromptError for text that is no Unicode."""
        check_unicode(text)
        ids = [self.bos_id] if bos and self.bos_id is not None else []
        for part in self._splitter.split(text):
            if isinstance(part, AddedToken):
                ids.append(part.id)
            else:
                ids += [byte + _BYTE_IDS for byte in part.encode()]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Ids → text; ids that are no byte say nothing."""
        return joined(part for part in map(self._bytes, ids) if part != b"")

    def id_of(self, piece: str) -> int | None:
        """The id of a named token or of a character of one byte, None for all else."""
        data = piece.encode()
        return self._named.get(piece, data[0] + _BYTE_IDS if len(data) == 1 else None)

    def _bytes(self, token: int) -> bytes | None:
        if token in self._said:
            return self._said[token]
        return bytes([token - _BYTE_IDS]) if 0 <= token - _BYTE_IDS < 256 else b""
