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
from typing import Final

from tilewise.errors import MissingExtraError, SourceError

_GUARD: Final = Path(__file__).with_name("guard.py")
_OVER_TIME: Final = 124  # guard.OVER_TIME, which only that program imports
_GRACE_S: Final = 10.0
_OUTPUT_BYTES: Final = 4000
_LITTLE_ROOM: Final = 16 << 20
_PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "FONTCONFIG_FILE", "FONTCONFIG_PATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may use: wall time; of each process address space and processor time.

    ``file_bytes`` is the largest file that it may write. ``cpu_seconds`` is ``seconds`` if None.
    """

    seconds: float
    memory_bytes: int
    file_bytes: int = 1 << 30
    cpu_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a program ended, and the last of what it printed."""

    code: int
    output: str
    is_over_time: bool


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
def work_folder(name: str) -> Iterator[Path]:
    """A temporary folder that is gone afterwards, whatever happens.

    Raises:
        SourceError: there is no room for what is written in the ``with`` block.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="tilewise-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
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
        "memory_bytes": limits.memory_bytes,
        "file_bytes": limits.file_bytes,
    }
    log = folder / "output.txt"
    command = [sys.executable, "-I", "-S", str(_GUARD), json.dumps(order)]
    with log.open("wb") as output:
        guard = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(folder),
            start_new_session=True,  # Ctrl-C is for tilewise, which then closes the pipe
        )
        try:
            code = _ended(guard, limits.seconds + _GRACE_S)
        finally:
            assert guard.stdin is not None  # it is a pipe
            guard.stdin.close()
            _ended(guard, _GRACE_S)
    if code != 0 and shutil.disk_usage(folder).free < _LITTLE_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    tail = log.read_bytes()[-_OUTPUT_BYTES:].decode(errors="replace")
    return Outcome(code=code, output=tail, is_over_time=code == _OVER_TIME)


def _ended(guard: subprocess.Popen[bytes], seconds: float) -> int:
    """Exit status; a guard that does not end in time is killed."""
    try:
        return guard.wait(seconds)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()
        return _OVER_TIME


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return kept | {"HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"}
