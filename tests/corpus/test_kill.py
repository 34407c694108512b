"""A run that is killed again and again ends as one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.corpus.golden_run import final_rows
from tests.goldens import golden_file
from tilewise.corpus.plan import load_run
from tilewise.shards.documents import line_of

pytestmark = [pytest.mark.slow, pytest.mark.golden]

KILLS = 20
ROOT = Path(__file__).parents[2]
SETTINGS = (
    "run.shard_bytes=300000",
    'output.forms=["jsonl","parquet"]',
    "output.image_files=false",
)


def started(out: Path, *more: str) -> subprocess.Popen[str]:
    archive = str(golden_file("omnicorpus", "golden.warc.gz"))
    options = [word for one in SETTINGS for word in ("--set", one)]
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tilewise",
            "corpus",
            "build",
            archive,
            "--out",
            str(out),
            "--workers",
            "2",
            *options,
            *more,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")},
    )


def finished(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said[-3000:]


def output(out: Path) -> dict[str, bytes]:
    """All that a run gives away: shards, indexes, the card."""
    files = [*out.glob("final*/*"), out / "README.md"]
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(files)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """The output of a run that nobody disturbs, and how long it took."""
    out, began = tmp_path_factory.mktemp("alone") / "run", time.monotonic()
    finished(started(out))
    return output(out), time.monotonic() - began


def test_twenty_kills_at_random_points_change_nothing(
    tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    wanted, took_s = undisturbed
    draw, kills, runs = random.Random(7), 0, 0
    while kills < KILLS:
        out, runs = tmp_path / f"run-{runs}", runs + 1
        while True:
            process = started(out)
            try:
                process.wait(draw.uniform(0.1, 0.5) * took_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                continue
            finished(process)
            break
        assert output(out) == wanted
        assert not list(out.rglob("*.tmp"))


def test_workers_killed_in_every_stage_change_nothing(
    tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    wanted, took_s = undisturbed
    out, draw, kills = tmp_path / "run", random.Random(8), 0
    process = started(out)
    while process.poll() is None:
        time.sleep(draw.uniform(0.08, 0.2) * took_s)
        workers = children(process.pid)
        if workers:
            os.kill(draw.choice(workers), signal.SIGKILL)
            kills += 1
    finished(process)
    assert kills > 3
    assert output(out) == wanted


def children(pid: int) -> list[int]:
    """Processes that a process has started and that work for it."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in listed if b"spawn_main" in _command(child)]


def _command(pid: str) -> bytes:
    try:
        return Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return b""


def test_a_damaged_marker_or_shard_is_made_anew(
    tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    wanted, _ = undisturbed
    out = tmp_path / "run"
    finished(started(out))
    rows = [line_of(row) for row in final_rows(load_run(out))]
    stages = out / "stages"
    (stages / "read" / "done-00001.json").write_text("{")
    part = stages / "prelim_text" / "part-00002.jsonl.gz"
    part.write_bytes(part.read_bytes()[:-20])
    (stages / "dedup" / "dropped-00003.jsonl.gz").unlink()
    (stages / "image" / "judged" / "part-00000.jsonl.gz").write_bytes(b"")
    shard = next((out / "final").glob("*.jsonl"))
    shard.write_bytes(shard.read_bytes().replace(b"a", b"b", 1))
    faults = verified(out)
    assert any("prelim_text, shard 2" in fault for fault in faults)
    assert any("read, shard 1" in fault for fault in faults)
    finished(started(out))
    assert verified(out) == ["All is whole."]
    assert output(out) == wanted
    assert rows == [line_of(row) for row in final_rows(load_run(out))]


def verified(out: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tilewise", "corpus", "verify", str(out)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == (0 if done.stdout.startswith("All") else 1), done.stderr
    return done.stdout.splitlines()
