"""``tilewise ask``, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.engine.tiny_reader import TinyReader
from tilewise.cli.main import main
from tilewise.pipeline import ask as ask_python


def run(*words: object, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["ask", *map(str, words)], input=stdin)


def tiny(*words: object, stdin: str | bytes | None = None) -> Result:
    return run("--model", "tiny", *words, stdin=stdin)


def test_the_answer_goes_to_stdout_and_nothing_to_stderr(folder: Path) -> None:
    result = tiny(folder / "a.png", "What?")
    assert result.exit_code == 0
    expected = "".join(ask_python(folder / "a.png", "What?", model=TinyReader()))
    assert expected
    assert result.stdout == expected + "\n"
    assert result.stderr == ""


def test_json_holds_answer_boxes_grid_and_cost(folder: Path) -> None:
    result = tiny(folder / "a.png", folder / "b.png", "What?", "--json", "--max-tiles", 5)
    (line,) = result.stdout.splitlines()
    said = json.loads(line)
    assert list(said) == [
        *("question", "answer", "found", "confidence", "complete", "boxes", "pages"),
        *("tokens", "seconds", "model"),
    ]
    assert said["question"] == "What?"
    assert said["model"] == "tiny"
    assert 0 < said["confidence"] < 1
    assert [page["source"] for page in said["pages"]] == [
        str(folder / "a.png"),
        str(folder / "b.png"),
    ]
    assert (said["pages"][0]["width"], said["pages"][0]["height"]) == (20, 12)
    tiles = [page["grid"][0] * page["grid"][1] for page in said["pages"]]
    assert sum(tiles) <= 5
    for mark in said["boxes"]:
        left, top, right, bottom = mark["box"]
        assert 0 <= left <= right <= 20
        assert 0 <= top <= bottom <= 12
        assert mark["page"] == 1
    assert 0 <= said["seconds"]["first"] <= said["seconds"]["total"]
    assert said["tokens"]["answer"] >= len(said["answer"])


def test_per_page_answers_each_page_of_the_range(folder: Path) -> None:
    result = tiny(folder / "three.tif", "What?", "--per-page", "--pages", "2-3", "--json")
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert [[page["page"] for page in one["pages"]] for one in said] == [[2], [3]]
    text = tiny(folder / "three.tif", "What?", "--per-page", "--pages", "2-3").stdout
    assert [line.partition(": ")[0] for line in text.splitlines()] == [
        f"{folder / 'three.tif'}, page 2",
        f"{folder / 'three.tif'}, page 3",
    ]
    assert [line.partition(": ")[2] for line in text.splitlines()] == [x["answer"] for x in said]


def test_pages_together_give_one_answer(folder: Path) -> None:
    result = tiny(folder / "three.tif", "What?", "--json", "--pages", "3,1")
    said = json.loads(result.stdout)
    assert [page["page"] for page in said["pages"]] == [3, 1]


def test_standard_input_is_a_source(folder: Path) -> None:
    data = (folder / "a.png").read_bytes()
    assert tiny("-", "What?", stdin=data).stdout == tiny(folder / "a.png", "What?").stdout
    result = tiny("-", "What?", "--json", stdin=data)
    assert json.loads(result.stdout)["pages"][0]["source"] == "standard input"


def test_chat_takes_questions_line_by_line(folder: Path) -> None:
    result = tiny("--chat", folder / "a.png", stdin="What?\n\n  \nAnd what else?\n")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first + "\n" == tiny(folder / "a.png", "What?").stdout
    assert second
    with_question = tiny("--chat", folder / "a.png", "What?", stdin="And what else?")
    assert with_question.stdout == result.stdout
    as_json = tiny("--chat", "--json", folder / "a.png", "What?", stdin="And what else?")
    assert [json.loads(line)["answer"] for line in as_json.stdout.splitlines()] == [first, second]


def test_chat_goes_on_after_a_question_that_fails(folder: Path) -> None:
    result = tiny("--chat", folder / "a.png", stdin="why " * 900 + "\nWhat?\n")
    assert result.stdout == tiny(folder / "a.png", "What?").stdout
    assert result.stderr.startswith("Error: pages and question are ")
    assert result.stderr.count("\n") == 1
    assert result.exit_code == 1


def test_a_full_conversation_starts_anew_and_says_so(folder: Path) -> None:
    long = "why " * 240
    result = tiny("--chat", folder / "a.png", stdin=f"{long}\n{long}\n{long}\n")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    assert "starts anew" in result.stderr


def test_an_answer_that_was_cut_says_so(folder: Path) -> None:
    result = tiny(folder / "a.png", "What?", "--max-new-tokens", 2)
    assert result.exit_code == 0
    assert "cut after 2 tokens; raise --max-new-tokens" in result.stderr
    said = json.loads(tiny(folder / "a.png", "What?", "--max-new-tokens", 2, "--json").stdout)
    assert not said["complete"]


def test_the_answer_is_drawn_on_its_pages(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    assert tiny(folder / "a.png", "What?", "--draw", out).exit_code == 0
    with Image.open(out) as picture:
        assert picture.format == "PNG"
    assert tiny(folder / "three.tif", "What?", "--draw", out, "--pages", "1-2").exit_code == 0
    result = tiny(folder / "three.tif", "What?", "--draw", tmp_path / "p.jpg", "--per-page")
    assert result.exit_code == 0
    made = {path.name for path in tmp_path.glob("*.*")}
    assert made == {"out.png", "out-1.png", "out-2.png", "p-1.jpg", "p-2.jpg", "p-3.jpg"}


def test_an_answer_that_names_no_place_is_said_to_mark_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = tiny(folder / "a.png", "What?", "--draw", tmp_path / "marked.png")
    assert marked.stderr == ""
    monkeypatch.setattr(TinyReader, "evidence", lambda *_: ())
    words = ("What?", "--draw", tmp_path / "out.png", "--pages", "1-2")
    result = tiny(folder / "three.tif", *words)
    assert result.exit_code == 0
    said = "The answer names no place on its pages, so nothing is marked."
    assert result.stderr.splitlines() == [said]
    assert len(list(tmp_path.glob("out-*.png"))) == 2


def test_progress_is_told_when_asked_for(folder: Path) -> None:
    result = tiny(folder / "a.png", "What?", "--progress")
    stages = [line.split()[0] for line in result.stderr.splitlines()]
    assert list(dict.fromkeys(stages)) == ["sources", "tiles", "prefill", "answer"]
    assert "1/1" in result.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a.png", ""], "the question is empty"),
        (["a.png", "  "], "the question is empty"),
        (["a.png", "why " * 2000], "tiny holds 2000"),
        (["nowhere.png", "What?"], "nowhere.png does not exist"),
        (["three.tif", "What?", "--pages", "2-4"], "asks for page 4"),
        (["three.tif", "What?", "--pages", "x"], "is not understood"),
        (["a.png", "What?", "--model", "gpt"], "model 'gpt' is unknown; known on this machine"),
        (["a.png", "What?", "--draw", "none/out.png"], "does not exist; make it first"),
        (["a.png", "What?", "--draw", "out.xyz"], "the ending is '.xyz'"),
        (["a.png", "What?", "--draw", "folder.png"], "is a folder"),
        (["program.bin", "What?"], "a program"),
        (["empty.png", "What?"], "empty file"),
        (["cut.png", "What?"], "cut.png"),
    ],
)
def test_bad_input_is_one_sentence_and_status_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "folder.png").mkdir()
    (folder / "program.bin").write_bytes(b"\x7fELF\2\1\1" + bytes(40))
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:200])
    before = sorted(folder.rglob("*"))
    result = tiny(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert sorted(folder.rglob("*")) == before


def test_more_pages_than_fit_name_the_way_out(folder: Path) -> None:
    pictures = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(256)]
    pictures[0].save(folder / "long.tif", save_all=True, append_images=pictures[1:])
    result = tiny(folder / "long.tif", "What?")
    assert result.exit_code == 1
    assert "256 pages are too many for the 2000 tokens" in result.stderr
    assert "--pages 1-" in result.stderr
    assert "--per-page" in result.stderr


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"model_type": "bert"}'])
def test_damaged_models_are_named(folder: Path, models: Path, damage: bytes) -> None:
    (models / "tiny" / "config.json").write_bytes(damage)
    result = tiny(folder / "a.png", "What?")
    assert result.exit_code == 1
    assert str(models / "tiny" / "config.json") in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Missing argument"),
        (["a.png"], "give SOURCES and a QUESTION"),
        (["a.png", "b.png"], "'b.png', is a source"),
        (["a.png", "-"], "'-', is a source"),
        (["-", "-", "What?"], "can be read once"),
        (["-", "--chat"], "can be read once"),
        (["a.png", "--chat", "--per-page"], "exclude each other"),
        (["a.png", "What?", "--max-tiles", "0"], "--max-tiles"),
        (["a.png", "What?", "--max-new-tokens", "0"], "--max-new-tokens"),
        (["a.png", "What?", "--colour"], "No such option"),
    ],
)
def test_wrong_arguments_are_usage_errors(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(folder)
    result = tiny(*words)
    assert result.exit_code == 2
    assert says in result.stderr


def test_sampling_options_reach_the_answer(folder: Path) -> None:
    greedy = tiny(folder / "a.png", "What?").stdout
    warm = [
        tiny(folder / "a.png", "What?", "--temperature", 2, "--seed", seed).stdout
        for seed in (1, 1, 2)
    ]
    assert warm[0] == warm[1] != warm[2]
    narrow = ("--temperature", 2, "--top-k", 1, "--seed", 2)
    assert tiny(folder / "a.png", "What?", *narrow).stdout == greedy
    sure = ("--temperature", 2, "--top-p", 0.000001, "--seed", 2)
    assert tiny(folder / "a.png", "What?", *sure).stdout == greedy
    few = ("--max-new-tokens", 12)
    shy = tiny(folder / "a.png", "What?", "--repetition-penalty", 50, *few).stdout
    assert shy != tiny(folder / "a.png", "What?", *few).stdout
    said = json.loads(tiny(folder / "a.png", "What?", "--beams", 2, "--json").stdout)
    assert said["answer"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--beams", 0), "beams is 0; 1 to 64 is allowed"),
        (("--beams", 2, "--temperature", 1), "beams are searched, not drawn"),
        (("--top-p", 0.5), "set a temperature above 0"),
        (("--temperature", -1), "temperature is -1.0"),
        (("--device", "cuda:99"), "device is 'cuda:99'; here it can be auto, cpu"),
        (("--dtype", "int8"), "'int8' is not one of 'float32', 'bfloat16', 'float16'"),
    ],
)
def test_options_that_cannot_hold_are_refused(
    folder: Path, words: tuple[object, ...], message: str
) -> None:
    result = tiny(folder / "a.png", "What?", *words)
    assert result.exit_code != 0
    assert message in result.stderr
    assert result.stdout == ""


def test_upscale_is_told_and_boxes_stay_on_the_page_as_it_came(folder: Path) -> None:
    plain = json.loads(tiny(folder / "a.png", "What?", "--json").stdout)
    assert plain["pages"][0]["upscale"] is None
    result = tiny(folder / "a.png", "What?", "--json", "--upscale", "2", "--max-tiles", 30)
    assert result.stderr == f"{folder / 'a.png'}: enlarged x2 by ours: asked for.\n"
    said = json.loads(result.stdout)
    (page,) = said["pages"]
    assert (page["width"], page["height"]) == (20, 12)
    assert page["grid"] == [5, 3]  # of 8 px tiles, where the page itself takes 3 x 2
    assert page["upscale"]["factor"] == 2
    assert page["upscale"]["reason"] == "asked for"
    for mark in said["boxes"]:
        left, top, right, bottom = mark["box"]
        assert 0 <= left <= right <= 20
        assert 0 <= top <= bottom <= 12


def test_upscale_auto_leaves_pages_without_print_alone_and_says_so(folder: Path) -> None:
    result = tiny(folder / "a.png", "What?", "--upscale", "auto")
    assert result.stdout == tiny(folder / "a.png", "What?").stdout
    assert result.stderr == f"{folder / 'a.png'}: left as it is: no print was found.\n"


@pytest.mark.parametrize("value", ["0", "nan", "1e9", "large"])
def test_an_upscale_that_cannot_hold_is_refused(folder: Path, value: str) -> None:
    result = tiny(folder / "a.png", "What?", "--upscale", value)
    assert result.exit_code == 2
    assert "none of off, auto and a factor above 0, up to 8" in result.stderr
