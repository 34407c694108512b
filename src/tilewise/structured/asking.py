"""Fill a form: ask each field about the same pages, read the answers, put them together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tilewise.engine.generate import Limits
from tilewise.engine.sampling import SamplingConfig
from tilewise.engine.session import Conversation
from tilewise.models.folders import DEFAULT
from tilewise.models.reader import Progress
from tilewise.records import Answer, Box, Evidence
from tilewise.structured.amounts import UnreadableError
from tilewise.structured.fields import Branch, Field, Node, Path, Rows
from tilewise.structured.form import Form
from tilewise.structured.record import FieldAnswer, Record
from tilewise.structured.schema import pointer, validator
from tilewise.structured.values import Customs, customs_of, parse_value, schema_of_value

BRIEFLY: Final = ' Answer with the value alone, as printed; if it is not there, with "not found".'
"""Said to readers that write sentences; the default reader copies values and needs no telling."""

NOT_FOUND: Final = frozenset(("not found", "n/a", "none", "unknown", "not available"))
"""Answers, less full stops, by which a reader that was told so says that there is none."""

MAX_NEW_TOKENS: Final = 512
"""A value is short; where nothing else is said, this ends a reader that does not stop."""


def fill(
    form: Form,
    talk: Conversation,
    limits: Limits | None = None,
    progress: Progress | None = None,
    sampling: SamplingConfig | None = None,
) -> Record:
    """Ask every field of a form about the pages of a conversation.

    The pages are read once, for the first field. Each question stands for itself: turns are
    forgotten before and after.

    Args:
        form: from ``read_form``.
        talk: a conversation about the pages of one source.
        limits, progress, sampling: as for ``Conversation.ask``; with the stage "fields" besides.

    Returns:
        A record; what is missing or does not fit is told in its ``problems``.

    Raises:
        PromptError: a question is too long.
        WeightsError: the reader gives no usable output.
    """
    limits = limits or Limits(max_new_tokens=MAX_NEW_TOKENS)
    taken: list[tuple[Field, _Taken]] = []
    for field in form.fields:
        on_pages = None if taken else progress  # later answers are too short to report on
        taken.append((field, _ask(field, talk, limits, sampling, on_pages)))
        if progress is not None:
            progress("fields", len(taken), len(form.fields))
    customs = customs_of((field, one.text) for field, one in taken if one.is_found)
    values = {field.path: _value(field, one, customs) for field, one in taken}
    return _Filled(form, {field.path: one for field, one in taken}, values).record(talk)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What a reader said about one field."""

    text: str
    is_found: bool
    is_complete: bool
    confidence: float | None
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """A value, or None and why."""

    value: Any = None
    note: str | None = None


def _ask(
    field: Field,
    talk: Conversation,
    limits: Limits,
    sampling: SamplingConfig | None,
    progress: Progress | None,
) -> _Taken:
    if field.question is None:
        return _Taken(
            text=field.given or "", is_found=False, is_complete=True, confidence=None, evidence=()
        )
    is_brief = field.is_own or talk.reader.name == DEFAULT
    question = field.question if is_brief else field.question + BRIEFLY
    talk.forget()
    answer: Answer | None = None
    for event in talk.ask(question, limits, progress, sampling):
        if isinstance(event, Answer):
            answer = event
    talk.forget()
    assert answer is not None  # a conversation ends with one
    text = answer.text.strip()
    is_found = answer.is_found and bool(text) and text.rstrip(".").casefold() not in NOT_FOUND
    return _Taken(
        text=answer.text,
        is_found=is_found,
        is_complete=answer.is_complete,
        confidence=answer.confidence,
        evidence=answer.evidence,
    )


def _value(field: Field, taken: _Taken, customs: Customs) -> _Value:
    if field.given is not None:
        return _Value(value=field.given, note="the schema gives it")
    if not taken.is_found:
        return _Value(note="not found")
    if not taken.is_complete:
        return _Value(note="the answer was cut; raise the limit of new tokens")
    try:
        value = parse_value(field, taken.text, customs)
    except UnreadableError as err:
        shown = taken.text if len(taken.text) <= 80 else f"{taken.text[:79]}…"
        return _Value(note=f"the answer {shown!r} {err}")
    error = next(validator(schema_of_value(field)).iter_errors(value), None)
    if error is not None:
        return _Value(note=f"the answer does not fit the schema: {error.message[:200]}")
    return _Value(value=value)


_MISSING: Final = object()


class _Filled:
    """Taken answers on their way into one record; ``at`` maps a field's path to its pointer."""

    def __init__(self, form: Form, taken: dict[Path, _Taken], values: dict[Path, _Value]) -> None:
        self.form, self.taken, self.values = form, taken, values
        self.at: dict[Path, Path] = {}
        self.notes: list[str] = []

    def record(self, talk: Conversation) -> Record:
        """Put the record together and check it as a whole."""
        data = self.put(self.form.root, (), is_required=True)
        answers = tuple(self.answer(field, talk) for field in self.form.fields)
        return Record(
            source=talk.pages[0].name,
            pages=tuple(page.number for page in talk.pages),
            data=data,
            answers=answers,
            problems=tuple(self.problems(data)),
            notes=tuple(self.notes),
            model=talk.reader.name,
        )

    def put(self, node: Node, at: Path, *, is_required: bool) -> Any:
        """The value of a node, which comes to stand ``at`` in the data; ``_MISSING`` if none."""
        if isinstance(node, Field):
            self.at[node.path] = at
            value = self.values[node.path].value
            return value if value is not None else None if node.is_nullable else _MISSING
        if not self.is_found(node) and (node.is_nullable or not is_required):
            self.leave_out(node, at)
            return None if node.is_nullable else _MISSING
        if isinstance(node, Rows):
            return self.put_rows(node, at)
        made = {
            key: self.put(child, (*at, key), is_required=key in node.required)
            for key, child in node.children.items()
        }
        return {key: value for key, value in made.items() if value is not _MISSING}

    def put_rows(self, node: Rows, at: Path) -> list[Any]:
        """The rows that were found; the others are told of."""
        self.note_rows(node, at)
        found = [row for _, row in node.rows if self.is_found(row)]
        return [self.put(row, (*at, i), is_required=True) for i, row in enumerate(found)]

    def leave_out(self, node: Node, at: Path) -> None:
        """Say of what is not in the data where it would stand; of rows, only their names."""
        if isinstance(node, Field):
            self.at[node.path] = at
        elif isinstance(node, Branch):
            for key, child in node.children.items():
                self.leave_out(child, (*at, key))
        else:
            self.note_rows(node, at)

    def note_rows(self, node: Rows, at: Path) -> None:
        """Name the rows that were not found."""
        names = [repr(name) for name, row in node.rows if not self.is_found(row)]
        if names:
            self.notes.append(f"{pointer(at)}: not found and left out: {', '.join(names)}")

    def is_found(self, node: Node) -> bool:
        """Whether the pages hold anything of it."""
        return any(self.taken[field.path].is_found for field in _fields(node))

    def answer(self, field: Field, talk: Conversation) -> FieldAnswer:
        """A field's answer with its place."""
        taken, value = self.taken[field.path], self.values[field.path]
        page, box = _place(taken.evidence)
        at = self.at.get(field.path)
        return FieldAnswer(
            pointer=None if at is None else pointer(at),
            column=field.column,
            value=value.value if at is not None else None,
            question=field.question,
            text=taken.text,
            is_found=taken.is_found,
            page=None if page is None else talk.pages[page - 1].number,
            box=box,
            confidence=taken.confidence,
            note=value.note,
        )

    def problems(self, data: Any) -> Iterator[str]:
        """Why the data is not valid for the schema, by place."""
        notes = {at: self.values[path].note for path, at in self.at.items()}
        told: set[Path] = set()
        for error in validator(self.form.schema).iter_errors(data):
            place = tuple(error.absolute_path)
            if error.validator != "required":
                yield f"{pointer(place) or 'the record'}: {error.message[:300]}"
                continue
            for key in error.validator_value:
                at = (*place, key)
                if key not in error.instance and at not in told:
                    told.add(at)
                    yield f"{pointer(at)}: required, but {notes.get(at) or 'not found'}"


def _fields(node: Node) -> Iterator[Field]:
    if isinstance(node, Field):
        yield node
        return
    below = node.children.values() if isinstance(node, Branch) else (row for _, row in node.rows)
    for child in below:
        yield from _fields(child)


def _place(evidence: tuple[Evidence, ...]) -> tuple[int | None, Box | None]:
    """The page on which an answer starts and the box around all of it there."""
    if not evidence:
        return None, None
    page = evidence[0].page
    boxes = [item.box for item in evidence if item.page == page]
    return page, Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )
