"""What people say of rules on sampled documents: one line of JSON a label, only ever appended."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from tilewise.errors import DataError

ALL_RULES: Final = "*"
"""Stands for every rule that did nothing to a document."""

_LONGEST: Final = {"rule": 64, "document": 64, "url": 4_096, "text": 2_000, "note": 2_000, "at": 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One judgement of one rule on one document or block.

    ``fired`` is what the rule did, ``is_right`` whether it should have: a rule that fired and is
    not right was a false alarm, one that did not fire and is not right missed something.
    ``block`` is the block's position, None for the whole document. With the rule ``ALL_RULES``
    nothing else should have been removed from the document, by any rule not in ``rules_fired``.
    """

    document: str
    rule: str
    fired: bool
    is_right: bool
    block: int | None = None
    url: str = ""
    text: str = ""
    rules_fired: tuple[str, ...] = ()
    note: str = ""
    at: str = ""


def label_of(row: object) -> Label:
    """The label of a row of JSON.

    Raises:
        DataError: it is no label: a field is missing, unknown, of another type or too long.
    """
    if not isinstance(row, Mapping):
        raise DataError(f"a label is a {type(row).__name__}; an object is needed.")
    known = {one.name for one in fields(Label)}
    if unknown := sorted(set(map(str, row)) - known):
        raise DataError(f"a label has no field {unknown[0]!r:.40}; known are {sorted(known)}.")
    for name in ("document", "rule", "fired", "is_right"):
        if name not in row:
            raise DataError(f"a label lacks {name!r}.")
    values: dict[str, Any] = dict(row)
    for name, most in _LONGEST.items():
        value = values.get(name, "")
        if not isinstance(value, str) or len(value) > most:
            raise DataError(f"{name!r} of a label is {value!r:.40}; a text of at most {most}.")
    for name in ("fired", "is_right"):
        if not isinstance(values[name], bool):
            raise DataError(f"{name!r} of a label is {values[name]!r:.40}; true or false.")
    block, rules = values.get("block"), values.get("rules_fired", ())
    if block is not None and (isinstance(block, bool) or not isinstance(block, int) or block < 0):
        raise DataError(f"'block' of a label is {block!r:.40}; a position from 0 up, or null.")
    if not isinstance(rules, (list, tuple)) or not all(isinstance(one, str) for one in rules):
        raise DataError(f"'rules_fired' of a label is {rules!r:.40}; a list of names.")
    return Label(**{**values, "rules_fired": tuple(rules)})


def append_label(path: Path, label: Label) -> None:
    """Write a label behind those that are there, and bring it to the disk.

    Raises:
        DataError: it cannot be written.
    """
    line = json.dumps(asdict(label), ensure_ascii=False, separators=(",", ":")) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:  # one write of a whole line
            if file.tell() and not _ends_with_newline(path):
                line = "\n" + line  # what a kill left torn stays a line of its own
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as err:
        raise DataError(
            f"{path} cannot be written ({err.strerror}); check disk and rights."
        ) from err


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def read_labels(path: Path) -> tuple[list[Label], int]:
    """The labels of a file, and how many of its lines are none.

    Raises:
        DataError: it cannot be read.
    """
    labels, bad = [], 0
    try:
        data = path.read_bytes()
    except OSError as err:
        raise DataError(f"{path} cannot be read ({err.strerror}); check the path.") from err
    for line in data.splitlines():
        try:
            labels.append(label_of(json.loads(line)))
        except (ValueError, DataError):
            bad += bool(line.strip())
    return labels, bad


def latest(labels: Iterable[Label]) -> list[Label]:
    """One label for each document, block, rule and kind of question: the last given."""
    return list({(one.document, one.block, one.rule, one.fired): one for one in labels}.values())
