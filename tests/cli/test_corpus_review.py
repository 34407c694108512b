"""``tilewise corpus review`` and ``rules`` on the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner, Result

from tests.corpus.reviewing import documents, make_run
from tilewise.cli.main import main
from tilewise.corpus.review.labels import Label, append_label


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["corpus", *map(str, words)])


def test_rules_are_listed_with_number_name_and_what_they_do() -> None:
    lines = run("rules", "list").stdout.splitlines()
    assert lines[0].split(maxsplit=2)[:2] == ["1", "abnormal_newlines"]
    assert any("23b" in line and "references_sponsors" in line for line in lines)
    assert any("paragraph_lengths" in line and "gate: " in line for line in lines)
    assert "zh_credits" in run("rules", "list", "--lang", "zh").stdout


def test_rules_are_judged_by_labels_and_how_often_they_act(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    labels = made.root / "review" / "labels.jsonl"
    first = documents()[0].id
    for block in range(4):
        append_label(
            labels,
            Label(document=first, rule="urls", block=block, fired=True, is_right=block > 0),
        )
    result = run("rules", "eval", made.root)
    assert result.exit_code == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("urls")]
    assert "75.0% (30.1%-95.4%)" in line
    labels.write_bytes(labels.read_bytes() + b"torn")
    result = run("rules", "eval", made.root, "--json")
    assert "no labels, left out: 1." in result.stderr
    found = {one["rule"]: one for one in json.loads(result.stdout)}
    assert (found["urls"]["right"], found["urls"]["wrong"]) == (3, 1)
    assert found["text_empty"]["triggers"] == [
        ["2023", pytest.approx([1 / 3, 0.0615, 0.7923, 3], abs=1e-3)]
    ]


def test_without_labels_it_is_told_how_often_rules_act(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    result = run("rules", "eval", made.root)
    assert result.exit_code == 0
    assert result.stderr.startswith("No labels yet; tilewise corpus review ")
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert lines["text_empty"].split()[1:] == ["–", "–", "–", "33.3%", "(6.1%-79.2%)"]
    (made.root / "review").mkdir()
    (made.root / "review" / "labels.jsonl").touch()
    assert run("rules", "eval", made.root).stdout == result.stdout


def test_labels_that_are_not_there_or_no_run_is_one_line(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    result = run("rules", "eval", made.root, "--labels", tmp_path / "mine.jsonl")
    assert result.exit_code == 1
    assert "mine.jsonl cannot be read" in result.stderr
    for words in (("rules", "eval", tmp_path), ("review", tmp_path)):
        result = run(*words)
        assert result.exit_code == 1
        assert "holds no run" in result.stderr


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("review", made.root, "--port", port)
    assert result.exit_code == 1
    assert f"port {port} of 127.0.0.1 cannot be listened on" in result.stderr
    assert "give another --port" in result.stderr


def test_the_page_is_served_until_it_is_interrupted(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    words = [sys.executable, "-m", "tilewise", "corpus", "review", str(made.root), "--port", "0"]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = next(word for word in line.split() if word.startswith("http")).rstrip(";")
            assert line.startswith("4 documents at http://127.0.0.1:")
            with urlopen(address, timeout=30) as answer:
                assert b"Review of rules" in answer.read()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")
