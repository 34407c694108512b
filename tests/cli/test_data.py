"""``tilewise data`` on small files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.shards.making import record, save_picture, write_lines
from tilewise.cli.main import main


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight samples, of which one is broken, one misses its image and one has a damaged one."""
    monkeypatch.chdir(tmp_path)
    for n in range(5):
        save_picture(tmp_path / "img" / f"{n}.png", 400 * (1 + n), 300, seed=n)
    (tmp_path / "img" / "cut.png").write_bytes((tmp_path / "img" / "4.png").read_bytes()[:5_000])
    lines = [record(str(n), f"{n}.png", "<image>q", "word " * 2**n) for n in range(5)]
    lines += [record("cut", "cut.png"), record("gone", "gone.png")]
    write_lines(tmp_path / "a.jsonl", lines)
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("{broken\n")
    listing = {"all": {"annotation": "a.jsonl", "root": "img", "length": 9}}
    (tmp_path / "meta.json").write_text(json.dumps(listing))
    return tmp_path


@pytest.mark.parametrize("workers", ["0", "2"])
def test_check_counts_reasons_lists_bad_samples_and_fails(place: Path, workers: str) -> None:
    done = CliRunner().invoke(main, ["data", "check", "meta.json", "--workers", workers])
    assert done.exit_code == 1
    first, second = done.stdout.splitlines()
    assert first == (
        "all: 8 samples, 3 bad (damaged image 1, missing image 1, unreadable record 1), "
        "5 images in good ones"
    )
    assert second == "  its length is said to be 9"
    assert done.stderr == (
        "Error: 3 of 8 samples are bad (damaged image 1, missing image 1, unreadable record 1), "
        "and at most 0.00% may be; bad.jsonl lists them. Correct the data, or allow a larger "
        "share.\n"
    )
    rows = [json.loads(line) for line in (place / "bad.jsonl").read_text().splitlines()]
    assert [row["where"] for row in rows] == [f"a.jsonl:{n}" for n in (6, 7, 8)]
    assert "is no JSON" in rows[2]["detail"]


def test_check_allows_a_share_and_finds_images_under_another_root(place: Path) -> None:
    argv = ["data", "check", "a.jsonl", "--root", "img", "--max-bad", "0.4", "--bad", "x/b.jsonl"]
    done = CliRunner().invoke(main, argv)
    assert done.exit_code == 0, done.output
    assert len((place / "x" / "b.jsonl").read_text().splitlines()) == 3


def test_files_that_cannot_be_opened_are_told_together(place: Path) -> None:
    (place / "empty.jsonl").write_text("")
    done = CliRunner().invoke(main, ["data", "check", "gone.jsonl", "empty.jsonl", "a.jsonl"])
    assert done.exit_code == 1
    assert "gone.jsonl cannot be read" in done.stderr
    assert "empty.jsonl is empty" in done.stderr


def test_stats_count_tokens_tiles_and_missing_images(place: Path) -> None:
    done = CliRunner().invoke(main, ["data", "stats", "meta.json", "--max-tiles", "6"])
    assert done.exit_code == 0, done.output
    head, name, tokens, *rest = done.stdout.splitlines()
    assert "bytes" in head
    assert name == "all: 8 samples, 1 bad, 7 images, 1 missing"
    assert tokens.startswith("  tokens: ")
    at = next(n for n, line in enumerate(rest) if "tiles:" in line)
    # 400 x 300 to 2000 x 300 px: 3 x 2, 3, 4, 5 and 6 tiles, and a whole page each; the damaged
    # image, whose header is whole, like the last
    assert rest[at] == "  tiles: 36 in all; least 0, median 6, 95 % 7, most 7"
    assert [line.split()[-1] for line in rest[at + 1 :]] == ["1", "0", "0", "6"]


def test_stats_of_a_model_count_its_tokens(place: Path) -> None:
    root = Path(__file__).parents[1] / "golden" / "ixc2-4khd" / "tiny"
    if not root.is_dir():
        pytest.skip("no golden model")
    done = CliRunner().invoke(main, ["data", "stats", "meta.json", "--model", str(root)])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("all: 8 samples")
    odd = CliRunner().invoke(main, ["data", "stats", "meta.json", "--model", "tilewise-nano"])
    assert odd.exit_code == 1
    assert "learn from conversations" in " ".join(odd.stderr.split())
