"""The file of answers holds whole lines whatever happens to the one who writes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tilewise.errors import ConfigError
from tilewise.folder.answers import AnswersFile, Line, check_settings


def made(source: str, answer: str = "Ünïcode 日本\u2028 \ud800") -> Line:
    settings = {"model": "tiny", "weights": "abc"}
    return {
        "source": source, "page": None, "pages": 1, "question": "Q", "answer": answer,
        "error": None, "settings": settings, "stamp": "1:2",
    }  # fmt: skip


def write(path: Path, *lines: Line) -> None:
    answers = AnswersFile(path)
    for line in lines:
        answers.append(line)
    answers.close()


def sources(path: Path) -> list[str]:
    answers = AnswersFile(path)
    answers.close()
    return [line["source"] for line in answers.kept]


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, made("a", "plain"), made("b", "two\nlines \u2028 and \x85"))
    answers = AnswersFile(path)
    answers.close()
    assert [line["answer"] for line in answers.kept] == ["plain", "two\nlines \u2028 and \x85"]
    assert len(path.read_bytes().split(b"\n")) == 3


def test_a_line_cut_at_any_byte_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, made("a"), made("b"))
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    for end in range(len(data)):
        path.write_bytes(data[:end])
        assert sources(path) == ["a"] * (end >= first), end
        assert path.read_bytes() == data[: first if end >= first else 0]


@pytest.mark.parametrize(
    "text",
    [b"notes of mine\n", b"notes of mine", b'{"a": 1}\n', b"[]\n", b'{"source": "a"}\n', b"\n"],
)
def test_another_file_is_refused_and_left_as_it_is(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=r"a\.txt: line 1 is not an answer .* --restart"):
        AnswersFile(path)
    assert path.read_bytes() == text


def test_restart_drops_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"something else\n")
    AnswersFile(path, restart=True).close()
    assert path.read_bytes() == b""


def test_a_second_run_into_the_same_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    answers = AnswersFile(path)
    answers.append(made("b"))
    answers.append(made("a"))
    answers.arrange(lambda line: (ord(line["source"]),))  # the new file is locked too
    code = (
        "import sys; from pathlib import Path; from tilewise.folder.answers import AnswersFile\n"
        "AnswersFile(Path(sys.argv[1]), restart=True)"
    )
    argv = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert "another run is writing to it" in done.stderr
    answers.close()
    assert sources(path) == ["a", "b"]
    assert [x.name for x in tmp_path.iterdir()] == ["a.jsonl"]


def test_lines_are_dropped_and_sorted_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, made("c"), made("b"), made("a"))
    answers = AnswersFile(path)
    assert answers.drop(lambda line: line["source"] == "b") == 1
    answers.arrange(lambda line: (ord(line["source"]),))
    answers.append(made("d"))
    answers.close()
    assert sources(path) == ["a", "c", "d"]
    assert [x.name for x in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_full_disk_is_said_and_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    answers = AnswersFile(path)
    answers.append(made("a"))

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ConfigError, match="No space left on device"):
            answers.append(made("b"))
    answers.close()
    assert sources(path) == ["a"]


def test_a_folder_or_a_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        AnswersFile(tmp_path)
    with pytest.raises(ConfigError, match="is no file"):
        AnswersFile(Path("/dev/null"))
    with pytest.raises(ConfigError, match="cannot be written"):
        AnswersFile(tmp_path / "nowhere" / "a.jsonl")


def test_other_settings_are_told_one_by_one() -> None:
    settings = {"model": "tiny", "weights": "xyz", "max_tiles": 4}
    with pytest.raises(ConfigError) as caught:
        check_settings(Path("a.jsonl"), [made("a")], settings)
    assert "max_tiles left out (now 4), weights abc (now xyz)" in str(caught.value)
    check_settings(Path("a.jsonl"), [made("a")], {"weights": "abc", "model": "tiny"})


def test_lines_are_plain_json(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", made("a"))
    (line,) = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["source"] == "a"
