"""Which schemas are taken, what is asked for them, and how the others are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.structured.scripted import of
from tilewise.errors import ConfigError, MissingExtraError
from tilewise.structured.form import MAX_FIELDS, read_form, words_of

TEXT: dict[str, Any] = {"type": "string"}
ROW = of(quantity={"type": "integer"})


def questions(schema: object) -> list[str | None]:
    return [field.question for field in read_form(schema).fields]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("invoice_number", "Invoice number"),
        ("invoiceNumber", "Invoice number"),
        ("InvoiceNumber", "Invoice number"),
        ("invoice-number", "Invoice number"),
        ("VATNumber", "VAT number"),
        ("vat_ID", "Vat ID"),
        ("total", "Total"),
        ("Straße", "Straße"),
        ("line2", "Line2"),
        ("_", ""),
    ],
)
def test_a_name_becomes_words(name: str, words: str) -> None:
    assert words_of(name) == words


def test_a_question_is_made_of_name_title_description_or_given_whole() -> None:
    schema = of(
        invoice_number=TEXT,
        number=TEXT | {"title": "Order reference"},
        date=TEXT | {"title": "Date"},  # says no more than the name
        terms=TEXT | {"description": 'What comes after "Payment terms"?'},
        total=TEXT | {"description": "The sum to pay, with tax."},
        heading=TEXT | {"title": "Heading line", "x-question": "What is the title?"},
    )
    assert questions(schema) == [
        "What is the value of Invoice number?",
        "What is the value of Order reference?",
        "What is the value of Date?",
        'What comes after "Payment terms"?',
        "What is the value of Total?",
        "What is the title?",
    ]


def test_a_property_of_an_object_is_asked_with_its_object() -> None:
    schema = of(
        invoice=of(number=TEXT, invoice_date=TEXT, VATNumber=TEXT, owner=TEXT | {"title": "Payer"}),
        totals=of(subtotal=TEXT) | {"title": ""},
        seller=of(name=TEXT) | {"title": "Supplier"},
    )
    assert questions(schema) == [
        "What is the value of Invoice number?",
        "What is the value of Invoice date?",
        "What is the value of Invoice VAT number?",
        "What is the value of Payer?",
        "What is the value of Subtotal?",
        "What is the value of Supplier name?",
    ]


def test_rows_of_a_table_are_asked_by_their_names() -> None:
    row = of(
        item=TEXT,
        unit_price={"type": "number"},
        stock={"type": "integer", "x-question": "How many of {row} are there?"},
    )
    array = {"type": "array", "items": row, "x-rows": ["Desk", "Chair"], "x-row-name": "item"}
    assert questions(of(lines=array)) == [
        None,
        "In the table, what is the Unit price of Desk?",
        "How many of Desk are there?",
        None,
        "In the table, what is the Unit price of Chair?",
        "How many of Chair are there?",
    ]
    fields = read_form(of(lines=array)).fields
    assert [field.column for field in fields[:2]] == ["lines/Desk/item", "lines/Desk/unit_price"]


def test_references_inside_the_schema_and_null_as_a_choice_are_put_in() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.org/invoice",
        "$ref": "#/$defs/In~1voice",
        "$defs": {
            "In/voice": of(
                buyer={"anyOf": [{"$ref": "#/$defs/Party"}, {"type": "null"}], "default": None},
                seller={"$ref": "#/%24defs/Party", "title": "Vendor"},
            ),
            "Party": of(name={"type": ["string", "null"]}, vat={"oneOf": [TEXT, {"type": "null"}]}),
        },
    }
    assert questions(schema) == [
        "What is the value of Buyer name?",
        "What is the value of Buyer vat?",
        "What is the value of Vendor name?",
        "What is the value of Vendor vat?",
    ]
    assert all(field.is_nullable for field in read_form(schema).fields)


def test_types_are_told_by_values_and_formats_where_none_is_said() -> None:
    fields = read_form(
        of(
            day={"format": "date"},
            currency={"enum": ["EUR", "USD", None]},
            rate={"enum": [7, 19.5]},
            kind={"const": "Invoice"},
            plain={"type": ["string", "null"], "enum": ["a"]},
        )
    ).fields
    assert [(field.kind, field.is_nullable) for field in fields] == [
        ("date", False),
        ("string", True),
        ("number", False),
        ("string", False),
        ("string", False),
    ]


REFUSED: dict[str, tuple[Any, str]] = {
    "a string schema": ({"type": "string"}, "the type is 'string'; a record needs"),
    "no type": (of(a={}), "at /a: the type is missing"),
    "two types": (of(a={"type": ["string", "number"]}), "'string' and 'number'"),
    "no properties": ({"type": "object"}, "no properties"),
    "an empty object inside": (of(a={"type": "object"}), "at /a: the object has no properties"),
    "an unknown keyword": (of(a=TEXT | {"contains": {}, "if": {}}), "at /a: .*contains, if"),
    "a mistyped keyword": (of(a=TEXT | {"maxlength": 3}), "maxlength"),
    "nullable of OpenAPI": (of(a=TEXT | {"nullable": True}), 'nullable; write "type"'),
    "a number's keyword on an object": (of(a=of(b=TEXT) | {"minimum": 1}), "at /a: .*minimum"),
    "a choice of schemas": (of(a={"anyOf": [TEXT, {"type": "number"}]}), "anyOf has several"),
    "properties by pattern": (of(a=TEXT) | {"patternProperties": {}}, "patternProperties"),
    "additional properties by schema": (of(a=TEXT) | {"additionalProperties": TEXT}, "additional"),
    "another format": (of(a=TEXT | {"format": "date-time"}), "format 'date-time'"),
    "an array without rows": (of(a={"type": "array", "items": ROW}), 'at /a: an array needs "x-ro'),
    "an array without items": (of(a={"type": "array", "x-rows": ["b"]}), "no items"),
    "an array of strings": (of(a={"type": "array", "items": TEXT, "x-rows": ["b"]}), "no objects"),
    "a row twice": (of(a={"type": "array", "items": ROW, "x-rows": ["b", "b"]}), "twice"),
    "an unknown name of rows": (
        of(a={"type": "array", "items": ROW, "x-rows": ["b"], "x-row-name": "c"}),
        "x-row-name is 'c'",
    ),
    "a name of rows that is no text": (
        of(a={"type": "array", "items": ROW, "x-rows": ["b"], "x-row-name": "quantity"}),
        "its type is string",
    ),
    "a table in a row": (
        of(a={"type": "array", "x-rows": ["b"], "items": of(c={"type": "array", "items": ROW})}),
        "at /a/0/c: an array lies inside a row",
    ),
    "a remote reference": (of(a={"$ref": "https://example.org/a.json"}), "only references inside"),
    "a file reference": (of(a={"$ref": "other.json#/a"}), "only references inside"),
    "an anchor": (of(a={"$ref": "#a"}), "only references inside"),
    "a reference to nothing": (of(a={"$ref": "#/$defs/b"}), "leads to nothing"),
    "a reference to itself": (of(a={"$ref": "#/properties/a"}), "back to itself"),
    "a reference to the root": (of(a={"$ref": "#"}), "back to itself"),
    "a round of references": (
        of(a={"$ref": "#/$defs/b"}) | {"$defs": {"b": of(c={"$ref": "#/$defs/b"})}},
        "at /a/c: .*back to itself",
    ),
    "a reference to no schema": (
        of(a={"$ref": "#/properties/b/default"}, b=TEXT | {"default": {"type": 5}}),
        "no valid JSON Schema",
    ),
    "required but unknown": (of(a=TEXT) | {"required": ["b"]}, "among the properties: b"),
    "invalid by its own rules": (of(a=TEXT) | {"required": "a"}, "at /required: no valid"),
    "an invalid pattern": (of(a=TEXT | {"pattern": "("}), "no valid JSON Schema"),
    "another dialect": (of(a=TEXT) | {"$schema": "http://json-schema.org/draft-04/schema#"}, "04"),
    "an empty question": (of(a=TEXT | {"x-question": " "}), "x-question is ' '"),
    "a name without words": (of(_=TEXT), 'give it a "title"'),
    "an unknown decimal mark": (of(a=TEXT) | {"x-decimal": ";"}, "x-decimal is ';'"),
    "an unknown order": (of(a=TEXT | {"x-date-order": "ymd"}), "x-date-order is 'ymd'"),
    "an unknown percent": (of(a=TEXT | {"x-percent": 1}), "x-percent is 1"),
    "a unit that is none": (of(a=TEXT | {"x-unit": [3]}), "x-unit"),
    "too many fields": (of(**{f"a{i}": TEXT for i in range(MAX_FIELDS + 1)}), "over 500 values"),
    "too many rows": (
        of(a={"type": "array", "items": ROW, "x-rows": [f"r{i}" for i in range(MAX_FIELDS + 1)]}),
        "over 500 values",
    ),
    "a value that is no JSON": (of(a=TEXT | {"default": {1, 2}}), "cannot be written as JSON"),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_what_is_not_supported_is_refused_by_name(case: str) -> None:
    schema, says = REFUSED[case]
    with pytest.raises(ConfigError, match=says):
        read_form(schema)


def test_a_deep_schema_is_refused() -> None:
    schema = TEXT
    for _ in range(20):
        schema = of(a=schema)
    with pytest.raises(ConfigError, match="nested over 16 deep"):
        read_form(schema)


def test_references_that_double_again_and_again_are_refused_at_once() -> None:
    pairs = {f"d{i}": of(a={"$ref": f"#/$defs/d{i + 1}"}, b={"$ref": f"#/$defs/d{i + 1}"})
             for i in range(14)}  # fmt: skip
    with pytest.raises(ConfigError, match=r"over 500 values|too large"):
        read_form({"$ref": "#/$defs/d0", "$defs": pairs | {"d14": of(x=TEXT)}})


FILES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is no JSON"),
    "no JSON": (b"{'type': 'object'}", "is no JSON"),
    "a name twice": (b'{"type": "object", "type": "object"}', "'type' comes twice"),
    "not a number": (b'{"type": "object", "x": NaN}', "NaN is no JSON number"),
    "no UTF-8": (b'{"type": "\xff"}', "no JSON in UTF-8"),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "large": (b" " * ((1 << 20) + 1), "at most 1 MiB"),
    "a list": (b"[]", "is an array"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0", "no JSON in UTF-8"),
}


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.replace(" ", "-"))
def test_a_file_that_is_no_schema_is_named(case: str, tmp_path: Path) -> None:
    data, says = FILES[case]
    path = tmp_path / "form.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=says) as caught:
        read_form(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_form(tmp_path / "form.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_form(tmp_path)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "form.json"
    path.write_text("\ufeff" + json.dumps(of(a=TEXT)), encoding="utf-8")
    assert questions(path) == ["What is the value of A?"]


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(MissingExtraError, match=r"tilewise\[schema\]"):
        read_form(of(a=TEXT))


def test_reading_a_schema_takes_no_torch() -> None:
    code = (
        "import sys; from tilewise.structured.form import read_form; "
        "read_form({'type': 'object', 'properties': {'a': {'type': 'string'}}}); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
