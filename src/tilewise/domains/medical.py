"""Medical pictures: PMC-VQA's multiple choice, and pictures with captions.

Layout of PMC-VQA: CSV files with ``Figure_path``, ``Question``, ``Choice A`` to ``Choice D`` and
the answer. The releases differ: the choices begin with their letter (`` A:``) or do not, and the
answer is a letter or the text of a choice, under ``Answer``, ``Anwser`` or ``Answer_label``; all
are read. Pictures lie in ``images``, ``figures`` or beside the file.

Captions, as of PMC-OA: JSON Lines or a list of ``image`` and ``caption``, or CSV with these
columns. Other sets of the published mixture (Quilt-1M, MedICaT and others) can be brought into that
form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tilewise.domains.read import read_list, read_rows
from tilewise.domains.record import Conversation, Found, is_inside, missing, no_file, unreadable
from tilewise.domains.regions import LETTERS, multiple_choice

FOLDERS: Final = ("images", "figures", "")
CHOICES: Final = ("Choice A", "Choice B", "Choice C", "Choice D")
ANSWERS: Final = ("Answer_label", "Answer", "Anwser")

DESCRIBE: Final = "Describe this medical picture."

_LETTERED: Final = re.compile(r"^\s*\(?([A-D])\)?\s*[:.)]\s*")


def read_pmc_vqa(path: Path) -> Iterator[Found]:
    """Multiple-choice questions of a PMC-VQA file.

    Raises:
        DataError: the file cannot be read, or has not the columns.
    """
    for number, (line, row) in enumerate(read_rows(path)):
        if number == 0:
            _check_columns(path, row)
        where = f"{path}:{line}"
        choices = [_LETTERED.sub("", row[name]).strip() for name in CHOICES]
        answer = _letter(row, choices)
        image = _image(path.parent, row["Figure_path"].strip())
        if image is None:
            yield missing(where, row["Figure_path"])
        elif not row["Question"].strip() or not all(choices):
            yield unreadable(where, "the question or a choice is empty")
        elif answer is None:
            yield unreadable(where, "the answer is none of the choices")
        else:
            yield Conversation(
                id=f"{path.stem}-{number}",
                pairs=((multiple_choice(row["Question"].strip(), choices), answer),),
                images=(image,),
                notes={"kind": "choice", "choices": choices, "answer": answer},
            )


def read_captions(path: Path) -> Iterator[Found]:
    """Pictures with captions.

    Raises:
        DataError: the file cannot be read.
    """
    for number, (where, row) in enumerate(_captioned(path)):
        name = row.get("image") if isinstance(row, Mapping) else None
        caption = row.get("caption") if isinstance(row, Mapping) else None
        if not isinstance(name, str) or not isinstance(caption, str) or not caption.strip():
            yield unreadable(where, "image and caption are needed")
            continue
        image = _image(path.parent, name.strip())
        if image is None:
            yield missing(where, name)
            continue
        yield Conversation(
            id=f"{path.stem}-{number}",
            pairs=((DESCRIBE, " ".join(caption.split())),),
            images=(image,),
            notes={"kind": "caption"},
        )


def _captioned(path: Path) -> Iterator[tuple[str, Any]]:
    if path.suffix == ".csv":
        yield from ((f"{path}:{line}", row) for line, row in read_rows(path))
    else:
        yield from ((f"{path}: record {n}", row) for n, row in enumerate(read_list(path), start=1))


def _check_columns(path: Path, row: Mapping[str, str]) -> None:
    absent = [name for name in ("Figure_path", "Question", *CHOICES) if name not in row]
    if not any(name in row for name in ANSWERS):
        absent.append(" or ".join(ANSWERS))
    if absent:
        raise no_file(path, f"has no column {', '.join(absent)}")


def _letter(row: Mapping[str, str], choices: Sequence[str]) -> str | None:
    """The letter of the right choice."""
    for name in ANSWERS:
        said = row.get(name, "").strip()
        if said in tuple(LETTERS[: len(choices)]):
            return said
        lettered = _LETTERED.match(said)
        if lettered:
            return lettered[1]
        if said in choices:
            return LETTERS[choices.index(said)]
    return None


def _image(root: Path, name: str) -> str | None:
    paths = (f"{folder}/{name}".lstrip("/") for folder in FOLDERS)
    return next((path for path in paths if name and is_inside(root, path)), None)
