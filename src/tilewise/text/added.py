"""Tokens beside a tokenizer's own vocabulary, and what its settings say.

The files are those that the transformers library writes: ``tokenizer_config.json``,
``special_tokens_map.json``, ``added_tokens.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tilewise.errors import WeightsError
from tilewise.text.templates import GROUNDING_TAGS

SETTINGS: Final = "tokenizer_config.json"
ADDED: Final = "added_tokens.json"
SPECIAL: Final = "special_tokens_map.json"
TOKENIZER_JSON: Final = "tokenizer.json"

_NAMED: Final = ("bos_token", "eos_token", "unk_token", "pad_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedToken:
    """A token that is found in a text before all else.

    It takes the blanks on its left or right with it where ``strips_left`` or ``strips_right``;
    with ``is_word`` it must stand apart from letters and digits. ``is_special``: it steers a
    model and is no part of what is said.
    """

    text: str
    id: int
    strips_left: bool = False
    strips_right: bool = False
    is_word: bool = False
    is_special: bool = True

    @property
    def said(self) -> bytes | None:
        """What it adds to an answer, as UTF-8; None for nothing.

        Tags of names and boxes are special to the files, and yet a part of what is said.
        """
        is_silent = self.is_special and self.text not in GROUNDING_TAGS
        return None if is_silent else self.text.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the files beside a vocabulary say.

    ``names``: text of ``bos_token``, ``eos_token`` and so on. ``adds_bos``: whether the start id
    is set in front of a text, None if not said. ``is_legacy``: how blanks are set, see
    ``SentencePieceTokenizer``. ``kind``: the class that the files name.
    """

    added: tuple[AddedToken, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    adds_bos: bool | None = None
    is_legacy: bool = True
    kind: str | None = None


def read_settings(folder: Path) -> Settings:
    """Read the files; what is not there says nothing.

    ``tokenizer_config.json`` goes before the two older files, as it does for the transformers
    library, and ``tokenizer.json`` comes last.

    Raises:
        WeightsError: a file is damaged, or of another form.
    """
    data, special = read_object(folder / SETTINGS), read_object(folder / SPECIAL)
    named = special | {key: value for key, value in data.items() if value is not None}
    names = {key: _text(named[key]) for key in _NAMED if named.get(key) is not None}
    listed = data.get("added_tokens_decoder")
    if listed is not None:
        added = _decoder(listed, folder / SETTINGS)
    elif (folder / ADDED).is_file():
        added = _older(read_object(folder / ADDED), special, folder / ADDED)
    else:
        found = read_object(folder / TOKENIZER_JSON).get("added_tokens") or []
        added = tuple(_token(item, item.get("id"), folder / TOKENIZER_JSON) for item in found)
    adds_bos, kind = data.get("add_bos_token"), data.get("tokenizer_class")
    return Settings(
        added=added,
        names=names,
        adds_bos=adds_bos if isinstance(adds_bos, bool) else None,
        is_legacy=data.get("legacy") is not False,
        kind=kind if isinstance(kind, str) else None,
    )


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object, empty if there is no such file; raises WeightsError."""
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as err:
        raise WeightsError(f"{path}: is no JSON, or damaged; get the file again.") from err
    if not isinstance(data, dict):
        raise WeightsError(f"{path}: holds no JSON object; get the file again.")
    return data


class Splitter:
    """Finds added tokens in a text, the longest of those that begin at one place."""

    def __init__(self, tokens: Iterable[AddedToken]) -> None:
        self._tokens = {token.text: token for token in tokens}
        texts = sorted(self._tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(self._found, texts)) or r"(?!)")

    def split(self, text: str) -> Iterator[str | AddedToken]:
        """Added tokens and the texts between them, in order; no text is empty."""
        at, strips = 0, False
        for match in self._pattern.finditer(text):
            token = self._tokens[match[0]]
            if between := self._trimmed(text[at : match.start()], strips, token.strips_left):
                yield between
            yield token
            at, strips = match.end(), token.strips_right
        if rest := self._trimmed(text[at:], strips, False):
            yield rest

    def _found(self, text: str) -> str:
        pattern = re.escape(text)
        return rf"(?<!\w){pattern}(?!\w)" if self._tokens[text].is_word else pattern

    @staticmethod
    def _trimmed(text: str, left: bool, right: bool) -> str:
        text = text.lstrip() if left else text
        return text.rstrip() if right else text


def _decoder(listed: Any, path: Path) -> tuple[AddedToken, ...]:
    """``added_tokens_decoder``: id → token."""
    if not isinstance(listed, dict):
        raise WeightsError(f"{path}: added_tokens_decoder is no object; get the file again.")
    return tuple(
        _token(item, int(key) if key.isdecimal() else None, path) for key, item in listed.items()
    )


def _older(
    ids: Mapping[str, Any], special: Mapping[str, Any], path: Path
) -> tuple[AddedToken, ...]:
    """``added_tokens.json``: text → id, with what ``special_tokens_map.json`` says of them."""
    lists = (v if isinstance(v, list) else [v] for v in special.values())
    known = {_text(item): item for items in lists for item in items}
    return tuple(
        _token(
            known[text] if isinstance(known.get(text), dict) else {"content": text},
            token,
            path,
            is_special=text in known,
        )
        for text, token in ids.items()
    )


def _token(item: Any, token: Any, path: Path, is_special: bool | None = None) -> AddedToken:
    """One token as the files write it."""
    text = item.get("content") if isinstance(item, dict) else item
    if not isinstance(text, str) or not text or not isinstance(token, int) or token < 0:
        raise WeightsError(f"{path}: {item!r} with id {token!r} is no token; get the file again.")
    flags = item if isinstance(item, dict) else {}
    return AddedToken(
        text=text,
        id=token,
        strips_left=bool(flags.get("lstrip")),
        strips_right=bool(flags.get("rstrip")),
        is_word=bool(flags.get("single_word")),
        is_special=bool(flags.get("special")) if is_special is None else is_special,
    )


def _text(item: Any) -> str:
    """The text of a token that is given plainly or with its flags."""
    return str(item.get("content")) if isinstance(item, dict) else str(item)
