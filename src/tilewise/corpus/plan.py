"""How inputs are cut into shards, and the file that says so: a run's frozen beginning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any, Final, Literal

from tilewise.corpus.config import CorpusConfig, RunConfig
from tilewise.corpus.crawl.read import extent, is_remote, remote_matches
from tilewise.corpus.stage_files import write_whole
from tilewise.errors import ConfigError, SourceError
from tilewise.settings import digest, plain, with_values

FORMAT: Final = 1
"""Of the run's folder; another number cannot be gone on with."""

RUN_FILE: Final = "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A range of one source.

    ``name`` is the source as it was given, ``path`` where it lies whatever the folder of the
    process; ``start`` and ``end`` count in ``unit``.
    """

    name: str
    path: str
    unit: Literal["bytes", "pages"]
    start: int
    end: int


Shard = tuple[Piece, ...]
"""What one task reads: a range of a large source, or several small ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run: its folder, its settings, its shards. Sent to every process."""

    root: Path
    cfg: CorpusConfig
    shards: tuple[Shard, ...]

    @property
    def settings(self) -> str:
        """The hash of the resolved settings, as every output holds it."""
        return digest(self.cfg.told())

    def folder(self, stage: str) -> Path:
        """Where a stage leaves its files."""
        return self.root / "stages" / stage


def find_inputs(words: Sequence[str]) -> tuple[str, ...]:
    """Sources by name: files, folders, URLs, and patterns, which stand for what they match.

    Raises:
        SourceError: a word names nothing.
    """
    found: dict[str, None] = {}
    for word in words:
        if is_remote(word):
            found |= dict.fromkeys(remote_matches(word))
            continue
        if Path(word).exists():
            found[word] = None
            continue
        matches = sorted(glob(word, recursive=True))  # noqa: PTH207 - a pattern may be absolute
        if not matches:
            raise SourceError(f"{word}: there is no such file, folder or pattern; check the path.")
        found |= dict.fromkeys(matches)
    return tuple(found)


def cut(inputs: Sequence[str], cfg: RunConfig) -> tuple[Shard, ...]:
    """Cut sources into shards, in their order; small neighbours share one.

    Raises:
        SourceError: a source cannot be read.
    """
    shards: list[Shard] = []
    open_pieces: list[Piece] = []
    share = 0.0
    for piece in (piece for name in inputs for piece in _pieces(name, cfg)):
        size = (piece.end - piece.start) / _most(piece.unit, cfg)
        if open_pieces and share + size > 1:
            shards.append(tuple(open_pieces))
            open_pieces, share = [], 0.0
        open_pieces.append(piece)
        share += size
    if open_pieces:
        shards.append(tuple(open_pieces))
    return tuple(shards)


def open_run(
    root: Path, inputs: Sequence[str], cfg: CorpusConfig, *, restart: bool = False
) -> tuple[Run, tuple[str, ...]]:
    """Begin a run, or go on with one; the settings and shards are written down.

    A run that is gone on with may have other settings: what they change is done again. It may have
    more sources, but none of those it began with may be missing.

    Returns:
        The run, and the settings that differ from those it had before, ``name old → new``.

    Raises:
        ConfigError: the folder holds a run over other sources, or something else.
        SourceError: a source cannot be read.
    """
    run = Run(root=root, cfg=cfg, shards=cut(inputs, cfg.run))
    if not run.shards:
        raise SourceError(
            "the sources hold no file to read; of a folder its HTML is read, archives are given "
            "by name, e.g. crawl/*.warc.gz."
        )
    file = root / RUN_FILE
    changes: tuple[str, ...] = ()
    if file.exists() and not restart:
        before = _read(file)
        gone = sorted(set(before["inputs"]) - set(inputs))
        if gone:
            raise ConfigError(
                f"{root} holds a run over other sources ({gone[0]} is not among those given); give "
                "them too, another --out, or --restart to begin anew."
            )
        changes = tuple(_changes(before["settings"], cfg.told()))
    elif root.is_dir() and not restart and any(p.name[0] != "." for p in root.iterdir()):
        raise ConfigError(f"{root} is not empty and holds no run; give another --out.")
    said = {
        "format": FORMAT,
        "settings_hash": run.settings,
        "settings": cfg.told(),
        "run": plain(cfg.run),
        "inputs": list(inputs),
        "shards": [[plain(piece) for piece in shard] for shard in run.shards],
    }
    write_whole(file, json.dumps(said, indent=1, ensure_ascii=False).encode())
    return run, changes


def load_run(root: Path) -> Run:
    """The run that a folder holds.

    Raises:
        ConfigError: it holds none, or one of another version.
    """
    said = _read(root / RUN_FILE)
    cfg = with_values(CorpusConfig(), {**said["settings"], "run": said["run"]})
    shards = tuple(tuple(Piece(**piece) for piece in shard) for shard in said["shards"])
    return Run(root=root, cfg=cfg, shards=shards)


def _read(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_bytes())
    except OSError as err:
        raise ConfigError(
            f"{file.parent} holds no run ({RUN_FILE} is missing); give the folder that tilewise "
            "corpus build was given as --out."
        ) from err
    except ValueError as err:
        raise ConfigError(f"{file} is damaged ({err}); begin anew with --restart.") from err
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise ConfigError(
            f"{file} is of another version of tilewise; give another --out, or --restart."
        )
    return said


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _changes(old, new, f"{prefix}{name}.")
        elif old != new:
            yield f"{prefix}{name} {json.dumps(old)} → {json.dumps(new)}"


def _pieces(name: str, cfg: RunConfig) -> Iterator[Piece]:
    """A source in ranges of about the same length, none longer than a shard may be."""
    found = extent(name)
    path = name if is_remote(name) else str(Path(name).absolute())
    count = -(-found.end // _most(found.unit, cfg))
    for i in range(count):
        start, end = found.end * i // count, found.end * (i + 1) // count
        yield Piece(name=name, path=path, unit=found.unit, start=start, end=end)


def _most(unit: str, cfg: RunConfig) -> int:
    return cfg.shard_bytes if unit == "bytes" else cfg.shard_pages
