"""A run on Ray leaves what a run on this machine leaves, whatever dies."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.corpus.golden_run import SHARD_BYTES
from tests.goldens import golden_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.golden,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
]

ROOT = Path(__file__).parents[2]


def test_two_nodes_one_of_them_killed_leave_what_one_process_leaves(tmp_path: Path) -> None:
    program = Path(__file__).with_name("two_nodes.py")
    archive = golden_file("omnicorpus", "golden.warc.gz")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), str(archive)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("equal, after a node was killed")


def test_a_ray_worker_killed_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    archive = str(golden_file("omnicorpus", "golden.warc.gz"))
    temporary = tempfile.mkdtemp()  # short: Ray's sockets lie deep inside
    outputs = []
    for runner in ("local", "ray"):
        out = tmp_path / runner
        words = ["--runner", runner, "--workers", "2", "--set", f"run.shard_bytes={SHARD_BYTES}"]
        words += ["--set", "output.image_files=false"]
        run = subprocess.Popen(
            [sys.executable, "-m", "tilewise", "corpus", "build", archive, "--out", out, *words],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT / "src"),
                "TMPDIR": temporary,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        kills = _kill_workers(run, out, temporary) if runner == "ray" else 1
        said, _ = run.communicate(timeout=1200)
        assert run.returncode == 0, said[-3000:]
        assert kills
        files = [*out.glob("final/*"), *out.glob("stages/*/part-*"), out / "README.md"]
        outputs.append({str(p.relative_to(out)): p.read_bytes() for p in sorted(files)})
    assert outputs[0] == outputs[1]
    Path(temporary).rmdir()  # it is empty


def _kill_workers(run: subprocess.Popen[str], out: Path, temporary: str) -> int:
    """Kill a process of Ray that works, in each of two stages."""
    kills = 0
    for stage in ("extract", "prelim_text"):
        while run.poll() is None and not list((out / "stages" / stage).glob("done-*")):
            time.sleep(0.02)
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and _is_task(process):
                os.kill(int(process.name), signal.SIGKILL)
                kills += 1
                break
    return kills


def _is_task(process: Path) -> bool:
    """Whether a process is one of Ray's that works on a task of this run's."""
    try:
        return (process / "cmdline").read_bytes().startswith(b"ray::_done")
    except OSError:
        return False
