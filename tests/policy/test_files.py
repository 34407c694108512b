"""The repository stays small, and so does each file of code in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_BYTES = 16 << 20
MAX_TOTAL_BYTES = 60 << 20
MAX_LINES = 400


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Files that git tracks; the test is skipped outside a checkout."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_a_tracked_file_is_under_16_mib(tracked: list[Path]) -> None:
    assert not [str(path) for path in tracked if path.stat().st_size >= MAX_FILE_BYTES]


def test_tracked_files_are_under_60_mib_together(tracked: list[Path]) -> None:
    assert sum(path.stat().st_size for path in tracked) < MAX_TOTAL_BYTES


def test_a_source_file_has_at_most_400_lines() -> None:
    files = (ROOT / "src").rglob("*.py")
    sizes = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert not {path: lines for path, lines in sizes.items() if lines > MAX_LINES}
