"""Text ↔ ids by ``tokenizer.json``, through the tokenizers library."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tilewise.errors import MissingExtraError, WeightsError
from tilewise.text.added import TOKENIZER_JSON, Settings, read_object
from tilewise.text.byte_pairs import byte_letters
from tilewise.text.characters import check_unicode, joined

if TYPE_CHECKING:
    import tokenizers

_BLANK: Final = "\u2581"
_BYTE: Final = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_ENDS: Final = ("<|im_end|>", "<|endoftext|>", "</s>")


class JsonTokenizer:
    """A vocabulary and how to use it, in one file.

    Answers are put together here and not by the library, whose decoder may take back what it
    gave for the first ids; byte-level pieces and pieces with ``▁`` for a blank are known.

    Raises:
        WeightsError: the file is damaged, or its pieces are of another form.
        MissingExtraError: the library is not installed.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        path = folder / TOKENIZER_JSON
        data = read_object(path)
        self._model = _read(path)
        vocabulary: dict[str, int] = self._model.get_vocab(with_added_tokens=True)
        self.vocab_size = max(vocabulary.values(), default=-1) + 1
        form = _form(data.get("decoder") or {}, path)
        self._said = {i: form(piece) for piece, i in vocabulary.items()}
        self._said |= {token.id: token.said for token in settings.added}
        self._strips = form is _spelled and "Strip" in _kinds(data.get("decoder") or {})
        self.eos_id = self._end(settings, path)
        self.bos_id = self._start(settings)

    def encode(self, text: str, *, bos: bool) -> list[int]:
        """Text → ids; raises PromptError for text that is no Unicode."""
        check_unicode(text)
        ids: list[int] = self._model.encode(text, add_special_tokens=False).ids
        return [self.bos_id, *ids] if bos and self.bos_id is not None else ids

    def decode(self, ids: Sequence[int]) -> str:
        """Ids → text; ids beyond the vocabulary say nothing."""
        text = joined(self._said[i] for i in ids if i in self._said)
        return text[1:] if self._strips and text.startswith(" ") else text

    def id_of(self, piece: str) -> int | None:
        """The id of a piece as the file writes it, None if there is none."""
        return self._model.token_to_id(piece)

    def _start(self, settings: Settings) -> int | None:
        """The id that the file, or the settings beside it, set in front of a text."""
        if settings.adds_bos is not None:
            named = settings.names.get("bos_token")
            return self.id_of(named) if settings.adds_bos and named is not None else None
        bare: list[int] = self._model.encode("a", add_special_tokens=False).ids
        dressed: list[int] = self._model.encode("a", add_special_tokens=True).ids
        return dressed[0] if dressed[:1] != bare[:1] else None

    def _end(self, settings: Settings, path: Path) -> int:
        names = settings.names
        wanted = (names["eos_token"],) if "eos_token" in names else _ENDS
        found = [i for i in map(self.id_of, wanted) if i is not None]
        if not found:
            raise WeightsError(
                f"{path}: has no end id ({' or '.join(wanted)}); tokenizer_config.json must name "
                "it, copy that file there too."
            )
        return found[0]


def _read(path: Path) -> tokenizers.Tokenizer:
    try:
        import tokenizers  # noqa: PLC0415 - optional
    except ModuleNotFoundError as err:
        raise MissingExtraError(
            f"{path}: reading it needs the tokenizers library; "
            "install it with: pip install 'tilewise[tokenizers]'"
        ) from err
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as err:  # the library raises nothing more exact
        raise WeightsError(f"{path}: is no tokenizer, or damaged; get the file again.") from err


def _kinds(decoder: Any) -> set[str]:
    """The kinds of all steps of a decoder."""
    return set(re.findall(r'"type": "(\w+)"', json.dumps(decoder)))


def _form(decoder: Any, path: Path) -> Any:
    """What turns a piece into bytes."""
    kinds = _kinds(decoder)
    if "ByteLevel" in kinds:
        return _byte_level
    if kinds & {"ByteFallback", "Metaspace"}:
        return _spelled
    raise WeightsError(
        f"{path}: its pieces are of a form that is not known ({', '.join(sorted(kinds)) or 'none'}"
        "); byte-level pieces and pieces with ▁ are. Use the model's own tokenizer."
    )


def _byte_level(piece: str) -> bytes:
    """A piece of letters that each stand for a byte."""
    letters = _bytes_of_letters()
    return b"".join(letters.get(letter) or letter.encode() for letter in piece)


def _bytes_of_letters() -> dict[str, bytes]:
    return {letter: bytes([byte]) for byte, letter in enumerate(byte_letters())}


def _spelled(piece: str) -> bytes:
    """A piece with ▁ for a blank, or the name of a byte."""
    byte = _BYTE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace(_BLANK, " ").encode()
