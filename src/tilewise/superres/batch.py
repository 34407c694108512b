"""Many pictures: which file goes where, and which are done already."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from tilewise.errors import ConfigError, DataError, SourceError
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.superres.enlargers import Enlarger
from tilewise.superres.output import ENDINGS, Format
from tilewise.superres.upscale import Upscaling

RECORD: Final = ".tilewise-upscale.jsonl"
"""In the folder of results: a line for each that was whole."""

_WRITTEN: Final = f"results are written as {', '.join(ENDINGS)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A picture, where its enlarged one goes, and in which format."""

    source: Path
    target: Path
    kind: Format


def single_job(source: Path, target: Path, ending: str | None = None) -> Job:
    """One picture to one file.

    Args:
        source, target: files.
        ending: that the target has to have, without a dot; None for any that is written.

    Raises:
        ConfigError: the target cannot be that file.
    """
    kind = ENDINGS.get(target.suffix.lower())
    if kind is None:
        raise ConfigError(
            f"{target}: the ending is {target.suffix!r}; {_WRITTEN}. A folder must be there "
            "already, or end with /."
        )
    if ending is not None and ENDINGS[f".{ending}"] != kind:
        raise ConfigError(f"{target}: the format is to be {ending}; leave out one of the two.")
    check_name(target)
    if target.is_dir():
        raise ConfigError(f"{target}: is a folder; give the name of a file.")
    if target.exists() and not target.is_file():
        raise ConfigError(f"{target}: is a device; give the name of a file.")
    if not target.resolve().parent.is_dir():
        raise ConfigError(f"{target}: its folder does not exist; make it first.")
    job = Job(source=source, target=target, kind=kind)
    _check_apart([job])
    return job


def folder_jobs(
    found: Sequence[tuple[Path, Path]], folder: Path, suffix: str = "", ending: str | None = None
) -> tuple[Job, ...]:
    """Pictures to files in a folder.

    Args:
        found: pictures, and the name of each below the folder.
        folder: where to; made if it is not there.
        suffix: put after the names.
        ending: of the files, without a dot; None keeps that of each picture where it is written
            and agrees with the content, and takes png for others.

    Raises:
        ConfigError: two results would have one name, or one would replace a picture.
        DataError: the folder cannot be made.
    """
    if set(suffix) & {"/", "\\", "\0"}:
        raise ConfigError(f"the suffix is {suffix!r}; signs that names of files have are allowed.")
    check_name(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; several pictures need a folder.")
    work = []
    for source, name in found:
        own = f".{ending}" if ending else _ending(source)
        target = folder / name.with_name(f"{name.stem}{suffix}{own}")
        check_name(target)
        work.append(Job(source=source, target=target, kind=ENDINGS[own.lower()]))
    _check_apart(work)
    try:
        for place in {folder, *(job.target.parent for job in work)}:
            place.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise DataError(
            f"{folder}: the folder cannot be made ({err.strerror}); choose another."
        ) from err
    return tuple(work)


def _ending(source: Path) -> str:
    try:
        with source.open("rb") as file:
            kind = kind_of(file.read(HEAD_BYTES))
    except OSError:
        kind = ""
    if ENDINGS.get(source.suffix.lower()) == kind:
        return source.suffix
    return next((ending for ending, one in ENDINGS.items() if one == kind), ".png")


def _check_apart(work: Sequence[Job]) -> None:
    """See that no result replaces a picture or another result."""
    sources = {job.source.resolve() for job in work}
    targets: dict[str, Path] = {}
    for job in work:
        place = job.target.resolve()
        if place in sources or _is_one_of(job.target, job.source):
            raise ConfigError(
                f"{job.target}: is a picture that is to be enlarged; give another output, or a "
                "--suffix."
            )
        key = str(place).casefold()  # many file systems take names so
        if key in targets:
            raise ConfigError(
                f"{job.source} and {targets[key]} would both be written to {job.target}; enlarge "
                "them into different folders."
            )
        targets[key] = job.source


def _is_one_of(target: Path, source: Path) -> bool:
    try:
        return target.samefile(source)
    except OSError:
        return False


def check_name(path: Path) -> None:
    """Raises ConfigError where the system cannot have a file or folder of that name."""
    reason: str | None = "its name is too long" if len(os.fsencode(path.name)) > 255 else None
    try:
        path.exists()
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else str(err)
    if reason is not None:
        raise ConfigError(f"{path}: cannot be written ({reason}); give another name.")


def results_in(folder: Path) -> set[Path]:
    """Files that earlier runs made in a folder; they are no pictures to be enlarged again."""
    return {(folder / name).resolve() for name in _lines(folder / RECORD)}


def _lines(path: Path) -> dict[str, list[object]]:
    """What a record says, by name of the result; a line that a kill cut is not there."""
    found: dict[str, list[object]] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                one = json.loads(line)
                found[str(one["name"])] = list(one["facts"])
            except (ValueError, TypeError, KeyError):
                continue
    return found


class Record:
    """Which results of a folder are whole, and what they were made of and how.

    A line is written before its file gets its name: a file is there with its line or not at all.
    """

    def __init__(self, folder: Path | None, enlarger: Enlarger, settings: Upscaling) -> None:
        """Read what is there; a folder of None keeps nothing."""
        self._path = None if folder is None else folder / RECORD
        how = asdict(settings) | {
            "memory_bytes": 0,
            "tile": 0,
            "enlarger": [enlarger.name, enlarger.scale, getattr(enlarger, "digest", "")],
        }
        self._how = sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:16]
        self._done = {} if self._path is None else _lines(self._path)

    def has(self, job: Job) -> bool:
        """Whether this very result of this very picture is there, whole."""
        if self._path is None or not job.target.is_file():
            return False
        facts = self._done.get(self._name(job))
        return facts == [*self._facts(job), job.target.stat().st_size]

    def check_free(self, work: Sequence[Job]) -> None:
        """Raises ConfigError where a file is there that is no such result."""
        there = [job.target for job in work if job.target.exists() and not self.has(job)]
        if there:
            more = f", and {len(there) - 1} more" if len(there) > 1 else ""
            raise ConfigError(
                f"{there[0]}{more}: there already; choose another output, or say --overwrite."
            )

    def add(self, job: Job, size: int) -> None:
        """Note a result of ``size`` bytes that is whole and about to get its name.

        Raises:
            DataError: it cannot be noted.
        """
        if self._path is None:
            return
        line = json.dumps({"name": self._name(job), "facts": [*self._facts(job), size]})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as err:
            raise DataError(
                f"{self._path}: cannot be written ({err.strerror}); make room."
            ) from err

    def _name(self, job: Job) -> str:
        assert self._path is not None
        return os.path.relpath(job.target, self._path.parent)

    def _facts(self, job: Job) -> list[object]:
        try:
            stat = job.source.stat()
        except OSError as err:
            raise SourceError(f"{job.source} cannot be read ({err.strerror}).") from err
        return [stat.st_size, stat.st_mtime_ns, self._how]
