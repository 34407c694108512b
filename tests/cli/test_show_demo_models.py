"""The commands beside ``ask``, in this process."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.engine.tiny_reader import TinyReader, tiny_page
from tilewise.cli import demo as demo_module
from tilewise.cli.main import main
from tilewise.pipeline import ask
from tilewise.weights import fetch
from tilewise.weights.fetch import Cached


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


def test_show_draws_the_tiles_and_says_what_they_cost(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiles.png"
    result = run("show", folder / "a.png", "-o", out, "--model", "tiny", "--max-tiles", 6)
    assert result.exit_code == 0, result.stderr
    table = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line)
    reader = TinyReader()
    fit = reader.tiles(tiny_page(), 6).fit
    assert table["Page"] == f"{folder / 'a.png'}, 1 of 1, 20 x 12 px"
    assert table["Grid"] == f"{fit.grid.cols} x {fit.grid.rows} = 6 tiles of 8 px"
    right, bottom = 24 - 20 - fit.left, 16 - 12 - fit.top
    assert table["Padding"] == f"left {fit.left}, top {fit.top}, right {right}, bottom {bottom} px"
    assert table["Tokens"].startswith(f"{len(reader.plan(20, 12, 6))}, ")
    assert table["Seconds"].startswith("about ")
    assert table["Memory"].startswith("about ")
    with Image.open(out) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_show_makes_a_small_picture_without_running_the_reader(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(TinyReader, "prefill", None)
    out = tmp_path / f"tiles.{ending}"
    words = ["--no-estimate", "--long-side", 300, "--model", "tiny", "--device", "cpu"]
    result = run("show", folder / "a.png", "-o", out, *words)
    assert result.exit_code == 0, result.stderr
    assert "Seconds" not in result.stdout
    assert "Memory" not in result.stdout
    with Image.open(out) as picture:
        assert max(picture.size) == 300


def test_show_numbers_the_pictures_of_several_pages(folder: Path, tmp_path: Path) -> None:
    result = run(
        *("show", folder / "three.tif", "--pages", "1-2", "--model", "tiny"),
        *("-o", tmp_path / "t.png"),
    )
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in tmp_path.glob("*.png")} == {"t-1.png", "t-2.png"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.png"], "does not exist"),
        (["a.png", "-o", "none/t.png"], "does not exist; make it first"),
        (["three.tif", "--pages", "9"], "asks for page 9"),
        (["a.png", "--model", "gpt"], "is unknown"),
        (["a.png", "--max-tiles", "100000", "--model", "tiny"], ""),
    ],
)
def test_show_refuses_bad_input_in_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(folder)
    result = run("show", "--model", "tiny", *words)
    if not says:  # a large budget is fine for a small page
        assert result.exit_code == 0
        return
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert not list(folder.glob("tiles*"))


def test_demo_checks_each_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = "".join(ask(folder / "a.png", "What?", model=TinyReader()))
    other = "".join(ask(folder / "a.png", "And?", model=TinyReader()))
    asked = [{"question": "What?", "answer": right}, {"question": "And?", "answer": other + "x"}]
    (folder / "questions.json").write_text(json.dumps([{"file": "a.png", "questions": asked}]))
    monkeypatch.setattr(demo_module, "demo_folder", lambda: folder)
    result = run("demo", "--model", "tiny")
    assert result.exit_code == 0, result.stderr
    assert "a.png: 20 x 12 px, tiles 2 x 2" in result.stdout or "tiles 3 x " in result.stdout
    assert f"{right}  ✓" in result.stdout
    assert f"{other}  ✗ expected: {other}x" in result.stdout
    assert "1 of 2 answers as expected" in result.stdout


def test_demo_without_its_pages_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_module, "demo_folder", lambda: folder / "none")
    result = run("demo", "--model", "tiny")
    assert result.exit_code == 1
    assert "install tilewise again" in result.stderr


def test_models_lists_names_folders_and_families(models: Path) -> None:
    result = run("models")
    assert result.exit_code == 0
    assert any(
        line.startswith("tiny") and str(models / "tiny") in line
        for line in result.stdout.splitlines()
    )
    assert re.search(r"Families: tilewise-nano, (.+, )?tiny\.", result.stdout)


def test_models_lists_the_releases_with_their_memory(models: Path) -> None:
    few, many = run("models", "--max-tiles", 2), run("models", "--max-tiles", 40)
    assert few.exit_code == many.exit_code == 0
    lines = few.stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("OpenGVLab/InternVL2-1B ")]
    assert re.search(r"938\.2 M +1\.9 GB +2\.\d GiB at 2 +MIT +no$", line)
    (line,) = [line for line in lines if line.startswith("internlm/internlm-xcomposer2-4khd-7b")]
    assert re.search(r"17\.2 GB +1\d\.\d GiB at 2 +other +no$", line)
    needed = [_gib(result.stdout, "OpenGVLab/InternVL2-4B") for result in (few, many)]
    assert 7.7 < needed[0] < needed[1] < 20
    assert run("models", "--max-tiles", 0).exit_code == 2


def _gib(listed: str, hub_id: str) -> float:
    """The memory that a list tells of a release."""
    (line,) = [line for line in listed.splitlines() if line.startswith(f"{hub_id} ")]
    found = re.search(r"([\d.]+) GiB", line)
    assert found is not None
    return float(found[1])


def test_models_says_which_releases_are_here(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (models / "config.json").write_text('{"model_type": "internvl_chat"}')
    kept = [
        Cached(hub_id=f"OpenGVLab/{name}", folder=models, size_bytes=9, is_whole=is_whole)
        for name, is_whole in (("InternVL2-1B", True), ("InternVL2-2B@v1", False))
    ]
    monkeypatch.setattr(fetch, "cached", lambda: kept)
    lines = [line.split() for line in run("models").stdout.splitlines() if "MIT" in line]
    here = {words[0]: " ".join(words[words.index("MIT") + 1 :]) for words in lines}
    assert here["OpenGVLab/InternVL2-1B"] == "yes"
    assert here["OpenGVLab/InternVL2-2B"] == "in part"
    assert here["OpenGVLab/InternVL2-4B"] == "no"


def test_a_copy_in_the_user_s_folder_is_here_if_it_is_of_the_family(models: Path) -> None:
    for name, kind in (("InternVL2-1B", "internvl"), ("InternVL2-2B", "tiny")):
        (models / name).mkdir()
        (models / name / "config.json").write_text(json.dumps({"model_type": kind}))
    lines = [line.split() for line in run("models").stdout.splitlines() if "MIT" in line]
    here = {words[0]: words[-1] for words in lines}
    assert here["OpenGVLab/InternVL2-1B"] == "yes"
    assert here["OpenGVLab/InternVL2-2B"] == "no"


def test_version_and_help(models: Path) -> None:
    assert run("--version").stdout.startswith("tilewise, version ")
    listed = run("--help").stdout
    for command in ("ask", "show", "demo", "models"):
        assert command in listed
