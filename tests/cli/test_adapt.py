"""``tilewise adapt``: raw files become data, a recipe, a model and scores."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.domains import raw
from tilewise.cli.main import main
from tilewise.recipes.table import find_recipe

TINY = str(resources.files("tilewise") / "assets" / "tiny-internvl")
FEW = (
    "model.is_random=true",
    "schedule.steps=2",
    "run.accumulation=1",
    "run.precision=float32",
    "data.max_tiles=1",
    "data.context=2048",
    "data.packing.tiles=4",
    "data.packing.tokens=2048",
)


def _run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["adapt", *map(str, words), "--no-progress"])


def _folder(tmp_path: Path, domain: str) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    if domain == "driving":
        raw.drivelm(folder)
    elif domain == "medical":
        raw.pmc_vqa(folder)
        (folder / "train.csv").rename(folder / "test_clean.csv")
        raw.pmc_vqa(folder)
    else:
        raw.dior_rsvg(folder)
        raw.rsvqa(folder)
    return folder


def test_data_and_a_recipe_are_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--domain", "remote-sensing", "--raw", _folder(tmp_path, "remote-sensing"))
    done = _run(*words, "--out", out, "--convert-only", "--method", "lora", "--set", "optim.lr=0.5")
    assert done.exit_code == 0, done.output
    assert "dior-rsvg: 2 to learn from" in done.output
    assert "rsvqa-LR_split_test: 5 to score" in done.output
    cfg = find_recipe(str(out / "recipe.py"))
    assert cfg.data.meta == str((out / "mixed.json").resolve())
    assert (cfg.optim.lr, cfg.reduction) == (0.5, "square")
    assert cfg.model.lora is not None
    assert list(json.loads((out / "mixed.json").read_text())) == ["dior-rsvg"]
    assert not (out / "run").exists()


def test_general_data_is_mixed_in(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "Two?"}, {"from": "gpt", "value": "2"}]
    (tmp_path / "g.jsonl").write_text(
        "\n".join(json.dumps({"conversations": turns}) for _ in "1234")
    )
    meta = tmp_path / "general.json"
    meta.write_text(json.dumps({"g": {"root": ".", "annotation": "g.jsonl", "length": 4}}))
    words = ("--domain", "driving", "--raw", _folder(tmp_path, "driving"), "--convert-only")
    out = tmp_path / "out"
    done = _run(*words, "--out", out, "--general", meta)
    assert done.exit_code == 0, done.output
    mixed = json.loads((out / "mixed.json").read_text())
    assert mixed["g"]["repeat_time"] == pytest.approx(0.25 * 5 / 4 / 1)
    done = _run(*words, "--out", tmp_path / "out2", "--ratio", "1")
    assert done.exit_code == 1
    assert "give a meta file of it (--general)" in done.output


@pytest.mark.parametrize("domain", ["driving", "remote-sensing"])
def test_a_model_is_trained_and_scored(domain: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--domain", domain, "--raw", str(_folder(tmp_path, domain)), "--out", str(out)]
    words += ["--model", TINY, "--questions", "2"]
    for option in FEW:
        words += ["--set", option]
    done = _run(*words)
    assert done.exit_code == 0, done.output
    assert (out / "run" / "model.safetensors").is_file()
    scores = json.loads((out / "scores.json").read_text())
    if domain == "driving":
        assert "scored by a server" in done.output
        (rows,) = (out / "answers").glob("*.submission.json")
        row = json.loads(rows.read_text())[0]
        assert row.keys() == {"id", "question", "answer", "gt_answer"}
    else:
        assert scores["dior-rsvg"].keys() == {"accuracy"}
        assert scores["rsvqa-LR_split_test"].keys() == {"reported", "rural_urban", "presence"}
    again = _run(*words[:6], "--score-only", "--model", out / "run", "--questions", "2")
    assert again.exit_code == 0, again.output
    assert json.loads((out / "scores.json").read_text()) == scores


def test_wrong_words_are_told_in_one_sentence(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "medical")
    words = ("--domain", "medical", "--raw", folder, "--out", tmp_path / "out")
    done = _run(*words)
    assert done.exit_code == 1
    assert "2 of 4 samples are bad (missing image 2)" in done.output
    done = _run(*words, "--set", "optim.x=1")
    assert "setting optim.x is unknown in optim" in done.output
    done = _run(*words, "--bad", "0.5", "--convert-only", "--score-only")
    assert done.exit_code == 2
    done = _run("--domain", "driving", "--raw", folder, "--out", tmp_path / "out")
    assert "holds no file of driving" in done.output
    done = _run(*words, "--bad", "0.5", "--convert-only")
    assert "pmc-vqa-test_clean: 1 to score" in done.output
