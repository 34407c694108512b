"""What converters give: conversations in InternVL's form, with notes for the scorers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tilewise.errors import DataError
from tilewise.shards.conversation import IMAGE, Bad

Split = Literal["train", "test"]
"""What a record is for: learning, or scoring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One record of a data set.

    ``pairs`` are questions with their answers; a test question may have an empty answer. ``images``
    are paths inside the root of their data set. ``notes`` are what a scorer needs besides, such as
    the kind of the question, by names that are kept in the file.
    """

    id: str
    pairs: tuple[tuple[str, str], ...]
    images: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As a line of JSON Lines: the places of images are named in the first question."""
        first, *others = self.pairs
        question, answer = first
        if IMAGE not in question:
            question = f"{IMAGE}\n" * len(self.images) + question
        said = []
        for asked, told in ((question, answer), *others):
            said += [{"from": "human", "value": asked}, {"from": "gpt", "value": told}]
        made: dict[str, Any] = {"id": self.id}
        if self.images:
            made["image"] = self.images[0] if len(self.images) == 1 else list(self.images)
        return {**made, "conversations": said, **self.notes}


Found = Conversation | Bad
"""What one raw record becomes."""


def is_inside(root: Path, path: str) -> bool:
    """Whether a path that a file names lies below a folder and is there."""
    try:
        return (root / path).resolve().is_relative_to(root.resolve()) and (root / path).is_file()
    except (OSError, ValueError):
        return False


def missing(where: str, path: str) -> Bad:
    """A record whose image is not there."""
    return Bad(where, "missing image", f"{path} is not there")


def unreadable(where: str, detail: str) -> Bad:
    """A record that is not of the published form."""
    return Bad(where, "unreadable record", detail)


def no_file(path: Path, what: str) -> DataError:
    """The error of a raw file as a whole that cannot be used."""
    return DataError(f"{path}: {what}; get it again, or check that it is the published file.")
