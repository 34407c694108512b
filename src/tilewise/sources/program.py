"""Programs of others, run on data from outside: with limits, and with nothing left behind.

Every run has a folder of its own, a time limit, a memory limit and an environment without the
user's variables. ``guard`` stands between, so that the program and its children end with it
even when tilewise is killed.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tilewise.errors import MissingExtraError, SourceError

_GUARD: Final = Path(__file__).with_name("guard.py")
_MOST_WAITING: Final = 3  # guard.MOST_WAITING, which only that program imports
_GRACE_S: Final = 10.0
_OUTPUT_BYTES: Final = 4000
_LITTLE_ROOM: Final = 16 << 20
_SWEEP: Final = """read -r _
for pause in 1 1 2 5; do
    sleep "$pause"  # for what still ends and writes
    rm -rf -- "$1"
    [ -e "$1" ] || exit
done"""
_PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "FONTCONFIG_FILE", "FONTCONFIG_PATH")


Stopped = Literal["", "time", "stalled", "processor", "memory", "guard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may use, with all its children.

    ``seconds`` is time that goes by, less what is spent waiting for a processor that others hold,
    and at most three times as much in all. ``memory_bytes`` is what is written to. ``file_bytes``
    is the largest file that it may write. ``cpu_seconds`` is ``seconds`` if None.
    A program that neither computes nor waits for a processor for ``stall_seconds`` has come to
    a stand; only Linux tells that, and the memory of children.
    """

    seconds: float
    memory_bytes: int
    file_bytes: int = 1 << 30
    cpu_seconds: float | None = None
    stall_seconds: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a program ended, and the last of what it printed.

    ``code`` is its exit status, minus the signal that ended it, or None where that is not known.
    ``stopped`` is the limit for which it was stopped: "time", "stalled" (nothing went on),
    "processor" or "memory"; "guard" if it could not be watched; else empty.
    ``peak_bytes`` is the most memory seen.
    """

    code: int | None
    output: str
    stopped: Stopped
    peak_bytes: int = 0
    cpu_seconds: float = 0.0


def find_program(names: Sequence[str], variable: str, install: str) -> str:
    """Path of a program: what the environment variable names, else the first name on PATH.

    Args:
        names: usual names of the program.
        variable: environment variable that may name another, by path or by name.
        install: how to get it, for the message, e.g. "install libreoffice (Debian: ...)".

    Raises:
        MissingExtraError: there is none; the text says what to install.
    """
    named = os.environ.get(variable)
    for name in [named] if named else names:
        path = shutil.which(name)
        if path is not None:
            return str(Path(path).absolute())
    if named:
        raise MissingExtraError(
            f"{variable} is {named!r}, which is no program that can be run; give its full path, "
            f"or {install}."
        )
    raise MissingExtraError(f"{names[0]} is not on the PATH; {install}, or name it in {variable}.")


@contextmanager
def passing_folder(prefix: str, parent: str | None = None) -> Iterator[Path]:
    """A temporary folder that is gone afterwards, even if this process is killed.

    Raises:
        OSError: it cannot be made.
    """
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=parent, ignore_cleanup_errors=True
    ) as folder:
        if os.name != "posix":
            yield Path(folder)
            return
        with subprocess.Popen(
            ["/bin/sh", "-c", _SWEEP, "sh", folder],
            stdin=subprocess.PIPE,  # never written to: it closes when this process ends
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as sweeper:
            try:
                yield Path(folder)
            finally:
                sweeper.kill()


@contextmanager
def work_folder(name: str) -> Iterator[Path]:
    """A ``passing_folder`` for work on the source of that name.

    Raises:
        SourceError: there is no room for it, or for what is written in the ``with`` block.
    """
    try:
        with passing_folder("tilewise-") as folder:
            yield folder
    except OSError as err:
        if err.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOENT):
            raise
        raise SourceError(
            f"{name} needs room for temporary files, and {tempfile.gettempdir()} gives none "
            f"({err.strerror}); free some, or set TMPDIR to another folder."
        ) from err


def run_program(argv: Sequence[str], folder: Path, limits: Limits) -> Outcome:
    """Run a program in ``folder``, which becomes its HOME and TMPDIR too.

    Whatever happens, it and its children have ended when this returns.

    Raises:
        OSError: with errno ENOSPC where the disk is full afterwards and the program failed.
    """
    order = {
        "argv": list(argv),
        "folder": str(folder),
        "seconds": limits.seconds,
        "cpu_seconds": limits.seconds if limits.cpu_seconds is None else limits.cpu_seconds,
        "stall_seconds": limits.stall_seconds,
        "memory_bytes": limits.memory_bytes,
        "file_bytes": limits.file_bytes,
    }
    log = folder / "output.txt"
    command = [sys.executable, "-I", "-S", str(_GUARD), json.dumps(order)]
    with log.open("wb") as output:
        guard = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=environment(folder),
            start_new_session=True,  # Ctrl-C is for tilewise, which then closes the pipe
        )
        verdict = _verdict(guard, _MOST_WAITING * limits.seconds + _GRACE_S)
    if verdict["code"] != 0:
        check_room(folder)
    tail = log.read_bytes()[-_OUTPUT_BYTES:].decode(errors="replace")
    return Outcome(output=tail, **verdict)


def check_room(folder: Path) -> None:
    """For a program that failed: raise OSError (ENOSPC) where it lacked room on the disk."""
    if shutil.disk_usage(folder).free < _LITTLE_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def why_stopped(outcome: Outcome, limits: Limits) -> str:
    """Words that go on from the program's name, for one that was stopped."""
    cpu_s = limits.seconds if limits.cpu_seconds is None else limits.cpu_seconds
    return {
        "time": f"needed over {limits.seconds:g} s and was stopped",
        "stalled": "stood still and was stopped",
        "processor": f"needed over {cpu_s:.0f} s of processor time and was stopped",
        "memory": f"needed over {limits.memory_bytes >> 20} MiB of memory and was stopped",
        "guard": "could not be run, or was killed by this system",
        "": "ended by itself",
    }[outcome.stopped]


def _verdict(guard: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    """What the guard says at its end; a guard that does not end in time is killed."""
    assert guard.stdin is not None  # both are pipes
    assert guard.stdout is not None
    with guard.stdout, guard.stdin:
        try:
            _ended(guard, seconds)
        finally:
            guard.stdin.close()
            _ended(guard, _GRACE_S)
        try:
            return dict(json.loads(guard.stdout.read()))
        except ValueError:  # nothing, if it was killed or fails by itself
            return {"code": None, "stopped": "guard"}


def _ended(guard: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        guard.wait(seconds)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()


def environment(folder: Path) -> dict[str, str]:
    """What a program may know of the user's variables; its home is ``folder``."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # programs may be scripts, which need the system's own tools
    kept["PATH"] = os.pathsep.join([kept.get("PATH", ""), os.defpath]).lstrip(os.pathsep)
    return kept | {"HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"}
