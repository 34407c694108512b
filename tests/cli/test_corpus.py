"""``tilewise corpus`` on the command line: what it says, and how it exits."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.corpus.made_crawl import HOST, write_crawl
from tilewise.cli.corpus import PROFILES as SHOWN_PROFILES
from tilewise.cli.corpus import STAGES as SHOWN_STAGES
from tilewise.cli.main import main

ROOT = Path(__file__).parents[2]
MINIMAL = ("--profile", "minimal", "--workers", "1")


def told(*words: str) -> Result:
    return CliRunner().invoke(main, ["corpus", *words])


def program(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tilewise", "corpus", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )


def test_the_names_that_help_shows_are_those_that_there_are() -> None:
    from tilewise.corpus.config import PROFILES
    from tilewise.corpus.stages import STAGES

    assert SHOWN_STAGES == STAGES
    assert set(SHOWN_PROFILES) == set(PROFILES)


def test_a_run_from_build_to_verify(tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", 3)
    run = str(tmp_path / "run")
    done = told("build", str(tmp_path / "crawl"), "--out", run, *MINIMAL)
    assert done.exit_code == 0, done.output
    assert "4 documents, 3 kept, 1 dropped (no_images 1)" in done.output
    assert f"{run}/report.html: the report" in done.output
    assert "final" in told("status", run).output
    assert "extract: dropped, no_images" in told("explain", run, f"{HOST}/bare0.html").output
    assert told("verify", run).output == "All is whole.\n"
    assert told("verify", f"{run}/final").output == "All is whole.\n"
    assert "3 texts of 3 documents" in told("degrade", run, f"{run}/t", "--to", "text").output
    shard = next((tmp_path / "run" / "final").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-9])
    damaged = told("verify", run)
    assert damaged.exit_code == 1
    assert shard.name in damaged.output


def test_printed_settings_can_be_given_back(tmp_path: Path) -> None:
    printed = told("config", "--profile", "strict", "--set", "dedup.threshold=0.7").stdout
    file = tmp_path / "my.json"
    file.write_text(printed)
    assert told("config", "--config", str(file)).stdout == printed
    assert json.loads(printed)["dedup"]["threshold"] == 0.7


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["build", "nowhere", "--out", "run"], 1, "nowhere: there is no such file"),
        (["build", "x", "--out", "r", "--set", "dedup.treshold=1"], 1, "dedup.threshold?"),
        (["build", "x", "--out", "r", "--workers", "imagine=2"], 2, "--workers imagine=2"),
        (["build", "x", "--out", "r", "--until", "read", "--stage", "read"], 2, "exclude"),
        (["build", "x", "--out", "r", "--fetch"], 2, "--fetch needs --contact"),
        (["status", "nowhere"], 1, "nowhere holds no run"),
        (["verify", "nowhere"], 1, "nowhere holds no run"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if "workers" in said or said in ("exclude", "--fetch needs --contact") or "dedup" in said:
        write_crawl(tmp_path / "x", 1)
    done = told(*words)
    assert done.exit_code == code
    assert said in done.output


def test_a_file_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"no": "document"}\n')
    done = told("degrade", str(tmp_path / "a.jsonl"), str(tmp_path / "out"), "--to", "text")
    assert done.exit_code == 1
    assert "no document in it could be read" in done.output


def test_what_is_broken_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_text("<html>not found</html>")
    done = told("build", str(tmp_path / "a.warc"), "--out", str(tmp_path / "run"), *MINIMAL)
    assert "1 broken or left out (broken_record 1)" in done.output
    assert "No page was found in the inputs." in done.output


def test_address_belongs_to_ray(tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", 1)
    out = str(tmp_path / "run")
    done = told("build", str(tmp_path / "crawl"), "--out", out, "--address", "head:6379")
    assert done.exit_code == 1
    assert "add --runner ray" in done.output


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", 12)
    words = ("build", str(tmp_path / "crawl"), "--out", str(tmp_path / "run"), *MINIMAL)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, before[1]))  # no file may be larger
    try:
        process = program(*words)
        said, _ = process.communicate(timeout=300)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert process.returncode == 1
    assert "Traceback" not in said
    assert "the same command goes on where this one stopped" in said.replace("\n", " ")
    assert not list((tmp_path / "run").rglob("*.tmp"))
    process = program(*words)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "12 documents, 12 kept" in said


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_and_the_same_command_goes_on(tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", 60)
    run = tmp_path / "run"
    small = ("--set", "run.shard_pages=2")
    words = ("build", str(tmp_path / "crawl"), "--out", str(run), *MINIMAL, *small)
    process = program(*words)
    while len(list((run / "stages").glob("extract/done-*"))) < 5:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    process = program(*words)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert "60 documents, 60 kept" in said
