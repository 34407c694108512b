"""RSVQA: questions about aerial pictures with answers of a word or a number.

Layout: three JSON files of one split, ``<name>_questions.json``, ``<name>_answers.json`` and
``<name>_images.json``, with lists under ``questions``, ``answers`` and ``images``. Items have
``id`` and ``active``; a question has ``img_id``, ``type``, ``question`` and ``answers_ids``, an
answer has ``answer``. The published names are ``USGS_split_train`` and so on (high resolution;
tests are ``test`` and ``test_phili``) and ``LR_split_train`` and so on (low). The picture of an
image is ``<id>.tif`` in ``Data`` or ``Images_LR``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tilewise.domains.read import read_json
from tilewise.domains.record import Conversation, Found, is_inside, missing, no_file, unreadable
from tilewise.domains.regions import SHORT

FOLDERS: Final = ("Data", "Images_LR", "images", "")
ENDINGS: Final = (".tif", ".png", ".jpg")


def read_rsvqa(questions: Path) -> Iterator[Found]:
    """Conversations of one split.

    Args:
        questions: ``<name>_questions.json``; the two others lie beside it.

    Raises:
        DataError: one of the files cannot be read, or has not its list.
    """
    stem = questions.name.removesuffix("_questions.json")
    asked = _listed(questions, "questions")
    answers = _listed(questions.with_name(f"{stem}_answers.json"), "answers")
    images = _listed(questions.with_name(f"{stem}_images.json"), "images")
    for number, item in asked.items():
        where = f"{questions}: question {number}"
        if not item.get("active", True):
            continue
        ids = item.get("answers_ids") or [None]
        answer = answers.get(ids[0], {}).get("answer")
        text, kind, image = item.get("question"), item.get("type"), item.get("img_id")
        if not isinstance(text, str) or not isinstance(kind, str) or answer is None:
            yield unreadable(where, "the question has no text, no type or no answer")
        elif image not in images:
            yield missing(where, f"image {image}")
        else:
            path = _picture(questions.parent, image)
            if path is None:
                yield missing(where, f"{image}.tif")
                continue
            yield Conversation(
                id=f"{stem}-{number}",
                pairs=((f"{text}\n{SHORT}", str(answer)),),
                images=(path,),
                notes={"kind": kind, "answer": str(answer)},
            )


def _listed(path: Path, name: str) -> dict[Any, Mapping[str, Any]]:
    """Items of a file by their ids; those that are not active may have nothing but an id."""
    value = read_json(path)
    items = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(items, list):
        raise no_file(path, f"has no list {name}")
    return {item["id"]: item for item in items if isinstance(item, Mapping) and "id" in item}


def _picture(root: Path, image: object) -> str | None:
    paths = (f"{folder}/{image}{end}".lstrip("/") for folder in FOLDERS for end in ENDINGS)
    return next((path for path in paths if is_inside(root, path)), None)
