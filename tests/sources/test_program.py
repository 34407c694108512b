"""What a program of others may use is held to, and what stopped it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.sources.office_making import RTF, needs_office
from tilewise.errors import SourceError
from tilewise.sources import office, program
from tilewise.sources.pages import open_source
from tilewise.sources.program import Limits, Outcome, run_program

MIB = 1 << 20

linux_only = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="no /proc")


def _run(code: str, folder: Path, limits: Limits) -> Outcome:
    return run_program([sys.executable, "-I", "-S", "-c", code], folder, limits)


def test_a_program_that_ends_gives_its_status_and_words(tmp_path: Path) -> None:
    outcome = _run(
        "print('words'); raise SystemExit(7)", tmp_path, Limits(seconds=20, memory_bytes=MIB << 9)
    )
    assert (outcome.code, outcome.stopped, outcome.output) == (7, "", "words\n")
    assert outcome.peak_bytes > MIB


@linux_only
def test_memory_that_is_reserved_and_not_used_does_not_count(tmp_path: Path) -> None:
    code = "import mmap; room = mmap.mmap(-1, 8 << 30, mmap.MAP_SHARED); print(len(room))"
    outcome = _run(code, tmp_path, Limits(seconds=20, memory_bytes=256 * MIB))
    assert (outcome.code, outcome.output) == (0, f"{8 << 30}\n")


@linux_only
def test_memory_of_a_program_and_its_children_together_has_a_limit(tmp_path: Path) -> None:
    code = "import os, time; os.fork(); os.fork(); room = b'x' * (90 << 20); time.sleep(30)"
    outcome = _run(code, tmp_path, Limits(seconds=60, memory_bytes=200 * MIB))
    assert outcome.stopped == "memory"
    assert 200 * MIB < outcome.peak_bytes < 450 * MIB


@linux_only
def test_one_process_never_gets_more_memory_than_the_limit(tmp_path: Path) -> None:
    outcome = _run("b'x' * (300 << 20)", tmp_path, Limits(seconds=60, memory_bytes=200 * MIB))
    assert "MemoryError" in outcome.output
    assert outcome.peak_bytes < 200 * MIB


def test_processor_time_has_a_limit_of_its_own(tmp_path: Path) -> None:
    limits = Limits(seconds=60, memory_bytes=256 * MIB, cpu_seconds=0.5)
    assert _run("while True: pass", tmp_path, limits).stopped == "processor"


@linux_only
def test_a_program_that_stands_still_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    limits = Limits(seconds=60, memory_bytes=256 * MIB, stall_seconds=1)
    assert _run("import time; time.sleep(60)", tmp_path, limits).stopped == "stalled"
    assert time.monotonic() - began < 30


@linux_only
def test_time_spent_waiting_for_a_processor_does_not_count(tmp_path: Path) -> None:
    """Three programs on one processor, each with 1 s of work and a limit of 1.6 s."""
    one = min(os.sched_getaffinity(0))
    code = (
        f"import os, time; os.sched_setaffinity(0, {{{one}}})\nwhile time.process_time() < 1: pass"
    )
    outcomes: list[Outcome] = []

    def run(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        outcomes.append(_run(code, folder, Limits(seconds=1.6, memory_bytes=256 * MIB)))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began > 2.5
    if time.monotonic() - began < 4.5:  # else the machine is busier than three times
        assert [outcome.stopped for outcome in outcomes] == ["", "", ""]


def test_a_guard_that_is_killed_is_told_from_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "guard.py"
    fake.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    monkeypatch.setattr(program, "_GUARD", fake)
    monkeypatch.setenv(office.PROGRAM_VARIABLE, "/bin/true")
    with pytest.raises(SourceError, match="could not be run here, or this system killed it"):
        open_source(RTF)


@needs_office
@linux_only
def test_a_file_that_needs_too_much_memory_is_told_from_a_damaged_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(office, "LIMITS", Limits(seconds=120, memory_bytes=40 * MIB))
    monkeypatch.setattr(office.open_office, "__kwdefaults__", {"limits": office.LIMITS})
    with pytest.raises(SourceError, match="needed over 40 MiB of memory"):
        open_source(RTF)


def test_a_disk_that_fills_up_is_told_from_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWISE_SOFFICE", "/bin/true")  # it ends well and writes nothing
    with pytest.raises(SourceError, match="it is damaged or locked"):
        open_source(RTF)
    monkeypatch.setattr(program, "_LITTLE_ROOM", 1 << 62)
    with pytest.raises(SourceError, match=r"needs room for temporary files, .* gives none"):
        open_source(RTF)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_folder_is_gone_though_tilewise_is_killed(number: signal.Signals, tmp_path: Path) -> None:
    code = (
        "import time; from tilewise.sources.program import work_folder\n"
        "with work_folder('a') as folder:\n"
        "    (folder / 'file').touch(); print('ready', flush=True); time.sleep(60)"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert len(list(tmp_path.glob("tilewise-*/file"))) == 1
        process.send_signal(number)
    ends = time.monotonic() + 20
    while list(tmp_path.iterdir()) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not list(tmp_path.iterdir())


def test_a_program_finds_the_tools_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    limits = Limits(seconds=20, memory_bytes=MIB << 9)
    outcome = run_program(["/bin/sh", "-c", "cat /dev/null && echo fine"], tmp_path, limits)
    assert (outcome.code, outcome.output) == (0, "fine\n")
