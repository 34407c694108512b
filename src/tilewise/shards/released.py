"""An interleaved document in the form of OmniCorpus' released files, with columns of our own.

``images`` and ``texts`` are of one length, and at each place exactly one of them has something;
``metadata`` is null exactly where there is no image. What the released columns have no room for
lies in the others, so that nothing is lost.

Source: OmniCorpus (arXiv 2406.08418), the schema of its released Parquet files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from tilewise.errors import DataError
from tilewise.records import Block, Document, WebImage
from tilewise.shards.conversation import BadError
from tilewise.shards.documents import KINDS, Row, image_name

NOT_VALID: Final = "valid_image"
"""What dropped an image that a row of other origin calls not valid."""

PROBABILITIES: Final = {
    "fluency_prob": "fluency",
    "non_advertisement_prob": "non_advertisement",
    "politics_prob": "politics",
    "porn_prob": "porn",
    "toxic_prob": "toxic",
}
"""Scores of ``general_metadata``, and what they may be called in ``Document.scores``."""

_NUMBER: Final = (int, float)
_IMAGE_TEXTS: Final = ("d_hash", "p_hash")
_IMAGE_FIELDS: Final = {
    "aesthetic_prob": "aesthetic",
    "bytes": "size_bytes",
    "d_hash": "d_hash",
    "d_hash_dup_count": "d_count",
    "height": "height",
    "p_hash": "p_hash",
    "p_hash_dup_count": "p_count",
    "unsafe_prob": "unsafe",
    "width": "width",
}
"""Fields of ``metadata`` and of ``WebImage``; ``img_url_sha`` follows from the URL."""


def to_released(document: Document, filters_version: str = "") -> Row:
    """A document as a row of the released form and of our columns.

    Args:
        document: each block has a text or an image.
        filters_version: names the rules that it passed.

    Raises:
        DataError: a block has both a text and an image.
    """
    blocks = document.blocks
    for place, block in enumerate(blocks):
        if block.image is not None and block.text:
            raise DataError(
                f"block {place} of the document {document.id} has both a text and an image; make "
                "two blocks of it."
            )
    images = document.images
    return {
        "general_metadata": _general(document),
        "images": [block.image.url if block.image is not None else None for block in blocks],
        "texts": [block.text if block.image is None else None for block in blocks],
        "metadata": [_told(block.image) for block in blocks],
        "valid_image": [image.dropped is None for image in images],
        "doc_id": document.id,
        "warc_file": document.archive,
        "warc_offset": document.offset,
        "capture_date": document.captured,
        "lang": document.lang,
        "lang_score": document.lang_score,
        "license": document.license,
        "license_source": document.license_source,
        "title": document.title,
        "block_kind": [block.kind for block in blocks],
        "block_level": [block.level for block in blocks],
        "image_alt": [image.alt for image in images],
        "image_caption": [image.caption for image in images],
        "image_dropped": [image.dropped for image in images],
        "stage_scores": [{"name": name, "value": value} for name, value in document.scores.items()],
        "filters_version": filters_version,
    }


def from_released(row: object) -> Document:
    """The document of a row, which may be of other origin and have the released columns alone.

    ``general_metadata`` and ``metadata`` may be JSON texts. Images that ``valid_image`` leaves out
    stay in their places and are dropped by ``NOT_VALID``.

    Raises:
        BadError: the row breaks an invariant of the form, and which.
    """
    row = opened(row)
    check(row)
    general = row.get("general_metadata") or {}
    url = _text(general, "url")
    name = _text(row, "doc_id")
    if row.get("doc_id") is None:
        name = _text(general, "id") or sha256(url.encode()).hexdigest()[:32]
    try:
        return Document(
            id=name,
            url=url,
            blocks=tuple(_blocks(row)),
            title=_text(row, "title"),
            captured=_text(row, "capture_date"),
            archive=_text(row, "warc_file"),
            offset=_is(row.get("warc_offset"), int, "warc_offset") or 0,
            lang=_text(row, "lang"),
            lang_score=_is(row.get("lang_score"), _NUMBER, "lang_score"),
            license="unknown" if row.get("license") is None else _text(row, "license"),
            license_source=_text(row, "license_source"),
            scores=_scores(row, general),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        raise BadError("unreadable record", f"it is of another form ({err})") from err


def opened(row: object) -> Row:
    """A row whose ``general_metadata`` and ``metadata`` are no JSON texts; raises BadError."""
    if not isinstance(row, Mapping):
        raise BadError("unreadable record", f"it is a {type(row).__name__}, no object")
    found = dict(row)
    for name in ("general_metadata", "metadata"):
        if isinstance(found.get(name), str):
            try:
                found[name] = json.loads(found[name])
            except (ValueError, RecursionError) as err:
                raise BadError("unreadable record", f"{name} is a text, no JSON: {err}") from err
    if not isinstance(found.get("general_metadata") or {}, Mapping):
        raise BadError("unreadable record", "general_metadata is no object")
    return found


def check(row: Mapping[str, Any]) -> None:
    """See that a row, of which columns may be left out, keeps the invariants of the form.

    Raises:
        BadError: it does not, and which.

    Source: what the released loader asserts.
    """
    images, texts = _list(row, "images"), _list(row, "texts")
    if images is None or texts is None:
        raise BadError("unreadable record", "images and texts are both needed")
    if len(images) != len(texts):
        raise BadError(
            "wrong placeholder count", f"it has {len(images)} images and {len(texts)} texts"
        )
    for place, (image, text) in enumerate(zip(images, texts, strict=True)):
        if (image is None) == (text is None):
            said = "neither a text nor" if image is None else "both a text and"
            raise BadError("wrong placeholder count", f"place {place} has {said} an image")
        if not isinstance(text if image is None else image, str):
            raise BadError("unreadable record", f"place {place} holds no text and no address")
    _check_metadata(row, images)
    shown = sum(image is not None for image in images)
    for name, size in (
        ("valid_image", shown),
        ("image_alt", shown),
        ("image_caption", shown),
        ("image_dropped", shown),
        ("block_kind", len(images)),
        ("block_level", len(images)),
    ):
        found = _list(row, name)
        if found is not None and len(found) != size:
            raise BadError(
                "wrong placeholder count", f"{name} has {len(found)} values, {size} are needed"
            )


def _check_metadata(row: Mapping[str, Any], images: Sequence[object]) -> None:
    found = _list(row, "metadata")
    if found is None:
        return
    if len(found) != len(images):
        raise BadError(
            "wrong placeholder count", f"metadata has {len(found)} values for {len(images)} places"
        )
    for place, (image, told) in enumerate(zip(images, found, strict=True)):
        if (image is None) != (told is None):
            raise BadError(
                "wrong placeholder count",
                f"place {place} has {'no' if image is None else 'an'} image and "
                f"{'no ' if told is None else ''}metadata",
            )
        if not isinstance(told, Mapping | None):
            raise BadError("unreadable record", f"metadata of place {place} is no object")


def _general(document: Document) -> Row:
    scores = document.scores
    host = _host(document.url)
    return {
        "domain": [host] if host else [],
        **{
            released: scores.get(released, scores.get(own))
            for released, own in PROBABILITIES.items()
        },
        "id": document.id,
        "url": document.url,
    }


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _told(image: WebImage | None) -> Row | None:
    if image is None:
        return None
    told: Row = {released: getattr(image, own) for released, own in _IMAGE_FIELDS.items()}
    return told | {"img_url_sha": image_name(image.url)}


def _blocks(row: Mapping[str, Any]) -> list[Block]:
    images, texts = row["images"], row["texts"]
    kinds = row.get("block_kind") or ["text" if url is None else "image" for url in images]
    levels = row.get("block_level") or [0] * len(images)
    told = row.get("metadata") or [None if url is None else {} for url in images]
    blocks, shown = [], 0
    for url, text, kind, level, known in zip(images, texts, kinds, levels, told, strict=True):
        if _is(kind, str, "block_kind") not in KINDS:
            raise ValueError(f"{kind!r:.40} is no kind of a block")
        if _is(level, int, "block_level") is None:
            raise TypeError("block_level is null")
        if url is None:
            blocks.append(Block(kind=kind, text=text, level=level))
        else:
            image = _image(row, shown, url, known)
            blocks.append(Block(kind=kind, level=level, image=image))
            shown += 1
    return blocks


def _image(row: Mapping[str, Any], shown: int, url: str, told: Mapping[str, Any]) -> WebImage:
    dropped = _at(row, "image_dropped", shown)
    if dropped is None and _at(row, "valid_image", shown) is False:
        dropped = NOT_VALID
    known = {
        own: _is(told.get(released), str if released in _IMAGE_TEXTS else _NUMBER, released)
        for released, own in _IMAGE_FIELDS.items()
    }
    return WebImage(
        url=url,
        alt=_is(_at(row, "image_alt", shown), str, "image_alt") or "",
        caption=_is(_at(row, "image_caption", shown), str, "image_caption") or "",
        dropped=_is(dropped, str, "image_dropped"),
        **known,
    )


def _at(row: Mapping[str, Any], name: str, place: int) -> Any:
    values = row.get(name)
    return values[place] if values is not None else None


def _scores(row: Mapping[str, Any], general: Mapping[str, Any]) -> dict[str, float | None]:
    """Scores by name; a row of other origin has those of ``general_metadata`` alone."""
    own = row.get("stage_scores")
    if own is None:
        told = [(name, general.get(name)) for name in PROBABILITIES]
        return {name: _is(value, _NUMBER, name) for name, value in told if value is not None}
    return {
        _is(item["name"], str, "a score's name"): _is(item["value"], _NUMBER, "a score")
        for item in own
    }


def _is(value: Any, kind: Any, name: str) -> Any:
    """A value of a type, or None; raises TypeError."""
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise TypeError(f"{name} is {value!r:.40}")
    return value


def _list(row: Mapping[str, Any], name: str) -> Sequence[Any] | None:
    found = row.get(name)
    if found is not None and not isinstance(found, list):
        raise BadError("unreadable record", f"{name} is a {type(found).__name__}, no list")
    return found


def _text(row: Mapping[str, Any], name: str) -> str:
    found = row.get(name)
    if not isinstance(found, str | None):
        raise BadError("unreadable record", f"{name} is a {type(found).__name__}, no text")
    return found or ""
