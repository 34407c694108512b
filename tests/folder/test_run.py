"""Runs over files: one line for each question and file, resumed, in order, errors included."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.engine.tiny_reader import TinyReader, tiny_page
from tilewise.cli.main import main
from tilewise.pipeline import ask as ask_python

PROGRAM = Path(__file__).parents[1] / "cli" / "tiny_program.py"
FEW, MANY = 3, 20


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["ask", *map(str, words), "--model", "tiny"])


def said(path: Path) -> list[dict[str, Any]]:
    """Lines without what differs from run to run."""
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        del line["seconds"]
        if line.get("confidence") is not None:  # its last bits depend on how memory lies
            line["confidence"] = round(line["confidence"], 5)
    return lines


def asked(path: Path) -> list[tuple[str, int | None, str]]:
    return [(Path(x["source"]).name, x["page"], x["question"]) for x in said(path)]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tiles that every later prefill has encoded."""
    counts: list[int] = []
    prefill = TinyReader.prefill

    def counted(self: TinyReader, prompts: Any, cache: Any = None, progress: Any = None) -> Any:
        before = self.tiles_encoded
        result = prefill(self, prompts, cache, progress)
        counts.append(self.tiles_encoded - before)
        return result

    monkeypatch.setattr(TinyReader, "prefill", counted)
    return counts


def test_each_file_and_question_has_a_line_with_what_ask_answers(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    result = run(folder, "What?", "--question", "And?", "--out", out)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr == "3 files, all answered.\n"
    names = ["a.png", "b.png", "three.tif"]
    assert asked(out) == [(name, None, q) for name in names for q in ("What?", "And?")]
    for line in said(out):
        expected = "".join(ask_python(line["source"], line["question"], model=TinyReader()))
        assert line["answer"] == expected
        assert line["error"] is None
        assert line["tiles"] >= 1
        assert line["pages"] == (3 if "three" in line["source"] else 1)
        assert set(line["tokens"]) == {"prompt", "answer"}
        assert line["settings"]["model"] == "tiny"
        assert [set(mark) for mark in line["evidence"]] == [{"page", "box", "text", "turned_deg"}]


def test_pages_are_encoded_once_for_all_questions(
    folder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    run(folder / "a.png", "What?", "--question", "And?", "--out", tmp_path / "out.jsonl")
    assert encoded == [encoded[0], 0]
    assert encoded[0] > 0


def test_each_page_can_have_its_own_lines(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(folder / "*.tif", "What?", "--per-page", "--out", out)
    assert asked(out) == [("three.tif", page, "What?") for page in (1, 2, 3)]
    texts = list(ask_python(folder / "three.tif", "What?", model=TinyReader(), per_page=True))
    assert "\n".join(line["answer"] for line in said(out)) == "".join(texts)


def test_a_second_run_asks_only_what_is_missing(
    folder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    run(folder, "What?", "--question", "And?", "--out", whole)
    run(folder / "b.png", "What?", "--out", out)
    encoded.clear()
    assert run(folder, "What?", "--question", "And?", "--out", out).exit_code == 0
    assert len(encoded) == 5
    assert said(out) == said(whole)
    encoded.clear()
    result = run(folder, "What?", "--question", "And?", "--out", out)
    assert encoded == []
    assert result.stderr == "3 files, 3 of them asked before, all answered.\n"
    assert said(out) == said(whole)


def test_missing_pages_are_asked_alone(folder: Path, tmp_path: Path, encoded: list[int]) -> None:
    out = tmp_path / "out.jsonl"
    words = (folder / "three.tif", "What?", "--per-page", "--out", out)
    run(*words)
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(lines[0] + lines[2])
    encoded.clear()
    run(*words)
    assert len(encoded) == 1
    assert asked(out) == [("three.tif", page, "What?") for page in (1, 2, 3)]


def test_a_file_that_has_changed_is_asked_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(folder, "What?", "--out", out)
    before = said(out)
    Image.fromarray(tiny_page(16, 16, seed=9).pixels).save(folder / "a.png")
    run(folder, "What?", "--out", out)
    after = said(out)
    assert after[1:] == before[1:]
    assert after[0]["source"] == before[0]["source"]
    assert after[0]["stamp"] != before[0]["stamp"]


def test_other_settings_are_refused_unless_all_is_asked_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(folder, "What?", "--out", out)
    before = out.read_bytes()
    result = run(folder, "What?", "--out", out, "--max-tiles", 2)
    assert result.exit_code == 1
    assert "made with max_tiles left out (now 2); give the same" in result.stderr
    assert out.read_bytes() == before
    assert run(folder, "What?", "--out", out, "--max-tiles", 2, "--restart").exit_code == 0
    assert {line["settings"]["max_tiles"] for line in said(out)} == {2}


def test_one_bad_file_is_a_line_and_the_others_go_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:60])
    (folder / "c.png").touch()
    result = run(folder, folder / "gone.png", "What?", "--out", out)
    assert result.exit_code == 1
    assert "5 files; 3 with an error: " in result.stderr
    errors = {Path(x["source"]).name: x["error"] for x in said(out)}
    assert list(errors) == ["a.png", "b.png", "c.png", "three.tif", "gone.png"]
    assert [name for name, error in errors.items() if error is None] == ["a.png", "three.tif"]
    assert "does not exist" in errors["gone.png"]
    assert "empty" in errors["c.png"]


def test_errors_are_asked_again_only_if_wanted(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    good = (folder / "b.png").read_bytes()
    status = (folder / "b.png").stat()
    (folder / "b.png").write_bytes(good[:60] + bytes(len(good) - 60))
    os.utime(folder / "b.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    run(folder, "What?", "--out", out)
    (folder / "b.png").write_bytes(good)
    os.utime(folder / "b.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    result = run(folder, "What?", "--out", out)
    assert result.exit_code == 1
    assert "3 of them asked before; 1 with an error" in result.stderr
    assert run(folder, "What?", "--out", out, "--retry-errors").exit_code == 0
    assert [line["error"] for line in said(out)] == [None] * 3
    assert [name for name, _, _ in asked(out)] == ["a.png", "b.png", "three.tif"]


def test_one_bad_page_does_not_touch_the_others(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.jsonl"
    result = run(folder / "three.tif", "What?", "--per-page", "--pages", "1-4", "--out", out)
    assert result.exit_code == 1  # no such page: the file as a whole
    assert [line["page"] for line in said(out)] == [None]
    tiles = TinyReader.tiles

    def failing(self: TinyReader, page: Any, max_tiles: int) -> Any:
        if page.number == 2:
            raise ZeroDivisionError("by chance")
        return tiles(self, page, max_tiles)

    monkeypatch.setattr(TinyReader, "tiles", failing)
    run(folder / "three.tif", "What?", "--per-page", "--out", out, "--restart")
    errors = [line["error"] for line in said(out)]
    assert [error is None for error in errors] == [True, False, True]
    assert "page 2: cannot be read (ZeroDivisionError: by chance)" in errors[1]


def test_a_question_that_fails_is_a_line(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    result = run(folder / "a.png", "What?", "--question", "long " * 1000, "--out", out)
    assert result.exit_code == 1
    assert [line["error"] is None for line in said(out)] == [True, False]


def test_lines_can_be_printed(folder: Path) -> None:
    result = run(folder, "What?", "--out", "-")
    assert [json.loads(x)["source"] for x in result.stdout.splitlines()] == [
        str(folder / name) for name in ("a.png", "b.png", "three.tif")
    ]


@pytest.mark.parametrize("cache", ["--no-cache", "--cache-size=1M"])
def test_pages_asked_together_are_answered_as_alone(
    tmp_path: Path, models: Path, cache: str, encoded: list[int]
) -> None:
    place = large_folder(tmp_path, 11)
    (place / "003.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    words = (place, "What?", "--question", "And so on?", "--question", "long " * 1000, cache)
    run(*words, "--out", tmp_path / "alone.jsonl", "--no-cache")
    whole = sum(encoded)
    encoded.clear()
    run(*words, "--out", tmp_path / "together.jsonl", "--batch", 4)
    assert sum(encoded) == whole, "each page is encoded once for all questions"
    one, other = (said(tmp_path / f"{name}.jsonl") for name in ("alone", "together"))
    for line in (*one, *other):
        if line["tokens"] is not None:
            del line["tokens"]["prompt"]  # with the padding of the longest
            line["confidence"] = pytest.approx(line["confidence"], rel=1e-4)
    assert other == one


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{f}", "What?"], "needs a place for the answers, e.g. --out answers.jsonl"),
        (["{f}/*.png", "What?"], "needs a place for the answers"),
        (["{f}", "--out", "x.jsonl"], "is a source; put a QUESTION after it"),
        (["What?", "--out", "x.jsonl"], "give SOURCES and a QUESTION"),
        (["-", "What?", "--out", "x.jsonl"], "Standard input cannot be asked with --out"),
        (["{f}", "What?", "--chat", "--out", "x.jsonl"], "--out does not go with --chat"),
        (["{f}", " ", "--out", "x.jsonl"], "the question is empty"),
        (["{f}", "What?", "--out", "x.jsonl", "--workers", "2"], "add --runner ray"),
    ],
)
def test_arguments_that_cannot_be_are_refused(
    folder: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    result = run(*(word.format(f=folder) for word in words))
    assert result.exit_code != 0
    assert message in result.stderr
    assert not [x for x in folder.parent.rglob("*.jsonl") if x.stat().st_size]


def start(folder: Path, out: Path) -> subprocess.Popen[bytes]:
    words = ["ask", str(folder), "What?", "--question", "And?", "--out", str(out)]
    argv = [sys.executable, str(PROGRAM), *words, "--model", "tiny", "--no-progress"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_lines(process: subprocess.Popen[bytes], path: Path, count: int) -> None:
    until = time.monotonic() + 120
    while lines_in(path) < count and process.poll() is None:
        assert time.monotonic() < until, "no line in time"
        time.sleep(0.001)


def large_folder(tmp_path: Path, files: int) -> Path:
    place = tmp_path / "pages"
    place.mkdir()
    for i in range(files):
        page = tiny_page(24 + i % 5, 17 + i % 3, seed=i)
        Image.fromarray(page.pixels).save(place / f"{i:03}.png")
    return place


@pytest.mark.parametrize(
    "kills", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_a_run_killed_at_random_points_ends_as_an_undisturbed_one(
    models: Path, tmp_path: Path, kills: int
) -> None:
    place = large_folder(tmp_path, 12 * kills)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert run(place, "What?", "--question", "And?", "--out", whole).exit_code == 0
    dice = random.Random(kills)
    for kill in range(kills):
        process = start(place, out)
        before = lines_in(out)
        wait_for_lines(process, out, before + dice.randrange(1, 12))
        time.sleep(dice.random() * 0.03)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, f"kill {kill} came too late"
        assert before < lines_in(out)
    process = start(place, out)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0
    assert b"of them asked before, all answered" in err
    assert said(out) == said(whole)
    assert sorted(x.name for x in tmp_path.iterdir()) == [
        *("cache", "models", "out.jsonl", "pages", "whole.jsonl"),
    ]


def test_ctrl_c_says_how_to_go_on(models: Path, tmp_path: Path) -> None:
    place, out = large_folder(tmp_path, 60), tmp_path / "out.jsonl"
    process = start(place, out)
    wait_for_lines(process, out, 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"of 60 files; run the same command again to go on.\n" in err
    assert b"Traceback" not in err
    assert run(place, "What?", "--question", "And?", "--out", out).exit_code == 0
    assert len(asked(out)) == 120
