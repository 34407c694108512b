"""Records of many files: one line each, what is not valid counts as an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tilewise
from tests.engine.tiny_reader import TinyReader
from tests.folder.test_run import run
from tilewise.structured.form import read_form


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "form.json"
    text = {"type": "string"}
    path.write_text(json.dumps({"type": "object", "properties": {"a": text, "b": text}}))
    return path


def test_each_file_gives_one_line_with_its_record(
    folder: Path, tmp_path: Path, schema: Path
) -> None:
    out = tmp_path / "out.jsonl"
    result = run(folder, "--schema", schema, "--out", out)
    assert result.exit_code == 0
    assert result.stderr == "3 files, all answered.\n"
    for line in lines(out):
        record = tilewise.ask_schema(line["source"], schema, model=TinyReader())
        assert line["record"] == json.loads(json.dumps(record.as_json()))
        assert line["question"] == read_form(schema).mark
        assert line["error"] is None
    again = run(folder, "--schema", schema, "--out", out)
    assert again.stderr == "3 files, 3 of them asked before, all answered.\n"


def test_each_page_can_have_its_own_record(folder: Path, tmp_path: Path, schema: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(folder / "three.tif", "--schema", schema, "--per-page", "--pages", "2-3", "--out", out)
    assert [(line["page"], line["record"]["pages"]) for line in lines(out)] == [(2, [2]), (3, [3])]


def test_another_schema_is_asked_anew_beside_the_first(
    folder: Path, tmp_path: Path, schema: Path
) -> None:
    out = tmp_path / "out.jsonl"
    run(folder / "a.png", "--schema", schema, "--out", out)
    sum_ = {"type": "object", "properties": {"sum": {"type": "number"}}, "required": ["sum"]}
    schema.write_text(json.dumps(sum_))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run(folder / "a.png", tmp_path / "broken.png", "--schema", schema, "--out", out)
    assert result.exit_code == 1
    first, second, broken = lines(out)
    assert first["error"] is None
    assert second["error"].startswith("/sum: required, but ")
    assert second["record"]["problems"] == [second["error"]]
    assert broken["record"] is None
    assert "broken.png" in broken["error"]


def test_slips_of_usage_are_told(folder: Path, tmp_path: Path, schema: Path) -> None:
    out = tmp_path / "out.jsonl"
    for words, says in (
        ((folder, "--schema", schema), "needs a place for the answers"),
        ((folder, "--schema", schema, "--question", "Q?", "--out", out), "exclude each other"),
        (
            (folder, "--schema", schema, "--format", "csv", "--out", out),
            "does not go with --format",
        ),
    ):
        result = run(*words)
        assert result.exit_code == 2
        assert says in " ".join(result.stderr.split())
        assert not out.exists()
