"""Facts of all images of a part, each content decoded once, kept beside the part."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from tilewise.corpus.images.facts import Facts, ImageMeter
from tilewise.corpus.images.rules import ImageConfig
from tilewise.corpus.images.scorers import ImageScorers, scorers_of
from tilewise.corpus.images.store import part_rows, write_all
from tilewise.corpus.stage_files import writing
from tilewise.records import Pixels


def filters_off(cfg: ImageConfig, scorers: ImageScorers | None = None) -> Mapping[str, str]:
    """Filters that are not applied, by the name of their setting, and why.

    ``scorers`` as given to ``measure_part``; those of the settings if None.
    """
    off = {
        name: "switched off"
        for name in (
            "min_side", "max_aspect_ratio", "max_side", "max_pixels", "max_bytes",
            "min_aesthetic", "max_unsafe", "max_documents",
        )
        if getattr(cfg, name) is None
    }  # fmt: skip
    if not cfg.ad_words and not cfg.ad_names:
        off["ad_words"] = "switched off"
    for name, slot in (("min_aesthetic", "aesthetic"), ("max_unsafe", "unsafe")):
        if slot not in cfg.scorers and getattr(scorers, slot, None) is None:
            off.setdefault(name, "no scorer given")
    return off


def measure_part(
    folder: Path, name: str, cfg: ImageConfig, scorers: ImageScorers | None = None
) -> Counter[str]:
    """Find out about every content of a part what is not known yet.

    Args:
        folder, name: of the store and the part.
        cfg: what may be decoded, and the files of scorers.
        scorers: callables in their place.

    What was found is kept in ``<name>.facts``, a line for each content, and a run that is killed
    goes on from there. Facts found with other limits or scorers are found anew.

    Returns:
        How many were ``measured``, and how many of these failed by reason.

    Raises:
        ConfigError: the facts cannot be written.
    """
    scorers = scorers or scorers_of(cfg.scorers)
    path, counts = folder / f"{name}.facts", Counter[str]()
    known = _begin(path, _made_with(cfg, scorers))
    places = _unmeasured(folder / f"{name}.log", known)
    if not places:
        return counts
    meter = ImageMeter(cfg.decode_limits)
    try:
        with path.open("ab", buffering=0) as out, (folder / f"{name}.bytes").open("rb") as file:
            found = meter.draw_file(file, list(places.values()), scorers.drawn_side)
            for sha256, facts in zip(places, _scored(found, scorers), strict=True):
                with writing(path):
                    write_all(out, _line({"sha256": sha256} | _told(facts)))
                counts["measured"] += 1
                if facts.reason:
                    counts[facts.reason] += 1
            with writing(path):
                os.fsync(out.fileno())
    finally:
        meter.close()
    return counts


def read_facts(path: Path) -> Iterator[tuple[str, Facts, int]]:
    """SHA-256 of each content of a part, its facts, and where their line begins."""
    for row, begin in part_rows(path):
        if "sha256" in row:
            yield row["sha256"], facts_of(row), begin


def facts_of(row: Mapping[str, Any]) -> Facts:
    """Facts from their line."""
    return Facts(**{name: value for name, value in row.items() if name != "sha256"})


def _told(facts: Facts) -> dict[str, Any]:
    """Facts without what is as usual."""
    usual = asdict(Facts(kind=""))
    return {name: value for name, value in asdict(facts).items() if value != usual[name]}


def _made_with(cfg: ImageConfig, scorers: ImageScorers) -> dict[str, Any]:
    """What facts depend on."""
    has = [name for name in ("aesthetic", "unsafe") if getattr(scorers, name) is not None]
    limits = cfg.decode_limits
    made = {"max_pixels": limits.max_pixels, "max_side": limits.max_side, "scorers": has}
    return made | ({"side": scorers.side, "name": scorers.name} if has else {})


def _begin(path: Path, made: Mapping[str, Any]) -> set[str]:
    """Contents whose facts stand there; a file of other limits is begun anew, a torn row cut."""
    first, known, end = None, set(), 0
    if path.exists():
        for row, begin in part_rows(path):
            first = row if begin == 0 else first
            known |= {row["sha256"]} if "sha256" in row else set()
            end = begin + len(_line(row))
    if first != dict(made):
        with writing(path):
            path.write_bytes(_line(made))
        return set()
    os.truncate(path, end)
    return known


def _unmeasured(log: Path, known: set[str]) -> dict[str, tuple[int, int]]:
    """Places of contents whose facts are missing, by SHA-256, as they lie in the file."""
    places = {
        row["sha256"]: (row["offset"], row["size"])
        for row, _ in part_rows(log)
        if "sha256" in row and row["sha256"] not in known
    }
    return dict(sorted(places.items(), key=lambda item: item[1]))


_BATCH: Final = 16


def _scored(found: Iterable[tuple[Facts, Pixels | None]], scorers: ImageScorers) -> Iterator[Facts]:
    """Facts in their order, with scores where there are pixels to score."""
    if not scorers.drawn_side:
        yield from (facts for facts, _ in found)
        return
    batch: list[tuple[Facts, Pixels | None]] = []
    for pair in found:
        batch.append(pair)
        if len(batch) == _BATCH:
            yield from _scored_batch(batch, scorers)
            batch = []
    yield from _scored_batch(batch, scorers)


def _scored_batch(
    batch: Sequence[tuple[Facts, Pixels | None]], scorers: ImageScorers
) -> Iterator[Facts]:
    drawn = [pixels for _, pixels in batch if pixels is not None]
    aesthetic = iter(scorers.aesthetic(drawn) if scorers.aesthetic and drawn else [])
    unsafe = iter(scorers.unsafe(drawn) if scorers.unsafe and drawn else [])
    for facts, pixels in batch:
        if pixels is None:
            yield facts
            continue
        yield replace(
            facts,
            aesthetic=float(next(aesthetic)) if scorers.aesthetic else None,
            unsafe=float(next(unsafe)) if scorers.unsafe else None,
        )


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"
