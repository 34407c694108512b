"""Text ↔ ids by a SentencePiece model and the tokens added to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import sentencepiece

from tilewise.errors import WeightsError
from tilewise.text.added import AddedToken, Settings, Splitter
from tilewise.text.characters import check_unicode, unfinished

_MARKER: Final = re.compile(r"\[[A-Z_]+_\d+\]|<\|\w+\|>")
_BLANK: Final = "\u2581"

_NO_PREFIX: Final = b"\x1a\x02\x18\x00"
"""``normalizer_spec { add_dummy_prefix: false }``; what is appended to a message overrides it.

Source: sentencepiece_model.proto, and how protocol buffers merge fields.
"""


class SentencePieceTokenizer:
    """A SentencePiece model with byte fallback.

    Added tokens, control pieces such as ``<s>``, and pieces that look like markers (``[NAME_7]``,
    ``<|name|>``) are found in a text before SentencePiece sees what lies between them. An added
    token whose id is that of a piece takes its place.

    A model may set a blank in front of a text (Llama and Phi-3 do, InternLM2 does not). With
    ``settings.is_legacy`` that is so for each part between added tokens, otherwise only for a
    part at the very start.

    Raises:
        WeightsError: the file is damaged, or has no start and end ids.

    Source: the slow tokenizers of the transformers library, which the models were trained with.
    """

    def __init__(self, path: Path, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._model, self._bare = _read(path)
        self._has_prefix = self._model is not self._bare
        self._is_legacy = settings.is_legacy
        size = self._model.vocab_size()
        own = {token.id: token for token in _markers(self._model)}
        added = {token.id: token for token in settings.added}
        self._tokens = own | added
        self._added = added
        self._ids = {token.text: token.id for token in self._tokens.values()}
        self._splitter = Splitter(self._tokens.values())
        self.vocab_size = max([size, *(i + 1 for i in added)])
        ids = list(range(size))
        is_byte, pieces = self._model.is_byte(ids), self._model.id_to_piece(ids)
        self._bytes = {i: int(pieces[i][3:5], 16) for i in ids if is_byte[i] and i not in added}
        bos = self._named(settings, "bos_token", self._model.bos_id())
        self.eos_id = self._named(settings, "eos_token", self._model.eos_id())
        if min(bos, self.eos_id) < 0:
            raise WeightsError(f"{path}: has no start and end ids; take the model's own file.")
        self.bos_id: int | None = None if settings.adds_bos is False else bos

    def encode(self, text: str, *, bos: bool) -> list[int]:
        """Text → ids; raises PromptError for text that is no Unicode."""
        check_unicode(text)
        ids = [self.bos_id] if bos and self.bos_id is not None else []
        text = text if self._is_legacy else text.replace(_BLANK, " ")
        for number, part in enumerate(self._splitter.split(text)):
            if isinstance(part, AddedToken):
                ids.append(part.id)
            elif self._is_legacy:
                ids += self._model.encode(part)
            else:
                model = self._bare if number else self._model
                ids += model.encode(part)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Ids → text; ids beyond the vocabulary say nothing."""
        text = "".join(self._said(ids))
        return text[1:] if self._has_prefix and text.startswith(" ") else text

    def id_of(self, piece: str) -> int | None:
        """The id of a piece, None if there is none."""
        if piece in self._ids:
            return self._ids[piece]
        found = self._model.piece_to_id(piece)
        is_own = found not in self._added and self._model.id_to_piece(found) == piece
        return found if is_own else None

    def _said(self, ids: Sequence[int]) -> Iterator[str]:
        """Text of runs of pieces and of the added tokens between them."""
        run: list[int] = []
        for token in ids:
            if token in self._added:
                yield self._bare.decode(run)
                yield (self._added[token].said or b"").decode()
                run = []
            elif 0 <= token < self._model.vocab_size():
                run.append(token)
        yield self._bare.decode(run[: len(run) - unfinished(run, self._bytes.get)])

    def _named(self, settings: Settings, name: str, default: int) -> int:
        """The id of a token that the settings name, or the model's own."""
        found = self.id_of(settings.names[name]) if name in settings.names else None
        return default if found is None else found


def _markers(model: sentencepiece.SentencePieceProcessor) -> Iterator[AddedToken]:
    """Pieces that are no words."""
    ids = list(range(model.vocab_size()))
    pieces, controls, unknown = model.id_to_piece(ids), model.is_control(ids), model.is_unknown(ids)
    for i in ids:
        is_marker = pieces[i][0] in "[<" and _MARKER.fullmatch(pieces[i])
        if controls[i] or unknown[i] or is_marker:
            yield AddedToken(text=pieces[i], id=i, is_special=not is_marker)


def _read(
    path: Path,
) -> tuple[sentencepiece.SentencePieceProcessor, sentencepiece.SentencePieceProcessor]:
    """The model as it is, and as one that sets no blank in front of a text, or the same twice."""
    sentencepiece.set_min_log_level(2)  # its warnings about single pieces mean nothing to a user
    try:
        data = path.read_bytes()
        model = sentencepiece.SentencePieceProcessor(model_proto=data)
        if not data or model.vocab_size() == 0:
            raise RuntimeError("no pieces")
        bare = sentencepiece.SentencePieceProcessor(model_proto=data + _NO_PREFIX)
        return model, (model if model.encode("a") == bare.encode("a") else bare)
    except (RuntimeError, OSError) as err:
        raise WeightsError(
            f"{path}: is no SentencePiece model, or damaged; get the file again."
        ) from err
