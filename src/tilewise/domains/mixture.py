"""General data beside a domain's, so that a model stays general while it learns the domain."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilewise.domains.read import read_json
from tilewise.errors import ConfigError, DataError

Meta = Mapping[str, Mapping[str, Any]]
"""Data sets by name, in the form of InternVL's meta files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixing:
    """How much general data: ``ratio`` of general to domain samples, or ``share`` of each set.

    One of the two is given. With a ratio all general sets are cut, or repeated, alike.
    """

    ratio: float | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.ratio, self.share) if value is not None]
        if len(given) != 1 or given[0] < 0:
            raise ConfigError(
                f"the mixture has ratio {self.ratio} and share {self.share}; give one of the two, "
                "0 or more."
            )


def mixed(domain: Meta, general: Meta, cfg: Mixing) -> dict[str, dict[str, Any]]:
    """One meta file of both; general sets come with the ``repeat_time`` that the mixture asks for.

    Above 1 a set can only be repeated whole, so that the ratio is met as nearly as that allows.
    Ratio or share 0 leaves the general sets out.

    Raises:
        ConfigError: a name is in both.
        DataError: an entry does not say how many samples it has.
    """
    twice = sorted(domain.keys() & general.keys())
    if twice:
        raise ConfigError(f"{', '.join(twice)} is a data set of both metas; rename one of them.")
    share = cfg.share
    if share is None:
        assert cfg.ratio is not None, "a mixture has one of the two"
        wanted = cfg.ratio * sum(_samples(name, entry) for name, entry in domain.items())
        there = sum(_samples(name, entry) for name, entry in general.items())
        share = wanted / there if there else 0.0
    made = {name: dict(entry) for name, entry in domain.items()}
    if share <= 0:
        return made
    for name, entry in general.items():
        times = share * _times(name, entry)
        made[name] = {**entry, "repeat_time": times if times <= 1 else max(1, round(times))}
    return made


def read_meta(path: Path, start: Path) -> dict[str, dict[str, Any]]:
    """Entries of a meta file, with paths as they are from another folder.

    Args:
        path: the meta file; its paths start at its own folder.
        start: folder of the meta file that the entries go into.

    Raises:
        DataError: it cannot be read, or is no meta file.
    """
    value = read_json(path)
    if not isinstance(value, Mapping) or not all(
        isinstance(entry, Mapping) and isinstance(entry.get("annotation"), str)
        for entry in value.values()
    ):
        raise DataError(
            f"{path}: is no meta file, whose data sets each have an annotation; check it."
        )
    return {name: _moved(entry, path.parent, start) for name, entry in value.items()}


def write_meta(path: Path, meta: Meta) -> None:
    """Write a meta file whole; raises DataError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps(meta, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as err:
        raise DataError(f"{path}: cannot be written ({err.strerror}); make room.") from err


def _moved(entry: Mapping[str, Any], old: Path, new: Path) -> dict[str, Any]:
    paths = {name: entry.get(name, "") for name in ("root", "annotation")}
    moved = {name: os.path.relpath(old / str(said), new) for name, said in paths.items()}
    return {**entry, **moved}


def _samples(name: str, entry: Mapping[str, Any]) -> float:
    length = entry.get("length")
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise DataError(f"{name}: length is {length!r}; the mixture needs its number of samples.")
    return length * _times(name, entry)


def _times(name: str, entry: Mapping[str, Any]) -> float:
    times = entry.get("repeat_time", 1)
    if isinstance(times, bool) or not isinstance(times, int | float) or times <= 0:
        raise DataError(f"{name}: repeat_time is {times!r}; a number above 0 is needed.")
    return float(times)
