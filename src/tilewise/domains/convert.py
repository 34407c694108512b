"""A folder of raw files of one domain, as data to learn from and to be scored by.

What a file is, is told by its published name, wherever in the folder it lies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from tilewise.domains.bddx import read_bddx
from tilewise.domains.dior_rsvg import read_dior_rsvg
from tilewise.domains.drivelm import read_drivelm
from tilewise.domains.medical import read_captions, read_pmc_vqa
from tilewise.domains.record import Found, Split
from tilewise.domains.remote_sensing import read_fit_rs, read_geochat
from tilewise.domains.rsvqa import read_rsvqa
from tilewise.errors import ConfigError, DataError
from tilewise.shards.bad import BadConfig, BadList
from tilewise.shards.conversation import Bad

Domain = Literal["driving", "medical", "remote-sensing"]

META: Final = "meta.json"
"""What is to be learned from, in InternVL's form."""

TESTS: Final = "tests.json"
"""What is to be scored: a list of data sets, each with its file, its pictures and its task."""

STITCHED: Final = "stitched"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A published data set: what its files are called, and how they are read.

    ``patterns`` are names of files by what they are for; of several that fit, the first counts.
    ``task`` names the scorer, "" for none. ``is_stitched``: the reader writes pictures into the
    folder of the data and is given it. ``repeats``: how often it is seen. ``max_tiles``: of an
    image, None for what the run says.
    """

    name: str
    patterns: tuple[tuple[str, Split], ...]
    read: Callable[..., Iterator[Found]]
    task: str = ""
    is_stitched: bool = False
    repeats: int = 1
    max_tiles: int | None = None


SOURCES: Final[Mapping[Domain, tuple[Source, ...]]] = {
    "driving": (
        Source(
            name="drivelm",
            patterns=(("v1_*train_nus.json", "train"), ("v1_*val_nus*.json", "test")),
            read=read_drivelm,
            task="drivelm",
            is_stitched=True,
        ),
        Source(
            name="bddx",
            patterns=(("BDD_X_train*.json", "train"), ("BDD_X_test*.json", "test")),
            read=read_bddx,
            task="bddx",
            max_tiles=1,
        ),
    ),
    "medical": (
        Source(
            name="pmc-vqa",
            patterns=(("train*.csv", "train"), ("test*.csv", "test")),
            read=read_pmc_vqa,
            task="choice",
        ),
        Source(
            name="captions",
            patterns=(
                ("*caption*.csv", "train"),
                ("*oa*.jsonl", "train"),
                ("*caption*.json*", "train"),
            ),
            read=read_captions,
        ),
    ),
    "remote-sensing": (
        Source(name="geochat", patterns=(("GeoChat_Instruct*.json", "train"),), read=read_geochat),
        Source(
            name="rsvqa",
            patterns=(
                ("*_split_train_questions.json", "train"),
                ("*_split_test*_questions.json", "test"),
            ),
            read=read_rsvqa,
            task="rsvqa",
        ),
        Source(
            name="dior-rsvg",
            patterns=(("train.txt", "train"), ("test.txt", "test")),
            read=read_dior_rsvg,
            task="dior-rsvg",
            repeats=3,  # "several times" is all that is published
        ),
        Source(name="fit-rs", patterns=(("FIT-RS*.json*", "train"),), read=read_fit_rs),
    ),
}
"""Data sets by domain. Source: Mini-InternVL (arXiv 2410.16261), table of the domains' data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """One data set as it was written: a JSON Lines file, and the folder of its pictures."""

    name: str
    split: Split
    task: str
    file: Path
    root: Path
    count: int
    repeats: int = 1
    max_tiles: int | None = None


def convert(
    domain: Domain,
    raw: Path,
    out: Path,
    *,
    bad: BadConfig | None = None,
    progress: Progress | None = None,
) -> tuple[Converted, ...]:
    """Write all data sets of a domain that a folder holds.

    Args:
        domain: which.
        raw: folder with the published files, at any depth, pictures as they were unpacked.
        out: is made; gets a JSON Lines file for each data set and split, ``meta.json`` of those
            to learn from, ``tests.json`` of those to be scored, ``bad.jsonl``, and pictures that
            had to be made. Pictures that are as they should be stay where they are.
        bad: how many records may be bad.
        progress: told (data set, records, 0).

    Raises:
        ConfigError: ``raw`` is no folder or holds none of the domain's files.
        DataError: a file cannot be read or written, or too many records are bad.
    """
    if not raw.is_dir():
        raise ConfigError(
            f"{raw}: there is no such folder; give the one with the raw files (--raw)."
        )
    found = list(_found(domain, raw))
    if not found:
        names = ", ".join(p for source in SOURCES[domain] for p, _ in source.patterns)
        raise ConfigError(f"{raw}: holds no file of {domain} ({names}); check the folder (--raw).")
    try:
        (out / STITCHED).mkdir(parents=True, exist_ok=True)
        with closing(BadList(out / "bad.jsonl", bad)) as listed:
            made = tuple(
                _written(source, split, path, out, listed, progress)
                for source, split, path in found
            )
            listed.check()
        if not any((out / STITCHED).iterdir()):
            (out / STITCHED).rmdir()
        _write_json(out / META, meta_of(made, out))
        _write_json(out / TESTS, [_test(one, out) for one in made if one.split == "test"])
    except OSError as err:
        raise DataError(f"{out}: cannot be written ({err.strerror or err}); make room.") from err
    return made


def meta_of(made: tuple[Converted, ...], out: Path) -> dict[str, dict[str, Any]]:
    """The entries of a meta file for data sets to learn from; its paths start at ``out``."""
    return {
        one.name: {
            "root": os.path.relpath(one.root, out),
            "annotation": os.path.relpath(one.file, out),
            "data_augment": False,
            "repeat_time": one.repeats,
            "length": one.count,
            **({} if one.max_tiles is None else {"max_dynamic_patch": one.max_tiles}),
        }
        for one in made
        if one.split == "train" and one.count
    }


def _found(domain: Domain, raw: Path) -> Iterator[tuple[Source, Split, Path]]:
    """The published files in a folder, each by the first pattern that fits its name."""
    taken: set[Path] = set()
    for source in SOURCES[domain]:
        for pattern, split in source.patterns:
            for path in sorted(raw.rglob(pattern)):
                if path.is_file() and path not in taken:
                    taken.add(path)
                    yield source, split, path


def _written(
    source: Source,
    split: Split,
    path: Path,
    out: Path,
    listed: BadList,
    progress: Progress | None,
) -> Converted:
    stem = path.stem.removesuffix("_questions")
    name = source.name if stem in ("train", "test") else f"{source.name}-{stem}"
    read = (
        partial(source.read, path, out / STITCHED)
        if source.is_stitched
        else partial(source.read, path)
    )
    file, count = out / split / f"{name}.jsonl", 0
    file.parent.mkdir(exist_ok=True)
    with _replacing(file) as lines:
        for item in read():
            if isinstance(item, Bad):
                listed.add(item)
                continue
            lines.write(json.dumps(item.record(), ensure_ascii=False) + "\n")
            count += 1
            listed.add(good=1)
            if progress is not None and count % 100 == 0:
                progress(name, count, 0)
    root = out if source.is_stitched else path.parent
    return Converted(
        name=name,
        split=split,
        task=source.task,
        file=file,
        root=root.resolve(),
        count=count,
        repeats=source.repeats,
        max_tiles=source.max_tiles,
    )


def _test(one: Converted, out: Path) -> dict[str, Any]:
    return {
        "name": one.name,
        "task": one.task,
        "root": os.path.relpath(one.root, out),
        "annotation": os.path.relpath(one.file, out),
        "length": one.count,
    }


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """A text file that is there whole or, after an error, not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_json(path: Path, value: object) -> None:
    with _replacing(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
