"""``tilewise ask --schema`` and ``--format``, in this process."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image

import tilewise
from tests.engine.tiny_reader import TinyReader
from tilewise.cli.main import main
from tilewise.structured.form import read_form
from tilewise.structured.formats import record_head, record_text

DEMO = Path(tilewise.__file__).parent / "assets" / "demo"
TEXT: dict[str, Any] = {"type": "string"}


def run(*words: object, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["ask", *map(str, words)], input=stdin)


def tiny(*words: object, stdin: str | bytes | None = None) -> Result:
    return run("--model", "tiny", *words, stdin=stdin)


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """Two texts to ask for, one of them required."""
    return written(tmp_path, {"first": TEXT, "second": TEXT}, required=["first"])


def written(folder: Path, properties: dict[str, Any], **more: Any) -> Path:
    path = folder / "form.json"
    path.write_text(json.dumps({"type": "object", "properties": properties, **more}))
    return path


INVOICE: dict[str, Any] = {
    "invoice_number": TEXT,
    "invoice_date": {"type": "string", "format": "date"},
    "total": {"type": "number"},
    "currency": {"type": ["string", "null"], "enum": ["EUR", "GBP", None]},
    "lines": {
        "type": "array",
        "x-rows": ["Cable tray", "Office chair Arvid"],
        "x-row-name": "item",
        "items": {
            "type": "object",
            "properties": {"item": TEXT, "quantity": {"type": "integer"}},
            "additionalProperties": False,
        },
    },
}


def test_the_bundled_invoice_gives_a_valid_record_with_places(tmp_path: Path) -> None:
    path = written(tmp_path, INVOICE, additionalProperties=False)
    result = run(DEMO / "invoice.pdf", "--schema", path, "--draw", tmp_path / "marks.png")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    (line,) = result.stdout.splitlines()
    record = json.loads(line)
    checker = Draft202012Validator.FORMAT_CHECKER
    form = json.loads(path.read_text())
    Draft202012Validator(form, format_checker=checker).validate(record["data"])
    assert record["data"]["invoice_number"] == "FF-20817"
    assert record["data"]["total"] == 3413.75
    assert record["data"]["currency"] is None
    assert record["pages"] == [1]
    with Image.open(tmp_path / "marks.png") as picture:
        assert picture.width > 500
    for pointer, field in record["fields"].items():
        if not field["found"]:
            assert field["box"] is None
            continue
        left, top, right, bottom = field["box"]
        assert 0 <= left < right <= 1187, pointer
        assert 0 <= top < bottom <= 1680, pointer
        assert field["page"] == 1
        assert 0 < field["confidence"] <= 1
    total = record["fields"]["/total"]
    assert total["text"] == "3,413.75"
    assert total["question"] == "What is the value of Total?"
    assert total["box"][0] > 900  # at the right edge of the table


@pytest.mark.parametrize("kind", ["json", "md", "csv"])
def test_a_record_is_printed_as_python_gives_it(folder: Path, schema: Path, kind: Any) -> None:
    result = tiny(folder / "a.png", "--schema", schema, "--format", kind)
    record = tilewise.ask_schema(folder / "a.png", schema, model=TinyReader())
    head = record_head(read_form(schema), kind)
    assert result.stdout == head + record_text(record, kind)
    assert result.exit_code == 0


def test_several_sources_give_a_record_each(folder: Path, schema: Path) -> None:
    names = [str(folder / name) for name in ("a.png", "b.png", "three.tif")]
    result = tiny(*names, "--schema", schema, "--max-tiles", 3)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["source"] for record in records] == names
    assert [record["pages"] for record in records] == [[1], [1], [1, 2, 3]]
    rows = list(
        csv.DictReader(io.StringIO(tiny(*names, "--schema", schema, "--format", "csv").stdout))
    )
    assert [row["source"] for row in rows] == names


def test_per_page_gives_a_record_for_each_page_of_the_range(folder: Path, schema: Path) -> None:
    words = (folder / "three.tif", "--schema", schema, "--per-page", "--pages", "2-3")
    result = tiny(*words, "--draw", folder / "m.png")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["pages"] for record in records] == [[2], [3]]
    assert all(f["page"] in (2, None) for f in records[0]["fields"].values())
    assert {path.name for path in folder.glob("m*")} == {"m-1.png", "m-2.png"}
    tables = tiny(*words, "--format", "md").stdout
    assert tables.count("| Field | Value |") == 2
    assert f"{folder / 'three.tif'}, page 2" in tables.replace("\\", "")


def test_standard_input_is_a_source(folder: Path, schema: Path) -> None:
    result = tiny("-", "--schema", schema, stdin=(folder / "a.png").read_bytes())
    assert json.loads(result.stdout)["source"] == "standard input"


def test_what_is_missing_is_told_and_ends_in_status_1(folder: Path, tmp_path: Path) -> None:
    path = written(tmp_path, {"sum": {"type": "number"}, "word": TEXT}, required=["sum"])
    result = tiny(folder / "a.png", folder / "b.png", "--schema", path)
    assert result.exit_code == 1
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [list(record["data"]) for record in records] == [["word"], ["word"]]
    for record, line in zip(records, result.stderr.splitlines(), strict=True):
        (problem,) = record["problems"]
        assert problem.startswith("/sum: required, but ")
        assert line == f"{record['source']}, page 1: {problem}"


def test_plain_answers_come_as_tables_too(folder: Path) -> None:
    words = (folder / "three.tif", "What?", "--per-page")
    said = [json.loads(line) for line in tiny(*words, "--format", "json").stdout.splitlines()]
    short = [json.loads(line) for line in tiny(*words, "--json").stdout.splitlines()]
    assert [list(one) for one in said] == [list(one) for one in short]
    rows = list(csv.DictReader(io.StringIO(tiny(*words, "--format", "csv").stdout)))
    assert [row["answer"] for row in rows] == [one["answer"] for one in said]
    assert [row["page"] for row in rows] == ["1", "2", "3"]
    table = tiny(*words, "--format", "md").stdout.splitlines()
    assert len(table) == 2 + 3
    assert table[0] == "| Question | Answer | Source | Page |"
    chat = tiny(folder / "a.png", "--chat", "--format", "md", stdin="What?\nWho?\n").stdout
    assert len(chat.splitlines()) == 2 + 2


def test_slips_of_usage_are_told(folder: Path, schema: Path) -> None:
    page = folder / "a.png"
    for words, says in (
        ((page, "What is it?", "--schema", schema), "the fields are the questions"),
        ((page, "--schema", schema, "--chat"), "--schema and --chat exclude each other"),
        (("-", "-", "--schema", schema), "Standard input can be read once"),
        ((page, "What?", "--json", "--format", "csv"), "exclude each other"),
        ((page, "What?", "--format", "yaml"), "'yaml' is not one of"),
    ):
        result = tiny(*words)
        assert result.exit_code == 2, words
        assert says in " ".join(result.stderr.split()).replace("│ ", "")
        assert result.stdout == ""


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is no JSON"),
        (b"\x89PNG", "no JSON in UTF-8"),
        (b"[1]", "is an array"),
        (b'{"type": "object", "properties": {"a": {"$ref": "http://x/y"}}}', "references inside"),
        (b'{"type": "object", "properties": {"a": {"not": {}}}}', "the type is missing"),
        (b'{"type": "object", "properties": {"a": {"type": "string", "not": {}}}}', "here: not"),
    ],
)
def test_a_bad_schema_is_one_sentence(folder: Path, tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(data)
    result = tiny(folder / "a.png", "--schema", path)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {path}")
    assert says in line


def test_a_schema_that_is_not_there_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    result = tiny(folder / "a.png", "--schema", tmp_path / "none.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not exist" in result.stderr
    result = tiny(folder / "none.png", "--schema", written(tmp_path, {"a": TEXT}))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "none.png does not exist" in result.stderr


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text('{}[]":,type objcpr$f#/0', max_size=60).map(str.encode))
def test_any_file_as_a_schema_ends_in_one_sentence(folder: Path, data: bytes) -> None:
    path = folder / "any.json"
    path.write_bytes(data)
    result = tiny(folder / "a.png", "--schema", path)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert isinstance(result.exception, SystemExit)
