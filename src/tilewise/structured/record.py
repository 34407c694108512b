"""What a form became: one record of values, and where each of them stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilewise.records import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldAnswer:
    """One field's answer, as it was printed.

    ``pointer`` leads to the value in ``data`` (RFC 6901), or is None where a table's row was not
    found; ``column`` is the same with the row's name. ``value`` is None where there is none, and
    then ``note`` says why. ``page`` counts from 1 in the source; ``box`` is in its pixels, around
    all characters on that page. ``question`` is None where the schema itself gives the value.
    """

    pointer: str | None
    column: str
    value: Any
    question: str | None
    text: str
    is_found: bool
    page: int | None
    box: Box | None
    confidence: float | None
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The values of one source, or of one of its pages.

    ``data`` is valid for the schema if there are no ``problems``. ``answers`` are those of all
    fields, in the order of the schema; ``notes`` name rows that were not found.
    """

    source: str
    pages: tuple[int, ...]
    data: dict[str, Any]
    answers: tuple[FieldAnswer, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    model: str

    @property
    def is_valid(self) -> bool:
        """Whether ``data`` is valid for the schema."""
        return not self.problems

    @property
    def fields(self) -> dict[str, FieldAnswer]:
        """Answers by JSON pointer into ``data``; rows that were not found have none."""
        return {answer.pointer: answer for answer in self.answers if answer.pointer is not None}

    def as_json(self) -> dict[str, Any]:
        """The record as JSON has it; boxes are [left, top, right, bottom] in pixels."""
        return {
            "source": self.source,
            "pages": list(self.pages),
            "data": self.data,
            "fields": {key: _field(answer) for key, answer in self.fields.items()},
            "problems": list(self.problems),
            "notes": list(self.notes),
            "model": self.model,
        }


def _field(answer: FieldAnswer) -> dict[str, Any]:
    box = answer.box
    return {
        "text": answer.text,
        "page": answer.page,
        "box": None if box is None else [round(edge, 1) for edge in box],
        "confidence": answer.confidence,
        "question": answer.question,
        "found": answer.is_found,
        "note": answer.note,
    }
