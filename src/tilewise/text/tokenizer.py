"""Text to ids and back, with the tokenizer that lies in a model's folder."""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import sentencepiece

from tilewise.errors import PromptError, WeightsError

SENTENCEPIECE: Final = "tokenizer.model"
"""Name of the SentencePiece model in a folder."""

FULL_VOCABULARY: Final = 32_000
"""Trained language models have at least so many ids; below, weights are random ones for tests."""

_BYTE_IDS: Final = 3
_MARKER: Final = re.compile(r"\[[A-Z_]+_\d+\]|<\|\w+\|>")
_LOG = logging.getLogger(__name__)


class Tokenizer(Protocol):
    """Text ↔ ids of one vocabulary."""

    bos_id: int
    eos_id: int
    vocab_size: int

    def encode(self, text: str, *, bos: bool) -> list[int]:
        """Text → ids, markers of the vocabulary as their one id each; ``bos`` puts one first."""

    def decode(self, ids: Sequence[int]) -> str:
        """Ids → text, without start and end ids; an unfinished character at its tail is left out.

        The text of the first ids is the start of the text of all ids, so answers can stream.
        """

    def id_of(self, piece: str) -> int | None:
        """The id of a piece of the vocabulary, None if it has no such piece."""


def load_tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    """The tokenizer of a model's folder.

    A folder without one is that of a random model for tests if its vocabulary is too small for
    a trained one: bytes are its ids then, and a warning is logged.

    Args:
        folder: where ``tokenizer.model`` lies.
        vocab_size: number of ids that the model has.

    Raises:
        WeightsError: no tokenizer, a damaged one, or one with more ids than the model has.
    """
    path = folder / SENTENCEPIECE
    if path.is_file():
        tokenizer = SentencePieceTokenizer(path)
        if tokenizer.vocab_size > vocab_size:
            raise WeightsError(
                f"{path}: has {tokenizer.vocab_size} pieces and the model has {vocab_size} ids; "
                "put the tokenizer of this very model there."
            )
        return tokenizer
    if vocab_size >= FULL_VOCABULARY or vocab_size < _BYTE_IDS + 256:
        raise WeightsError(
            f"{path}: the file is missing, and without it no text can be read or written; "
            "copy it there from where the model was published."
        )
    _LOG.warning(
        "%s has no %s and only %d ids: taken for a random model, with bytes as ids.",
        folder,
        SENTENCEPIECE,
        vocab_size,
    )
    return ByteTokenizer(vocab_size)


class SentencePieceTokenizer:
    """A SentencePiece model with byte fallback.

    Control pieces such as ``<s>`` and pieces that look like markers (``[NAME_7]``, ``<|name|>``)
    are found in a text before SentencePiece sees what lies between them.

    Raises:
        WeightsError: the file is damaged, or has no start and end ids.
    """

    def __init__(self, path: Path) -> None:
        self._model = _read(path)
        self.vocab_size = self._model.vocab_size()
        self.bos_id, self.eos_id = self._model.bos_id(), self._model.eos_id()
        if min(self.bos_id, self.eos_id) < 0:
            raise WeightsError(f"{path}: has no start and end ids; take the model's own file.")
        ids = list(range(self.vocab_size))
        pieces, model = self._model.id_to_piece(ids), self._model
        controls, unknown = model.is_control(ids), model.is_unknown(ids)
        is_byte = model.is_byte(ids)
        self._bytes = {i: int(pieces[i][3:5], 16) for i in ids if is_byte[i]}
        self._markers = {
            pieces[i]: i
            for i in ids
            if controls[i] or unknown[i] or (pieces[i][0] in "[<" and _MARKER.fullmatch(pieces[i]))
        }
        self._split = re.compile("|".join(re.escape(marker) for marker in self._markers))

    def encode(self, text: str, *, bos: bool) -> list[int]:
        """Text → ids; raises PromptError for text that is no Unicode."""
        check_unicode(text)
        ids = [self.bos_id] if bos else []
        at = 0
        for match in self._split.finditer(text):
            ids += self._model.encode(text[at : match.start()])
            ids.append(self._markers[match[0]])
            at = match.end()
        return ids + self._model.encode(text[at:])

    def decode(self, ids: Sequence[int]) -> str:
        """Ids → text; ids beyond the vocabulary say nothing."""
        known = [i for i in ids if 0 <= i < self.vocab_size]
        return self._model.decode(known[: len(known) - _unfinished(known, self._bytes.get)])

    def id_of(self, piece: str) -> int | None:
        """The id of a piece, None if there is none."""
        found = self._model.piece_to_id(piece)
        return found if self._model.id_to_piece(found) == piece else None


class ByteTokenizer:
    """Bytes as ids from 3 on; 1 starts and 2 ends a text. For random models."""

    bos_id = 1
    eos_id = 2

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def encode(self, text: str, *, bos: bool) -> list[int]:
        """Text → ids; raises PromptError for text that is no Unicode."""
        check_unicode(text)
        return [self.bos_id] * bos + [byte + _BYTE_IDS for byte in text.encode()]

    def decode(self, ids: Sequence[int]) -> str:
        """Ids → text; ids that are no byte say nothing."""
        found = [i for i in ids if self._byte(i) is not None]
        whole = found[: len(found) - _unfinished(found, self._byte)]
        return bytes(i - _BYTE_IDS for i in whole).decode(errors="replace")

    def id_of(self, piece: str) -> int | None:
        """The id of a character of one byte, None for all else."""
        data = piece.encode()
        return data[0] + _BYTE_IDS if len(data) == 1 else None

    def _byte(self, token: int) -> int | None:
        return token - _BYTE_IDS if 0 <= token - _BYTE_IDS < 256 else None


def check_unicode(text: str) -> None:
    """See that a text can be written as UTF-8; raises PromptError.

    A command line whose bytes are of another encoding arrives with lone surrogates.
    """
    try:
        text.encode()
    except UnicodeEncodeError as err:
        raise PromptError(
            f"the text is no Unicode at its character {err.start + 1} ({text[err.start]!r}); "
            "give it in UTF-8."
        ) from err


def _read(path: Path) -> sentencepiece.SentencePieceProcessor:
    sentencepiece.set_min_log_level(2)  # its warnings about single pieces mean nothing to a user
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    except (RuntimeError, OSError) as err:
        raise WeightsError(
            f"{path}: is no SentencePiece model, or damaged; get the file again."
        ) from err


def _unfinished(ids: Sequence[int], byte_of: Callable[[int], int | None]) -> int:
    """How many ids at the end are the first bytes of a character that may still come."""
    tail: list[int] = []
    for token in reversed(ids[-3:]):
        byte = byte_of(token)
        if byte is None:
            break
        tail.insert(0, byte)
    for start in range(len(tail)):  # the longest tail that is the start of one character
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            if decoder.decode(bytes(tail[start:])) == "":
                return len(tail) - start
        except UnicodeDecodeError:
            continue
    return 0
