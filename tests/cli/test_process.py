"""The command line as a process: signals, pipes, what is imported, what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("tiny_program.py")
ENDLESS = {"TINY_HURRY": "-1000", "TINY_CONTEXT": "1000000"}


def start(folder: Path, *words: str, **env: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *words],
        cwd=folder,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("extra", [[], ["--draw", "out.png"], ["--progress"]])
def test_ctrl_c_in_mid_answer_leaves_no_mess(folder: Path, extra: list[str]) -> None:
    before = sorted(folder.rglob("*"))
    words = ["ask", "a.png", "What?", "--model", "tiny", "--max-new-tokens", "100000", *extra]
    with start(folder, *words, **ENDLESS) as process:
        assert process.stdout is not None
        assert process.stdout.read(3), "the answer has begun"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"Aborted" not in err
    assert sorted(folder.rglob("*")) == before


def test_a_reader_of_the_pipe_that_goes_away_ends_it_quietly(folder: Path) -> None:
    words = ["ask", "a.png", "What?", "--model", "tiny", "--max-new-tokens", "100000"]
    with start(folder, *words, **ENDLESS) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(3)
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=30) != 0
    assert err == b""


def test_the_answer_streams_before_it_is_complete(folder: Path) -> None:
    words = ["ask", "a.png", "What?", "--model", "tiny", "--max-new-tokens", "100000"]
    with start(folder, *words, **ENDLESS) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        time.sleep(0.05)
        assert process.poll() is None
        process.kill()


def test_an_error_is_one_line_and_no_traceback(folder: Path) -> None:
    with start(folder, "ask", "nowhere.png", "What?", "--model", "tiny") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")
    assert err == b"Error: nowhere.png does not exist; check the path.\n"


def test_a_name_with_odd_signs_is_shown_in_one_line(folder: Path) -> None:
    name = "new\nline\x1b[31m\udcff.png"
    with start(folder, "ask", name, "What?", "--model", "tiny") as process:
        _, err = process.communicate(timeout=60)
    assert err == rb"Error: new\nline\x1b[31m\udcff.png does not exist; check the path." + b"\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    "words",
    [
        ["ask", "a.png", "What?", "--model", "tiny"],
        ["ask", "a.png", "What?", "--model", "tiny", "--json"],
        ["ask", "a.png", "What?", "--model", "tiny", "--out", "-"],
        ["ask", "--help"],
        ["--help"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_a_full_disk_behind_standard_output_is_one_line(folder: Path, words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), *words],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: the output cannot be written (No space left on device)")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "words", [["--help"], ["ask", "--help"], ["--version"], ["ask", "a.png"], ["nonsense"]]
)
def test_help_and_argument_errors_do_not_import_torch(folder: Path, words: list[str]) -> None:
    code = (
        "import sys\n"
        "from tilewise.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
