"""Whatever the schema and the answers: a record valid for it, or problems; or one error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.structured.scripted import Scripted
from tilewise.errors import ConfigError
from tilewise.structured.asking import fill
from tilewise.structured.form import read_form

NAMES = ("total", "invoice_date", "a/b", "Öl", "x~1", "vatID")
TEXTS = (
    *("", "12", "1,234", "1.234,5", "3,413.75", "19 %", "-", "yes", "No", "EUR", "eur", "EU R"),
    *("14/03/2026", "03/04/2025", "March 14, 2026", "Not found on this page.", "n/a", "\x00\ud800"),
)
singles = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "maxLength": 3},
        {"type": "string", "format": "date"},
        {"type": "number", "minimum": 0},
        {"type": "integer"},
        {"type": "boolean"},
        {"enum": ["EUR", "USD"]},
        {"type": "string", "pattern": "^[A-Z]*$"},
        {"type": "number", "x-decimal": ","},
        {"type": "number", "multipleOf": 0.01},
    ]
)


def nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    """An object of a few properties, some of them required, some nullable."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    properties = {name: draw(inner | inner.map(nullable)) for name in names}
    required = draw(st.lists(st.sampled_from(names), unique=True))
    return {"type": "object", "properties": properties, "required": required,
            "additionalProperties": False}  # fmt: skip


rows = st.builds(
    lambda items, names: {"type": "array", "items": items, "x-rows": names},
    objects(singles),
    st.lists(st.sampled_from(["Desk", "Chair", "Lamp"]), min_size=1, unique=True),
)
schemas = objects(singles | objects(singles | rows) | rows)


@settings(max_examples=150)
@given(schemas, st.data())
def test_a_record_is_valid_or_says_why_not_and_holds_only_what_was_printed(
    schema: dict[str, Any], data: st.DataObject
) -> None:
    form = read_form(schema)
    asked = {field.question for field in form.fields if field.question}
    answers = {q: data.draw(st.sampled_from(TEXTS)) for q in sorted(asked)}
    record = fill(form, Scripted(answers))
    checker = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    # 0.1 + 0.2 is checked by decimal digits here, by floats there; no answer above is so long
    assert checker.is_valid(record.data) == record.is_valid
    assert len(record.answers) == len(form.fields)
    values = dict(leaves(record.data, ""))
    for pointer, value in values.items():
        field = record.fields[pointer]
        assert value == field.value
        assert value is None or field.is_found
    told = {pointer for pointer, field in record.fields.items() if field.value is not None}
    assert told == {pointer for pointer, value in values.items() if value is not None}
    json.dumps(record.as_json())


def leaves(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """The single values of a record's data; an object that is null has none."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{pointer}/{index}")
    elif value is not None:
        yield pointer, value


KEYS = (
    *("type", "properties", "items", "required", "enum", "const", "format", "anyOf", "oneOf"),
    *("$ref", "$defs", "$id", "$schema", "$anchor", "title", "description", "x-rows", "x-question"),
    *("x-row-name", "x-decimal", "x-unit", "x-percent", "x-date-order", "pattern", "not", "a", "b"),
)
WORDS = ("object", "array", "string", "number", "null", "date", "#", "#/$defs/a", "#/properties/a",
         "a", "", "http://x", ".", "(", "%zz", "#/%")  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | st.sampled_from(WORDS)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
        | st.fixed_dictionaries(
            {"type": st.sampled_from(WORDS[:5])}, optional={"properties": inner}
        )
    ),
    max_leaves=25,
)


@settings(max_examples=400)
@given(st.dictionaries(st.sampled_from(KEYS), anything, max_size=6), st.booleans())
def test_any_json_is_a_form_or_one_error(schema: dict[str, Any], is_near: bool) -> None:
    if is_near:  # past the first checks
        schema = {
            "type": "object",
            "$defs": {"a": schema.get("$defs")},
            "properties": {"a": schema},
        }
    try:
        form = read_form(schema)
    except ConfigError as err:
        message = str(err)
        assert message.startswith("the schema")
        return
    fill(form, Scripted({}))
