"""Folders of stages: what goes when a stage begins again, and what stays."""

from __future__ import annotations

from pathlib import Path

from tilewise.corpus.stage_files import StageFolder


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_a_kill_left_half_written_is_swept_and_nothing_else(tmp_path: Path) -> None:
    whole = {"done-00003.json", "fetched-00007.log", "note.tmp"}
    for name in whole | {".done-00003.json.815.tmp", ".part-00001.jsonl.gz.9.tmp"}:
        (tmp_path / name).write_bytes(b"x")
    StageFolder(tmp_path).sweep()
    assert _names(tmp_path) == whole
    StageFolder(tmp_path / "nowhere").sweep()


def test_shards_that_are_no_more_go(tmp_path: Path) -> None:
    for name in ("done-00001.json", "part-00001.jsonl.gz", "done-00002.json", ".x.1.tmp"):
        (tmp_path / name).write_bytes(b"x")
    StageFolder(tmp_path).clear(shards_from=2)
    assert _names(tmp_path) == {"done-00001.json", "part-00001.jsonl.gz"}
