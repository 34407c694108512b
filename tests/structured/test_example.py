"""The schema in the documentation is the bundled one, and its record is valid."""

from __future__ import annotations

import json
import re
from pathlib import Path

from jsonschema import Draft202012Validator

import tilewise
from tilewise.structured.form import read_form

ROOT = Path(__file__).parents[2]
SCHEMA = Path(tilewise.__file__).parent / "assets" / "demo" / "invoice.schema.json"


def test_the_schema_in_the_documentation_is_the_bundled_one() -> None:
    page = (ROOT / "docs" / "structured-answers.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- schema -->\n```json\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    assert shown[1] == SCHEMA.read_text(encoding="utf-8")


def test_the_output_in_the_documentation_has_the_fields_of_the_schema() -> None:
    page = (ROOT / "docs" / "structured-answers.md").read_text(encoding="utf-8")
    shown = page.partition("<!-- output -->")[2].partition("<!-- /output -->")[0]
    rows = [line.split("|")[1].strip() for line in shown.splitlines() if line.startswith("| ")]
    assert rows[2:] == [field.column for field in read_form(SCHEMA).fields]


def test_the_record_in_the_documentation_is_valid_for_the_schema() -> None:
    page = (ROOT / "docs" / "structured-answers.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- json -->\n```json\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    record = json.loads(shown[1])
    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(record["data"])
    assert record["problems"] == []
