"""One sample of training data: a conversation about images, and what a bad one is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, NamedTuple, get_args

from tilewise.errors import SourceError
from tilewise.records import Page, Role, Turn
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.sources.image import ImageSource
from tilewise.sources.video import PICTURE_KINDS

IMAGE: Final = "<image>"
"""Stands in a user's text where an image goes; in a document, in its text."""

VIDEO: Final = "<video>"
"""Stands in a user's text where the frames of a video go."""

Reason = Literal[
    "unreadable record",
    "no conversation",
    "turns do not alternate",
    "wrong placeholder count",
    "missing image",
    "damaged image",
    "bad clip",
    "marker in text",
    "lost in translation",
    "too long",
    "nothing to learn",
]
"""Why a sample is bad; samples are counted by it."""

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

_ROLES: Final[Mapping[str, Role]] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}
"""Who speaks, by the names that the formats have for it."""


class Bad(NamedTuple):
    """A sample that cannot be learned from: where it stands, why, and in which way exactly."""

    where: str
    reason: Reason
    detail: str = ""


class BadError(Exception):
    """Carries a ``Bad`` out of the functions that read a sample; no reader lets it out."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


class Part(NamedTuple):
    """Where bytes lie inside of a file: a member of an archive."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """An image that is opened when it is asked for.

    ``name`` is what messages call it. It is a file at ``path``, the ``part`` of the file there, or
    ``data``, the bytes of a file. ``clip_s``: of a video, the part to look at, in seconds.
    """

    name: str
    path: Path | None = None
    part: Part | None = None
    data: bytes | None = None
    clip_s: tuple[float, float] | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is something to open; says nothing of what is in it."""
        return self.data is not None or (self.path is not None and self.path.exists())

    def open(self) -> BinaryIO:
        """The file, to be closed by the caller.

        Raises:
            SourceError: there is no such file, or it may not be read.
        """
        if self.data is not None:
            return BytesIO(self.data)
        assert self.path is not None, "an image is a file or bytes"
        try:
            if self.part is None:
                return self.path.open("rb")
            with self.path.open("rb") as file:
                file.seek(self.part.offset)
                return BytesIO(file.read(self.part.size))
        except (OSError, ValueError) as err:
            reason = err.strerror if isinstance(err, OSError) else str(err)
            raise SourceError(f"{self.name} cannot be opened ({reason}); check the path.") from err

    def page(self) -> Page:
        """Decode the image; nothing is turned or put straight but by its own EXIF data.

        Raises:
            SourceError: missing, damaged, or no picture.
        """
        with self.open() as file:
            return self._picture(file).page(1)

    def size(self) -> tuple[int, int]:
        """Width and height of the image in pixels, by its header; raises SourceError."""
        with self.open() as file:
            size = self._picture(file).size(1)
            return int(size.width), int(size.height)

    def _picture(self, file: BinaryIO) -> ImageSource:
        kind = kind_of(file.read(HEAD_BYTES))
        if kind not in PICTURE_KINDS:
            raise SourceError(
                f"{self.name} is {kind}; images of samples are {', '.join(PICTURE_KINDS)}."
            )
        return ImageSource(file, self.name, kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A conversation about images, or about none, or an interleaved document.

    ``turns`` hold one ``IMAGE`` for each of ``images``, in their order. ``is_video``: the one
    image is a video, whose frames go where ``VIDEO`` stands. ``system``: text of the system turn,
    None for what the model has. ``is_document``: the one turn, the assistant's, is a document to
    be learned as it stands, without a template. ``where`` names the file and the line or row.
    ``length``, in tokens, and ``sizes``, of the images, are what the file says, None where it
    does not; they serve estimates and are never relied on.
    """

    id: str
    turns: tuple[Turn, ...]
    system: str | None = None
    images: tuple[ImageRef, ...] = ()
    is_video: bool = False
    where: str
    is_document: bool = False
    length: int | None = None
    sizes: tuple[tuple[int, int], ...] | None = None


def conversation(
    record: object, where: str, images: Sequence[ImageRef], *, is_video: bool = False
) -> Sample:
    """One record of a conversation with its images as a sample.

    Turns are ``conversations`` of ``from`` and ``value``, or ``messages`` of ``role`` and
    ``content``. A first turn of the system's is kept, any other in front of the user's first is
    dropped. The one image of a sample that says no place for it goes in front of the first
    question, and so does a video; several images must have their places.

    Args:
        record: the object of a line or row.
        where: names that line or row.
        images: of the record.
        is_video: the one image is a video.

    Raises:
        BadError: it cannot be learned from.

    Source: the published data format of InternVL, and of LLaVA, which is the same but for names.
    """
    if not isinstance(record, Mapping):
        raise BadError("unreadable record", f"it is a {type(record).__name__}, not an object")
    system, turns = _turns(record)
    marker = VIDEO if is_video else IMAGE
    places = sum(turn.text.count(marker) for turn in turns if turn.role == "user")
    if len(images) == 1 and not places:
        turns[0] = Turn(role="user", text=f"{marker}\n{turns[0].text}")
        places = 1
    if places != len(images):
        raise BadError(
            "wrong placeholder count",
            f"the questions hold {places} places ({marker}) for {len(images)} images",
        )
    return Sample(
        id=str(record.get("id", "")),
        turns=tuple(turns),
        system=system,
        images=tuple(images),
        is_video=is_video,
        where=where,
    )


def _turns(record: Mapping[str, Any]) -> tuple[str | None, list[Turn]]:
    """Text of the system's turn, and turns of the user and the assistant one after the other."""
    said = [_message(item) for item in _messages(record)]
    system = None
    if said and said[0][0] == "system":
        system = said.pop(0)[1]
    if said and _ROLES.get(said[0][0]) != "user":
        said.pop(0)
    if len(said) < 2:
        raise BadError("no conversation", "no question with an answer is in it")
    turns = []
    for number, (who, text) in enumerate(said):
        role = _ROLES.get(who)
        if role is None:
            raise BadError("turns do not alternate", f"turn {number + 1} is from {who[:40]!r}")
        if role != ("user", "assistant")[number % 2]:
            raise BadError("turns do not alternate", f"turn {number + 1} is from {who!r} again")
        turns.append(Turn(role=role, text=text))
    return system, turns


def _messages(record: Mapping[str, Any]) -> Sequence[Any]:
    for name in ("conversations", "messages"):
        found = record.get(name)
        if found is not None:
            if isinstance(found, str) or not isinstance(found, Sequence):
                raise BadError("no conversation", f"{name} is a {type(found).__name__}, not a list")
            return found
    raise BadError("no conversation", "it has neither conversations nor messages")


def _message(item: object) -> tuple[str, str]:
    """Who says what."""
    if isinstance(item, Mapping):
        who = item.get("from", item.get("role"))
        text = item.get("value", item.get("content"))
        if isinstance(who, str) and isinstance(text, str):
            return who, text
    raise BadError("no conversation", "a turn has no text for both from and value")
