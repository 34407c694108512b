"""From words of the command line to files: folders are walked, patterns expanded."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tilewise.errors import SourceError, TilewiseError
from tilewise.sources.addresses import is_address
from tilewise.sources.content import HEAD_BYTES, kind_of
from tilewise.sources.office_kinds import kind_inside
from tilewise.sources.pages import OPENERS, WEB_KINDS
from tilewise.sources.video import VIDEO_KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Files to ask about, each once, in order; and how many of which kind folders held besides."""

    names: tuple[str, ...]
    left_out: Mapping[str, int]


def find_files(words: Sequence[str], but: Path | None = None) -> Found:
    """Find the files that words name.

    A file or an address stands for itself. A folder stands for the files in it and below whose
    content tilewise reads, sorted; hidden ones are skipped, links to folders are not followed. A
    pattern (``scans/**/*.pdf``) stands for what it matches, sorted; folders among that are walked.

    Args:
        words: names of files and folders, patterns, addresses.
        but: a file to leave out, such as the one that answers go to.

    Raises:
        SourceError: a pattern matches nothing, or a folder holds nothing that can be read.
    """
    names: dict[str, None] = {}
    left_out: Counter[str] = Counter()
    skipped = None if but is None else but.resolve()
    for word in words:
        own = list(_expanded(word, skipped, left_out))
        if not own:
            raise SourceError(f"{word}: {_nothing(left_out)}; check the path.")
        names |= dict.fromkeys(own)
    return Found(names=tuple(names), left_out=dict(left_out))


def is_many(word: str) -> bool:
    """Whether a word may stand for several files: a folder, or a pattern that is no file's name."""
    try:
        path = Path(word)
        return path.is_dir() or (
            glob.has_magic(word) and not path.exists() and bool(_matches(word))
        )
    except (OSError, ValueError):  # longer than a path may be, or with a zero byte
        return False


def _expanded(word: str, skipped: Path | None, left_out: Counter[str]) -> Iterator[str]:
    path = Path(word)
    if is_address(word):
        yield word
    elif path.is_dir():
        yield from _walked(word, skipped, left_out)
    elif glob.has_magic(word) and not path.exists():
        for match in _matches(word):
            if Path(match).is_dir():
                yield from _walked(match, skipped, left_out)
            else:
                yield match
    else:
        yield word


def _matches(pattern: str) -> list[str]:
    """What a pattern matches, sorted; hidden files only where it says so."""
    parts = Path(pattern).parts
    plain = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    base, rest = Path(*parts[:plain]), parts[plain:]
    if not rest or not base.is_dir():
        return []
    is_hidden_wanted = any(part.startswith(".") for part in rest)
    found = (path.relative_to(base) for path in base.glob("/".join(rest)))
    shown = (path for path in found if is_hidden_wanted or not _is_hidden(path))
    return sorted(str(base / path) for path in shown)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _walked(folder: str, skipped: Path | None, left_out: Counter[str]) -> Iterator[str]:
    """Files in and below a folder; what cannot be listed or opened is there to be reported."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place) / name
            if name.startswith(".") or not path.is_file() or path.resolve() == skipped:
                continue
            kind = _kind(path)
            if kind is None or kind in OPENERS or kind in WEB_KINDS or kind in VIDEO_KINDS:
                yield str(path)
            else:
                left_out[kind] += 1


def _kind(path: Path) -> str | None:
    """Kind of a file; None where it is empty or cannot be read, which is an error of its own."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            file.seek(0)
            return kind_inside(file, kind_of(head), head, str(path)) if head else None
    except (OSError, TilewiseError):
        return None


def _nothing(left_out: Counter[str]) -> str:
    if not left_out:
        return "holds or matches no file"
    kinds = ", ".join(f"{count} of the kind {kind!r}" for kind, count in left_out.most_common(3))
    return f"holds no file that can be read, only {kinds}"
