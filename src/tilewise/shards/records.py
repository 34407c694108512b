"""One object of a file as a sample: which form it has is told by its fields."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tilewise.records import Turn
from tilewise.shards.conversation import IMAGE, Bad, BadError, ImageRef, Sample, conversation

FindImage = Callable[[object], ImageRef]
"""From what a record says of an image to the image; raises BadError."""

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]{1,20}://", re.IGNORECASE)


def sample_of(record: object, where: str, find: FindImage) -> Sample | Bad:
    """One object as a sample.

    With ``texts`` it is an interleaved document, with ``text`` alone a document of its images and
    that text behind them, else a conversation: about a ``video`` (with
    ``clip``, its start and end in seconds), about ``image`` or ``images``, one or a list, or about
    nothing.

    Args:
        record: the object of a line or row.
        where: names that line or row.
        find: finds an image that the record names.
    """
    try:
        if not isinstance(record, Mapping):
            raise BadError("unreadable record", f"it is a {type(record).__name__}, no object")
        if record.get("texts") is not None:
            return _document(record, where, find)
        if isinstance(record.get("text"), str) and not _has_turns(record):
            return _document(_captioned(record), where, find)
        if record.get("video"):
            video = replace(find(record["video"]), clip_s=_clip(record.get("clip")))
            return conversation(record, where, [video], is_video=True)
        images = [find(item) for item in _listed(record)]
        sample = conversation(record, where, images)
        return replace(sample, length=_length(record), sizes=_sizes(record, len(images)))
    except BadError as err:
        return Bad(where, err.reason, err.detail)


def parsed(data: bytes) -> object:
    """The value of JSON text in UTF-8; raises BadError with what is wrong."""
    try:
        return json.loads(data)
    except json.JSONDecodeError as err:
        reason = f"{err.msg} at character {err.pos + 1}"
    except UnicodeDecodeError as err:
        reason = f"byte {err.start + 1} is not of UTF-8"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as err:
        reason = str(err)
    raise BadError("unreadable record", f"it is no JSON: {reason}")


def file_in(root: Path, said: object) -> ImageRef:
    """A file that a record names by its path from a folder; raises BadError."""
    if not isinstance(said, str) or not said or "\0" in said:
        raise BadError("missing image", f"an image is {said!r:.80}; the path of a file is needed")
    if _ADDRESS.match(said):
        raise BadError("missing image", f"{said} is an address; fetch it into a file first")
    return ImageRef(name=said, path=root / said)


def _listed(record: Mapping[str, Any]) -> Sequence[object]:
    said = record.get("image")
    said = record.get("images") if said is None else said
    if said is None or said in ("", []):
        return []
    return said if isinstance(said, list) else [said]


def _has_turns(record: Mapping[str, Any]) -> bool:
    return any(record.get(name) is not None for name in ("conversations", "messages"))


def _captioned(record: Mapping[str, Any]) -> dict[str, Any]:
    """A text, perhaps of images, as a document."""
    images = _listed(record)
    return dict(record) | {
        "texts": [*(None for _ in images), record["text"]],
        "images": [*images, None],
    }


def _document(record: Mapping[str, Any], where: str, find: FindImage) -> Sample:
    """Texts and images in reading order; at each place one of the two lists has something."""
    texts, images = record["texts"], record.get("images") or []
    if not isinstance(texts, list) or not isinstance(images, list):
        raise BadError("unreadable record", "texts and images of a document must be lists")
    images = images or [None] * len(texts)
    if len(texts) != len(images):
        raise BadError(
            "wrong placeholder count",
            f"the document has {len(texts)} texts and {len(images)} images; one of the two at each "
            "place and null in the other list is needed",
        )
    parts, found = [], []
    for place, (text, image) in enumerate(zip(texts, images, strict=True), start=1):
        if (text is None) == (image is None) or not (text is None or isinstance(text, str)):
            raise BadError(
                "wrong placeholder count", f"place {place} of the document needs a text or an image"
            )
        if image is not None:
            found.append(find(image))
        elif IMAGE in str(text):
            raise BadError("marker in text", f"text {place} of the document holds {IMAGE}")
        parts.append(IMAGE if text is None else text)
    text = "\n".join(parts)
    if not text.strip():
        raise BadError("no conversation", "the document is empty")
    return Sample(
        id=str(record.get("id", "")),
        turns=(Turn(role="assistant", text=text),),
        images=tuple(found),
        where=where,
        is_document=True,
        length=_length(record),
    )


def _clip(said: object) -> tuple[float, float] | None:
    if said is None:
        return None
    if isinstance(said, list) and len(said) == 2 and all(map(_is_number, said)):
        start, end = map(float, said)
        if 0 <= start < end:
            return start, end
    raise BadError("bad clip", f"clip is {said!r:.80}; start and end in seconds are needed")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _length(record: Mapping[str, Any]) -> int | None:
    value = record.get("length")
    return value if isinstance(value, int) and value > 0 else None


def _sizes(record: Mapping[str, Any], images: int) -> tuple[tuple[int, int], ...] | None:
    """Sizes of images, where the record has all of them as whole numbers from 1 up."""
    for names in (("width_list", "height_list"), ("width", "height")):
        said = [record.get(name) for name in names]
        both = [item if isinstance(item, list) else [item] for item in said]
        if all(len(item) == images for item in both):
            sizes = tuple(zip(*both, strict=True))
            if all(isinstance(side, int) and side > 0 for size in sizes for side in size):
                return sizes
    return None
