"""What answers become: values, nulls, problems, places; never a value that was not printed."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.engine.tiny_reader import TinyReader, tiny_page
from tests.structured.scripted import ABSENT, Scripted, filled, of
from tilewise.engine.session import Conversation
from tilewise.structured.asking import BRIEFLY, fill
from tilewise.structured.form import read_form
from tilewise.structured.record import Record

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "number"}
DATE: dict[str, Any] = {"type": "string", "format": "date"}


def value_of(label: str) -> str:
    return f"What is the value of {label}?"


def one(schema: dict[str, Any], text: str) -> Record:
    """The record of a single property "a" whose answer is ``text``."""
    return filled(of(a=schema), {value_of("A"): text})


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (TEXT, " FF-20817\n", "FF-20817"),
        (NUMBER, "3,413.75", 3413.75),
        (NUMBER, "12", 12),
        ({"type": "integer"}, "1,234", 1234),
        ({"type": "integer"}, "1.234", 1234),
        ({"type": "integer"}, "12.00 €", 12),
        (NUMBER | {"x-decimal": ","}, "1.234", 1234),
        (NUMBER | {"x-decimal": "."}, "1.234", 1.234),
        (NUMBER | {"x-percent": "fraction"}, "19 %", 0.19),
        (NUMBER, "19 %", 19),
        (NUMBER | {"x-unit": "m"}, "29 m", 29),
        (NUMBER | {"multipleOf": 0.01}, "19.99", 19.99),
        (DATE, "14/03/2026", "2026-03-14"),
        (DATE | {"x-date-order": "mdy"}, "03/04/2025", "2025-03-04"),
        ({"type": "boolean"}, "Yes.", True),
        ({"type": "boolean"}, "nein", False),
        ({"enum": ["EUR", "US dollar"]}, "us  DOLLAR", "US dollar"),
        ({"enum": ["in_progress", "done"]}, "In progress", "in_progress"),
        ({"enum": ["Ab", "AB"]}, "AB", "AB"),
        ({"enum": [7, 19]}, "19 %", 19),
        ({"const": "Invoice"}, "INVOICE", "Invoice"),
        ({"type": "string", "format": "email"}, "a@b.example", "a@b.example"),
    ],
)
def test_an_answer_becomes_a_value(schema: dict[str, Any], text: str, value: object) -> None:
    record = one(schema, text)
    assert record.data == {"a": value}
    assert type(record.data["a"]) is type(value)
    assert record.is_valid
    assert record.fields["/a"].text == text
    assert record.fields["/a"].note is None


@pytest.mark.parametrize(
    ("schema", "text", "note"),
    [
        (NUMBER, "soon", "'soon' is no number"),
        (NUMBER, "1,234", "may be 1234 or 1.234"),
        (NUMBER | {"maximum": 10}, "11", "11 is greater than the maximum"),
        (NUMBER | {"multipleOf": 0.05}, "0.51", "not a multiple"),
        ({"type": "integer"}, "1.5", "no whole number"),
        (DATE, "03/04/2025", "2025-03-04 or 2025-04-03"),
        (TEXT | {"pattern": "^[A-Z]+$"}, "ab", "does not match"),
        (TEXT | {"format": "email"}, "ab", "is not a 'email'"),
        ({"type": "boolean"}, "perhaps", "neither yes nor no"),
        ({"enum": ["EUR", "USD"]}, "GBP", "none of the choices"),
        ({"enum": ["Ab", "aB"]}, "AB", "fits 'Ab' and 'aB'"),
        ({"enum": [7, 19]}, "16", "is not one of"),
    ],
)
def test_what_cannot_be_read_is_no_value_and_says_why(
    schema: dict[str, Any], text: str, note: str
) -> None:
    record = one(schema, text)
    assert record.data == {}
    assert record.is_valid  # it is not required
    assert note in str(record.fields["/a"].note)
    assert record.fields["/a"].text == text

    nullable = filled(of(a={"anyOf": [schema, {"type": "null"}]}), {value_of("A"): text})
    assert nullable.data == {"a": None}
    assert nullable.is_valid

    required = filled(of(a=schema) | {"required": ["a"]}, {value_of("A"): text})
    assert required.data == {}
    (problem,) = required.problems
    assert problem.startswith("/a: required, but ")
    assert note in problem


def test_a_required_value_that_is_not_there_is_a_problem() -> None:
    record = filled(of(a=TEXT, b=TEXT) | {"required": ["a", "b"]}, {value_of("B"): "x"})
    assert record.data == {"b": "x"}
    assert record.problems == ("/a: required, but not found",)
    assert record.fields["/a"].text == ABSENT
    assert record.fields["/a"].page is None


def test_an_answer_that_was_cut_is_no_value() -> None:
    talk = Scripted({value_of("A"): "12"})
    talk.cut = True
    record = fill(read_form(of(a=NUMBER)), talk)
    assert record.data == {}
    assert "cut" in str(record.fields["/a"].note)


@pytest.mark.parametrize(
    ("other", "value"), [("1.000,50", 1234), ("2,5", 1234), ("1,000.50", 1.234), ("7", None)]
)
def test_the_other_numbers_of_a_form_tell_the_decimal_mark(other: str, value: object) -> None:
    answers = {value_of("A"): "1.234", value_of("B"): other}
    assert filled(of(a=NUMBER, b=NUMBER), answers).data.get("a") == value


def test_numbers_that_contradict_each_other_decide_nothing() -> None:
    answers = {value_of("A"): "1.234", value_of("B"): "2,5", value_of("C"): "2.5"}
    assert filled(of(a=NUMBER, b=NUMBER, c=NUMBER), answers).data == {"b": 2.5, "c": 2.5}


def test_the_other_dates_of_a_form_tell_the_order() -> None:
    answers = {value_of("A"): "03/04/2026", value_of("B"): "14/03/2026"}
    assert filled(of(a=DATE, b=DATE), answers).data == {"a": "2026-04-03", "b": "2026-03-14"}
    answers[value_of("B")] = "03/14/2026"
    assert filled(of(a=DATE, b=DATE), answers).data["a"] == "2026-03-04"


def test_an_object_is_left_out_or_null_if_nothing_of_it_is_found() -> None:
    party = of(name=TEXT, city={"type": ["string", "null"]}) | {"required": ["name"]}
    schema = of(a=party, b={"anyOf": [party, {"type": "null"}]}, c=party)
    schema["required"] = ["c"]
    record = filled(schema, {value_of("C city"): "Tarrow"})
    assert record.data == {"b": None, "c": {"city": "Tarrow"}}
    assert record.problems == ("/c/name: required, but not found",)
    assert set(record.fields) == {f"/{o}/{k}" for o in "abc" for k in ("name", "city")}


def test_rows_that_are_not_found_are_left_out_and_named() -> None:
    row = of(item=TEXT, price=NUMBER, left={"type": ["integer", "null"]}) | {"required": ["price"]}
    rows = {"type": "array", "items": row, "x-rows": ["Sofa", "Desk", "Lamp"], "x-row-name": "item"}
    cell = "In the table, what is the {} of {}?"
    record = filled(
        of(lines=rows), {cell.format("Price", "Desk"): "5.50", cell.format("Left", "Lamp"): "3"}
    )
    assert record.data == {
        "lines": [{"item": "Desk", "price": 5.5, "left": None}, {"item": "Lamp", "left": 3}]
    }
    assert record.problems == ("/lines/1/price: required, but not found",)
    assert record.notes == ("/lines: not found and left out: 'Sofa'",)
    assert "/lines/0/price" in record.fields
    assert record.fields["/lines/0/price"].column == "lines/Desk/price"
    assert record.fields["/lines/1/item"].question is None
    assert len(record.answers) == 9
    assert len(record.fields) == 6

    nothing = filled(of(lines=rows), {})
    assert nothing.data == {}
    assert nothing.is_valid
    assert filled(of(lines=rows) | {"required": ["lines"]}, {}).data == {"lines": []}
    too_few = filled(of(lines=rows | {"minItems": 1}) | {"required": ["lines"]}, {})
    assert "/lines: [] should be non-empty" in too_few.problems


def test_a_pointer_escapes_what_a_name_holds() -> None:
    record = filled(of(**{"a/b~c": TEXT}), {value_of("A b~c"): "x"})
    assert record.data == {"a/b~c": "x"}
    assert list(record.fields) == ["/a~1b~0c"]


def test_the_place_is_page_and_box_around_the_answer() -> None:
    talk = Scripted({value_of("A"): "xy"}, pages=3)
    record = fill(read_form(of(a=TEXT)), talk)
    assert record.pages == (1, 2, 3)
    said = record.as_json()
    assert list(said) == ["source", "pages", "data", "fields", "problems", "notes", "model"]
    assert said["fields"]["/a"] == {
        "text": "xy",
        "page": 3,
        "box": [1, 5, 9, 8],
        "confidence": 0.5,
        "question": "What is the value of A?",
        "found": True,
        "note": None,
    }


def test_a_reader_that_writes_sentences_is_told_to_be_brief() -> None:
    talk = Scripted({value_of("A") + BRIEFLY: "Not found.", "Own?": "5"}, name="large")
    record = fill(read_form(of(a=TEXT, b=NUMBER | {"x-question": "Own?"})), talk)
    assert talk.asked == [value_of("A") + BRIEFLY, "Own?"]
    assert record.data == {"b": 5}
    assert not record.fields["/a"].is_found


def test_the_pages_are_read_once_whatever_is_asked() -> None:
    reader = TinyReader()
    talk = Conversation(reader, [tiny_page()], [4])
    told: list[tuple[str, int, int]] = []
    form = read_form(of(a=TEXT, b=TEXT, c=TEXT))
    record = fill(form, talk, progress=lambda *stage: told.append(stage))
    assert reader.tiles_encoded == len(talk.tiles[0].local)
    assert [stage for stage in told if stage[0] == "fields"] == [
        ("fields", 1, 3),
        ("fields", 2, 3),
        ("fields", 3, 3),
    ]
    alone = fill(read_form(of(b=TEXT)), Conversation(reader, [tiny_page()], [4]))
    assert alone.fields["/b"].text == record.fields["/b"].text  # no turn before it counts
    assert talk.turns == ()
    Draft202012Validator(form.schema).validate(record.data)
