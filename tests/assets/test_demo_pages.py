"""The bundled demo pages are what the demo says they are."""

import json
import zipfile
from importlib import resources
from pathlib import Path
from xml.etree.ElementTree import canonicalize

import pypdfium2
import pytest

from make_demo_documents import ferry, harvest, questions
from tilewise.sources.pages import open_source

DEMO = Path(str(resources.files("tilewise"))) / "assets" / "demo"
SIZES = {
    "invoice.pdf": (595, 842, "pt"),
    "poster.png": (3840, 1600, "px"),
    "report.png": (2480, 3508, "px"),
}

DOCUMENTS = ("harvest.xlsx", "ferry.html")


@pytest.mark.parametrize("name", SIZES)
def test_a_demo_page_is_small_and_of_its_size(name: str) -> None:
    assert (DEMO / name).stat().st_size < 600_000
    with open_source(DEMO / name) as source:
        width, height, unit = source.size(1)
        assert source.count == 1
        assert (round(width), round(height), unit) == SIZES[name]
        assert 0.005 < (source.page(1).pixels.min(axis=2) < 128).mean() < 0.3


def test_every_demo_page_has_questions() -> None:
    asked = json.loads((DEMO / "questions.json").read_text(encoding="utf-8"))
    assert [entry["file"] for entry in asked] == [*SIZES, *DOCUMENTS]
    for entry in asked:
        assert 3 <= len(entry["questions"]) <= 4
        assert all(item["question"] and item["answer"] for item in entry["questions"])


def test_the_invoice_says_the_answers_in_its_text_layer() -> None:
    entry = json.loads((DEMO / "questions.json").read_text(encoding="utf-8"))[0]
    with pypdfium2.PdfDocument(DEMO / "invoice.pdf") as document:
        text = document[0].get_textpage().get_text_range()
    assert all(item["answer"] in text for item in entry["questions"])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_bundled_documents_are_what_the_script_writes(name: str, tmp_path: Path) -> None:
    write = {"harvest.xlsx": harvest, "ferry.html": ferry}[name]
    write(tmp_path / name)
    assert _content(tmp_path / name) == _content(DEMO / name)
    asked = json.loads((DEMO / "questions.json").read_text(encoding="utf-8"))
    (entry,) = (e for e in asked if e["file"] == name)
    assert {i["question"]: i["answer"] for i in entry["questions"]} == questions()[name]


def _content(path: Path) -> bytes | dict[str, str | bytes]:
    """What a file says; the parts of a workbook in one spelling, as libraries differ in theirs."""
    if path.suffix != ".xlsx":
        return path.read_bytes()
    with zipfile.ZipFile(path) as parts:
        return {
            name: canonicalize(parts.read(name).decode())
            if name.endswith((".xml", ".rels"))
            else parts.read(name)
            for name in parts.namelist()
        }
