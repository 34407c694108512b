"""Videos on the command line: frames of one tile each, from a file or a folder of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.sources.video_making import striped, video
from tilewise.cli.main import main


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words), "--model", "tiny"])


def grids(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.stderr
    return [page["grid"] for page in json.loads(result.stdout)["pages"]]


@pytest.fixture
def clip(folder: Path) -> Path:
    path = folder / "clip.mp4"
    path.write_bytes(video())
    return path


@pytest.fixture
def frames(folder: Path) -> Path:
    place = folder / "frames"
    place.mkdir()
    for number in range(12):
        Image.fromarray(striped(number)).save(place / f"{number}.png")
    return place


def test_frames_get_one_tile_each_beside_the_budget_of_pages(folder: Path, clip: Path) -> None:
    words = ["ask", folder / "a.png", clip, "What?", "--json", "--max-tiles", 6]
    alone = grids(run("ask", folder / "a.png", "What?", "--json", "--max-tiles", 6))
    assert grids(run(*words, "--frames", 3)) == [*alone, [1, 1], [1, 1], [1, 1]]
    assert len(grids(run(*words))) == 1 + 8


def test_a_part_of_a_video_is_asked_about(clip: Path) -> None:
    words = ["ask", clip, "What?", "--json", "--frames", 2]
    early = json.loads(run(*words, "--end", 1).stdout)["answer"]
    late = json.loads(run(*words, "--start", 3).stdout)["answer"]
    assert early != late
    result = run(*words, "--start", 30)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {clip} is 4.0 s long")


def test_a_folder_of_pictures_is_one_video_with_frames(frames: Path) -> None:
    assert grids(run("ask", frames, "What?", "--json", "--frames", 4)) == [[1, 1]] * 4
    chat = CliRunner().invoke(
        main, ["ask", str(frames), "--frames", "2", "--chat", "--model", "tiny"], input="What?\n"
    )
    assert chat.exit_code == 0, chat.stderr
    result = run("ask", frames, "What?")
    assert result.exit_code == 2
    assert "--out" in result.stderr


def test_a_folder_with_out_is_a_run_over_its_files(frames: Path, clip: Path) -> None:
    (frames / "clip.mkv").write_bytes(video("matroska", "libx264"))
    out = frames.parent / "answers.jsonl"
    result = run("ask", frames, "What?", "--out", out, "--frames", 3)
    assert result.exit_code == 0, result.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 13
    assert {Path(line["source"]).name: line["pages"] for line in lines}["clip.mkv"] == 3
    settings = [line.get("settings", {}) for line in lines]
    assert all(told.get("video_frames", 3) == 3 for told in settings)


def test_show_draws_frames(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiles.png"
    result = run("show", clip, "--frames", 3, "--pages", "1-3", "-o", out, "--no-estimate")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("1 x 1 = 1") == 3
    assert (tmp_path / "tiles-3.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--frames", 0], "0 frames of a video are asked for"),
        (["--start", -1], "the video is to start at -1 s"),
        (["--start", 2, "--end", 1], "the video is to end at 1 s and to start at 2 s"),
        (["--frames", 400], "400 frames are too many for the 2000 tokens that tiny holds at once"),
    ],
)
def test_what_cannot_be_is_one_sentence(words: list[object], said: str, clip: Path) -> None:
    result = run("ask", clip, "What?", *words)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {said}")
    assert result.stderr.count("\n") == 1
