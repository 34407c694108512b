"""Records and answers as JSON lines, CSV and Markdown, to the letter."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.structured.scripted import Scripted, of
from tilewise.structured.asking import fill
from tilewise.structured.form import Form, read_form
from tilewise.structured.formats import (
    FORMATS,
    Format,
    answer_head,
    answer_text,
    csv_line,
    md_row,
    record_head,
    record_text,
)
from tilewise.structured.record import Record

ROWS = {
    "type": "array",
    "x-rows": ["Desk", "Sofa"],
    "items": of(price={"type": "number"}) | {"required": ["price"]},
}
SCHEMA = of(
    name={"type": "string"},
    day={"type": ["string", "null"], "format": "date"},
    paid={"type": "boolean"},
    lines=ROWS,
) | {"required": ["name", "paid"]}
ANSWERS = {
    "What is the value of Name?": 'A|B, "C"\n*',
    "What is the value of Day?": "03/04/2025",
    "In the table, what is the Price of Desk?": "1,389.50",
}

RECORDS: dict[Format, str] = {
    "csv": """\
source,pages,name,day,paid,lines/Desk/price,lines/Sofa/price,problems
page,1,"A|B, ""C"" *",,,1389.5,,"/paid: required, but not found"
""",
    "md": r"""## page, page 1

| Field | Value | Printed | Page | Confidence |
| --- | --- | --- | --- | --- |
| name | A\|B, "C" \* | A\|B, "C" \* | 1 | 0.50 |
| day |  | 03/04/2025 | 1 | 0.50 |
| paid |  |  |  | 0.50 |
| lines/Desk/price | 1389.5 | 1,389.50 | 1 | 0.50 |
| lines/Sofa/price |  |  |  | 0.50 |

- Problem: /paid: required, but not found
- Note: day: the answer '03/04/2025' may be 2025-03-04 or 2025-04-03; say which with "x-date-order"
- Note: /lines: not found and left out: 'Sofa'

""",
    "json": json.dumps(
        {
            "source": "page",
            "pages": [1],
            "data": {"name": 'A|B, "C" *', "day": None, "lines": [{"price": 1389.5}]},
            "fields": {
                "/name": {
                    "text": 'A|B, "C"\n*', "page": 1, "box": [1, 5, 9, 8], "confidence": 0.5,
                    "question": "What is the value of Name?", "found": True, "note": None,
                },
                "/day": {
                    "text": "03/04/2025", "page": 1, "box": [1, 5, 9, 8], "confidence": 0.5,
                    "question": "What is the value of Day?", "found": True,
                    "note": "the answer '03/04/2025' may be 2025-03-04 or 2025-04-03; "
                    'say which with "x-date-order"',
                },
                "/paid": {
                    "text": "Not found on this page.", "page": None, "box": None,
                    "confidence": 0.5, "question": "What is the value of Paid?", "found": False,
                    "note": "not found",
                },
                "/lines/0/price": {
                    "text": "1,389.50", "page": 1, "box": [1, 5, 9, 8], "confidence": 0.5,
                    "question": "In the table, what is the Price of Desk?", "found": True,
                    "note": None,
                },
            },
            "problems": ["/paid: required, but not found"],
            "notes": ["/lines: not found and left out: 'Sofa'"],
            "model": "tilewise-nano",
        }
    )
    + "\n",
}  # fmt: skip

SAID: dict[str, Any] = {
    "question": "What is the Total?",
    "answer": "1,5 | €",
    "found": True,
    "confidence": 0.25,
    "boxes": [
        {"source": "a.pdf", "page": 2, "box": [1.0, 2.0, 3.0, 4.0], "text": "1,5"},
        {"source": "a.pdf", "page": 2, "box": [0.5, 3.0, 2.0, 5.0], "text": "€"},
        {"source": "b.pdf", "page": 2, "box": [0.0, 0.0, 9.0, 9.0], "text": "€"},
    ],
    "pages": [{"source": "a.pdf", "page": 1}],
}
SAID_AS: dict[Format, str] = {
    "csv": "source,page,question,answer,found,confidence,box\n"
    'a.pdf,2,What is the Total?,"1,5 | €",true,0.25,0.5 2.0 3.0 5.0\n',
    "md": "| Question | Answer | Source | Page |\n| --- | --- | --- | --- |\n"
    "| What is the Total? | 1,5 \\| € | a.pdf | 2 |\n",
    "json": json.dumps(SAID, ensure_ascii=False) + "\n",
}


def made() -> tuple[Form, Record]:
    form = read_form(SCHEMA)
    return form, fill(form, Scripted(ANSWERS))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_record_is_written_to_the_letter(kind: Format) -> None:
    form, record = made()
    assert record_head(form, kind) + record_text(record, kind) == RECORDS[kind]


@pytest.mark.parametrize("kind", FORMATS)
def test_an_answer_is_written_to_the_letter(kind: Format) -> None:
    assert answer_head(kind) + answer_text(SAID, kind) == SAID_AS[kind]


def test_an_answer_without_a_place_is_that_of_the_first_page() -> None:
    said = SAID | {"boxes": [], "confidence": None, "found": False}
    assert answer_text(said, "csv") == 'a.pdf,1,What is the Total?,"1,5 | €",false,,\n'
    assert answer_text(said | {"pages": []}, "md").endswith("|  |  |\n")


def test_the_columns_of_csv_do_not_depend_on_what_was_found() -> None:
    form, record = made()
    nothing = fill(form, Scripted({}))
    text = record_head(form, "csv") + record_text(record, "csv") + record_text(nothing, "csv")
    rows = list(csv.DictReader(io.StringIO(text), strict=True))
    assert [row["lines/Desk/price"] for row in rows] == ["1389.5", ""]
    assert all(None not in row and None not in row.values() for row in rows)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=4))
def test_csv_gives_any_text_back(cells: list[str]) -> None:
    (row,) = csv.reader(io.StringIO(csv_line(cells), newline=""), strict=True)
    assert row == cells


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_a_row_in_markdown_is_one_line_with_its_cells(cells: list[str]) -> None:
    row = md_row(cells)
    assert row.splitlines() == [row.rstrip("\n")]
    bare = row.replace("\\\\", "").replace("\\|", "")
    assert bare.count("|") == len(cells) + 1


@pytest.mark.parametrize("kind", FORMATS)
def test_a_name_that_is_no_utf_8_is_written_all_the_same(kind: Format) -> None:
    form, record = made()
    odd = replace(record, source="\udcff.png")
    text = record_head(form, kind) + record_text(odd, kind)
    assert b"udcff.png" in text.encode("utf-8")
    if kind == "json":
        assert json.loads(text)["source"] == odd.source
