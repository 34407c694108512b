"""Answers and records as JSON lines, CSV and Markdown tables; ``FORMATS`` names them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from tilewise.structured.form import Form
from tilewise.structured.record import Record

Format = Literal["json", "md", "csv"]
FORMATS: Final[tuple[Format, ...]] = ("json", "md", "csv")

ANSWER_COLUMNS: Final = ("source", "page", "question", "answer", "found", "confidence", "box")


def json_line(value: Mapping[str, Any]) -> str:
    """One JSON object on one line."""
    return _encodable(json.dumps(value, ensure_ascii=False)) + "\n"


def record_head(form: Form, kind: Format) -> str:
    """What stands before the first record: a CSV file's names of columns."""
    if kind != "csv":
        return ""
    return csv_line(["source", "pages", *(field.column for field in form.fields), "problems"])


def record_text(record: Record, kind: Format) -> str:
    """One record: a line of JSON, a row of CSV, or a table in Markdown with a row a field."""
    if kind == "json":
        return json_line(record.as_json())
    if kind == "csv":
        values = [_cell(answer.value) for answer in record.answers]
        pages = " ".join(map(str, record.pages))
        return csv_line([record.source, pages, *values, "; ".join(record.problems)])
    return _record_table(record)


def answer_head(kind: Format) -> str:
    """What stands before the first answer of a plain question."""
    if kind == "csv":
        return csv_line(ANSWER_COLUMNS)
    return md_head(("Question", "Answer", "Source", "Page")) if kind == "md" else ""


def answer_text(said: Mapping[str, Any], kind: Format) -> str:
    """One answer to a plain question, from what ``--json`` prints of it.

    Source and page are those where the answer stands, else the first asked about. The box, in
    CSV, is [left, top, right, bottom] around all that it was read from on that page.
    """
    if kind == "json":
        return json_line(said)
    boxes = said["boxes"]
    place = (boxes or said["pages"] or [{"source": "", "page": ""}])[0]
    if kind == "md":
        return md_row([said["question"], said["answer"], place["source"], place["page"]])
    same = [b["box"] for b in boxes if (b["source"], b["page"]) == (place["source"], place["page"])]
    edges = list(zip(*same, strict=True))
    around = [*map(min, edges[:2]), *map(max, edges[2:])] if edges else []
    return csv_line(
        [
            *(place["source"], place["page"], said["question"], said["answer"]),
            *(_cell(said["found"]), _cell(said["confidence"]), " ".join(map(str, around))),
        ]
    )


def csv_line(cells: Iterable[Any]) -> str:
    """One row of CSV (RFC 4180, with a plain newline)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)  # so that either sign is quoted
    return _encodable(out.getvalue().removesuffix("\r\n")) + "\n"


def md_head(names: Sequence[str]) -> str:
    """The first two lines of a table in Markdown."""
    return md_row(names) + "|" + " --- |" * len(names) + "\n"


def md_row(cells: Iterable[Any]) -> str:
    """One row of a table in Markdown; signs that mean something there are escaped."""
    return "| " + " | ".join(_escaped(str(cell)) for cell in cells) + " |\n"


def _record_table(record: Record) -> str:
    pages = ", ".join(map(str, record.pages))
    out = f"## {_escaped(record.source)}, {'page' if len(record.pages) == 1 else 'pages'} {pages}\n"
    out += "\n" + md_head(("Field", "Value", "Printed", "Page", "Confidence"))
    for answer in record.answers:
        sure = "" if answer.confidence is None else f"{answer.confidence:.2f}"
        printed = answer.text if answer.is_found else ""
        page = "" if answer.page is None else answer.page
        out += md_row([answer.column, _cell(answer.value), printed, page, sure])
    unread = (f"{a.column}: {a.note}" for a in record.answers if a.is_found and a.note)
    lines = [f"Problem: {text}" for text in record.problems]
    lines += [f"Note: {text}" for text in (*unread, *record.notes)]
    if lines:
        out += "\n" + "".join(f"- {_escaped(line)}\n" for line in lines)
    return out + "\n"


def _cell(value: Any) -> str:
    """A value in a cell: nothing for null, and what JSON writes for all but strings."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _escaped(text: str) -> str:
    """Text on one line, with a backslash before what Markdown would take for its own."""
    joined = _encodable(" ".join(text.split()))
    return re.sub(r"[\\|`*<>\[\]]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", joined)


def _encodable(text: str) -> str:
    """Text that UTF-8 can hold: a file's name may have bytes that are none, which are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
