"""An interleaved document as a row of plain JSON values, and back, without loss.

It is the form between stages of the corpus. ``released`` has the form that others read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from hashlib import sha256
from typing import Any, Final, get_args

from tilewise.errors import DataError
from tilewise.records import Block, BlockKind, Document, Dropped, WebImage

Row = dict[str, Any]
"""What one line of JSON holds."""

KINDS: Final = frozenset(get_args(BlockKind))
"""Kinds that a block may be of."""


def to_row(document: Document) -> Row:
    """A document as a row; what has its default value is left out."""
    row = _row(document, _DOCUMENT)
    row["blocks"] = [_block_row(block) for block in document.blocks]
    if document.scores:
        row["scores"] = dict(document.scores)
    return row


def from_row(row: object, where: str = "a row") -> Document:
    """The document of a row.

    Args:
        row: what ``to_row`` gave, perhaps through JSON.
        where: names the row for messages.

    Raises:
        DataError: it is the row of no document.
    """
    try:
        return _document(row)
    except (TypeError, ValueError, KeyError) as err:
        said = f"{err.args[0]} is missing" if isinstance(err, KeyError) else str(err)
        raise DataError(
            f"{where} holds no document ({said}); give a row that this version wrote."
        ) from err


def dropped_to_row(dropped: Dropped) -> Row:
    """A dropped document as a row, with the document if it is there."""
    row = _row(dropped, _DROPPED)
    if dropped.document is not None:
        row["document"] = to_row(dropped.document)
    return row


def dropped_from_row(row: object, where: str = "a row") -> Dropped:
    """The dropped document of a row; raises DataError as ``from_row`` does."""
    if not isinstance(row, Mapping):
        raise DataError(f"{where} is a {type(row).__name__}; an object is needed.")
    document = row.get("document")
    try:
        _check_texts(row, _DROPPED_TEXTS)
        whole = None if document is None else from_row(document, where)
        return Dropped(**{**row, "document": whole})
    except (TypeError, ValueError, KeyError) as err:
        raise DataError(
            f"{where} holds no dropped document ({err}); give a row that this version wrote."
        ) from err


def line_of(row: Mapping[str, Any]) -> bytes:
    """A row as a line of JSON in UTF-8, its end included.

    Raises:
        DataError: a number is not finite, which JSON cannot say.
    """
    try:
        try:
            return _ENCODER.encode(row).encode() + b"\n"
        except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can say
            return json.dumps(row, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except ValueError as err:
        raise DataError(
            f"the document {row.get('id', '')} has a number that is not finite; write None where a "
            "value is not known."
        ) from err


_ENCODER: Final = json.JSONEncoder(
    # made once: json.dumps makes one for each row, which takes longer than a short row; and rows
    # hold no circles
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
)  # fmt: skip


def image_name(url: str) -> str:
    """What the file of an image is called: SHA-256 of its URL, in hex, without an ending.

    Source: the released training code of OmniCorpus (arXiv 2406.08418).
    """
    return sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(kind: type, *without: str) -> tuple[tuple[str, object], ...]:
    """Names of a record's fields with what they are by default."""
    return tuple(
        (one.name, None if one.default is MISSING else one.default)
        for one in fields(kind)
        if one.name not in without
    )


_IMAGE: Final = _plain(WebImage)
_DOCUMENT: Final = _plain(Document, "blocks", "scores")
_DROPPED: Final = _plain(Dropped, "document")
_TEXTS: Final = ("id", "url", "title", "captured", "archive", "lang", "license", "license_source")
_DROPPED_TEXTS: Final = ("id", "url", "stage", "reason")


def _row(value: object, names: tuple[tuple[str, object], ...]) -> Row:
    found = ((name, getattr(value, name), default) for name, default in names)
    return {name: said for name, said, default in found if said != default}


def _block_row(block: Block) -> Row:
    row: Row = {"kind": block.kind}
    if block.text:
        row["text"] = block.text
    if block.level:
        row["level"] = block.level
    if block.image is not None:
        row["image"] = _row(block.image, _IMAGE)
    return row


def _document(row: object) -> Document:
    if not isinstance(row, Mapping):
        raise TypeError(f"it is a {type(row).__name__}, no object")
    _check_texts(row, _TEXTS)
    scores = row.get("scores", {})
    if not isinstance(scores, Mapping):
        raise TypeError("scores is no object")
    blocks = tuple(_block(item) for item in row["blocks"])
    return Document(**{**row, "blocks": blocks, "scores": dict(scores)})


def _block(row: Mapping[str, Any]) -> Block:
    kind, image = row["kind"], row.get("image")
    if kind not in KINDS:
        raise ValueError(f"{kind!r:.40} is no kind of a block")
    if not isinstance(row.get("text", ""), str):
        _check_texts(row, ("text",))
    if image is None:
        return Block(**row)
    _check_texts(image, ("url", "alt", "caption"))
    return Block(**{**row, "image": WebImage(**image)})


def _check_texts(row: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if not isinstance(row.get(name, ""), str):
            raise TypeError(f"{name} is {row[name]!r:.40}, no text")
