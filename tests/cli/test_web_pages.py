"""Web pages and addresses on the command line, from the words typed to the answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.sources.serving import serving
from tilewise.cli.main import main

PAGE = """<!doctype html><title>Bill</title><style>
body{margin:40px;font:20px "DejaVu Sans",sans-serif} h1{font-size:40px} td{padding:6px 30px}</style>
<h1>Winter order 2026</h1><p>Customer: Marta Lindqvist</p><p>Order number: FK-20417</p>
<table border=1><tr><th>Item<th>Quantity<tr><td>Lamp<td>12<tr><td>Chair<td>48</table>
<p>Total: 1,284.50</p>"""


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.mark.chromium
def test_a_saved_page_and_an_address_are_asked(tmp_path: Path) -> None:
    file = tmp_path / "order.html"
    file.write_text(PAGE)
    question = "What is the value of Customer?"
    result = run("ask", file, question, "--json", "--width", 700, "--max-tiles", 9)
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["answer"] == "Marta Lindqvist"
    assert (said["pages"][0]["source"], said["pages"][0]["width"]) == (str(file), 1050)
    with serving() as site:
        site.pages["/order"] = PAGE
        web = ("--allow-private", "--width", 700, "--max-tiles", 9)
        result = run("ask", site["/order"], question, *web)
        assert result.exit_code == 0, result.stderr
        assert result.stdout.strip() == "Marta Lindqvist"


@pytest.mark.chromium
def test_a_page_is_shown_with_its_options(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiles.png"
    with serving() as site:
        site.pages["/order"] = PAGE + "<script>document.body.style.height = '3000px'</script>"
        words = ("show", site["/order"], "-o", out, "--model", "tiny", "--allow-private")
        result = run(*words, "--width", 500, "--scale", 0.5, "--no-javascript")
    assert result.exit_code == 0, result.stderr
    size = re.search(r"1 of 1, (\d+) x (\d+) px", result.stdout)
    assert size is not None
    assert int(size[1]) == 250
    assert int(size[2]) < 700
    with Image.open(out) as picture:
        assert picture.format == "PNG"


def test_an_image_by_its_address_needs_no_browser(folder: Path) -> None:
    with serving() as site:
        site.pages["/a"] = (folder / "a.png").read_bytes()
        result = run("ask", site["/a"], "What?", "--model", "tiny", "--allow-private", "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["pages"][0]["source"] == site["/a"]
        assert result.stdout
        refused = run("ask", site["/a"], "What?", "--model", "tiny")
    assert refused.exit_code == 1
    assert "--allow-private" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_page_that_is_not_there_is_one_line(folder: Path) -> None:
    with serving() as site:
        result = run("ask", site["/no"], "What?", "--model", "tiny", "--allow-private")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {site['/no']} answers 404 (Not Found): ")


def test_an_address_is_no_question(folder: Path) -> None:
    result = run("ask", folder / "a.png", "https://example.org/")
    assert result.exit_code == 2
    assert "put a QUESTION after it" in result.stderr


@pytest.mark.parametrize("option", [("--width", 10), ("--scale", 9), ("--time-limit", 0)])
def test_options_that_cannot_hold_are_one_line(option: tuple[str, float], folder: Path) -> None:
    result = run("ask", folder / "a.png", "What?", *option)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the ")
