"""``tilewise train``: recipes listed and shown, files of one's own, runs from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.train.pages import write_samples
from tilewise.cli.main import main

OWN = """
from dataclasses import replace
from tilewise.recipes.internvl import internvl_tiny

def recipe():
    cfg = internvl_tiny()
    return replace(cfg, name="my_own", optim=replace(cfg.optim, lr=0.125))
"""


def _run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, words)])


def test_recipes_are_listed() -> None:
    done = _run("--list")
    assert done.exit_code == 0
    assert "internvl_2b_lora" in done.output
    assert "ixc2_pretrain" in done.output


def test_settings_are_shown_with_changes() -> None:
    done = _run("ixc2_sft", "--set", "optim.lr=1e-6", "--steps", "7", "--data", "x", "--show")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert "optim.lr = 1e-06" in lines
    assert "schedule.steps = 7" in lines
    assert 'data.meta = "x"' in lines


def test_minutes_take_the_place_of_steps() -> None:
    lines = _run("internvl_tiny", "--minutes", "1.5", "--show").output.splitlines()
    assert "schedule.minutes = 1.5" in lines
    assert "schedule.steps = null" in lines


def test_stages_of_the_default_reader_are_recipes_too() -> None:
    lines = _run("default_reader_joint", "--model", "x", "--show").output.splitlines()
    assert 'stage = "joint"' in lines
    assert 'model.folder = "x"' in lines
    done = _run("default_reader_joint", "--data", "x", "--show")
    assert "setting data.meta is unknown in data; known are real" in done.output


def test_a_recipe_can_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    done = _run(path, "--show")
    assert 'name = "my_own"' in done.output
    assert "optim.lr = 0.125" in done.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "has no function recipe()"),
        ("recipe = 3", "has no function recipe()"),
        ("import nothing_of_this_name", "cannot be run (ModuleNotFoundError in line 1"),
        ("def recipe(:", "cannot be run (SyntaxError"),
        ("def recipe():\n    return 1 / 0", "cannot be run (ZeroDivisionError in line 2: division"),
    ],
)
def test_a_file_without_a_recipe_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    done = _run(path, "--show")
    assert done.exit_code == 1
    assert said in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Give a recipe"),
        (("internvl_tiny", "--steps", "2", "--minutes", "2"), "--steps and --minutes are both"),
        (("internvl_tiny",), "Give a folder for the run"),
        (("nothing", "--show"), "recipe 'nothing' is unknown"),
        (("missing.py", "--show"), "there is no such file"),
        (("internvl_tiny", "--show", "--set", "optim.x=1"), "setting optim.x is unknown in optim"),
    ],
)
def test_wrong_words_are_told_in_one_sentence(words: tuple[str, ...], said: str) -> None:
    done = _run(*words)
    assert done.exit_code != 0
    assert said in done.output


def test_a_run_can_be_resumed_and_asked(tmp_path: Path) -> None:
    data, out = write_samples(tmp_path / "data", 4), tmp_path / "out"
    words = ("internvl_tiny", "--data", data, "--out", out, "--steps", "2")
    few = ("--set", "data.max_tiles=1", "--set", "data.batch=2", "--no-progress")
    done = _run(*words, *few)
    assert done.exit_code == 0, done.output
    assert "trained. Ask it" in done.output
    again = _run(*words, *few)
    assert again.exit_code == 1
    assert "holds a run already" in again.output
    assert _run(*words, *few, "--resume").exit_code == 0
    page = tmp_path / "data" / "page-0.png"
    asked = ["ask", "--model", str(out), "--max-new-tokens", "3", str(page), "Which town?"]
    assert CliRunner().invoke(main, asked).exit_code == 0


def test_a_trained_model_says_through_ask_what_it_was_taught(tmp_path: Path) -> None:
    data, out = write_samples(tmp_path / "data", 1), tmp_path / "out"
    few = ("--set", "data.max_tiles=1", "--set", "data.batch=1", "--set", "optim.lr=3e-3")
    done = _run("ixc2_tiny", "--data", data, "--out", out, "--steps", "16", *few, "--no-progress")
    assert done.exit_code == 0, done.output
    words = ["ask", "--model", str(out), "--max-tiles", "1", "--max-new-tokens", "9"]
    said = CliRunner().invoke(main, [*words, str(data.parent / "page-0.png"), "What is the total?"])
    assert said.output == "5\n"
