"""Aerial pictures: GeoChat's and FIT-RS's instructions with boxes in texts.

Layout of GeoChat (``GeoChat_Instruct.json``): a list of ``id``, ``image`` and ``conversations``, as
LLaVA has it. In texts a phrase stands in ``<p>…</p>`` and a box as ``{<x1><y1><x2><y2>|<angle>}``,
in hundredths of the picture, several joined by ``<delim>``. Questions may begin with a task:
``[refer]``, ``[identify]`` or ``[grounding]``.

FIT-RS is of the same outer form. Its boxes stand in ``<rbox>({<cx><cy><w><h>|<angle>})</rbox>`` and
are read as centre and size in hundredths, as its evaluation does; names in ``<ref>…</ref>``.

Not sure is how the angles are meant: most are 90, which stands for a box that is not turned. A
turned box becomes the box as it is written, without its turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tilewise.domains.read import read_list
from tilewise.domains.record import Conversation, Found, is_inside, missing, no_file, unreadable
from tilewise.domains.regions import detect

FOLDERS: Final = ("images", "final_images_llava", "images/final_images_llava", "")
FIT_FOLDERS: Final = ("imgv2_split_512_100_vaild", "images", "")

_N: Final = r"<\s*(-?\d+(?:\.\d+)?)\s*>"
_CORNERS: Final = re.compile(rf"\{{\s*{_N}{_N}{_N}{_N}\s*(?:\|\s*<?-?\d+(?:\.\d+)?>?\s*)?\}}")
_MANY: Final = re.compile(rf"{_CORNERS.pattern}(?:\s*<delim>\s*{_CORNERS.pattern})*")
_CENTRE: Final = re.compile(
    rf"<rbox>\s*\(?\s*\{{?\s*{_N}{_N}{_N}{_N}\s*\|\s*<?-?\d+(?:\.\d+)?>?\s*\}}?\s*\)?\s*</rbox>"
)
_PHRASE: Final = re.compile(r"<p>\s*(.*?)\s*</p>", re.DOTALL)
_TASK: Final = re.compile(r"\[(refer|identify|grounding)\]\s*")

_GROUNDED: Final = "Give the boxes of what you name."
"""Takes the place of ``[grounding]``."""


def read_geochat(path: Path) -> Iterator[Found]:
    """Conversations of GeoChat.

    A ``[refer]`` question becomes "Detect <ref>phrase</ref>", answered by the phrase and its
    boxes. A box in any other question stays in it as ``<box>``.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    yield from _read(path, FOLDERS, _geochat_pair)


def read_fit_rs(path: Path) -> Iterator[Found]:
    """Conversations of FIT-RS, or of any data set in LLaVA's form with such boxes.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    yield from _read(path, FIT_FOLDERS, lambda asked, told: (fit_text(asked), fit_text(told)))


def geochat_text(text: str) -> str:
    """A text of GeoChat with our names and boxes, in thousandths."""
    text = _MANY.sub(lambda many: _boxes(_CORNERS.findall(many[0])), text)
    return re.sub(r"</ref>\s+<box>", "</ref><box>", _PHRASE.sub(r"<ref>\1</ref>", text))


def fit_text(text: str) -> str:
    """A text of FIT-RS with boxes of corners, in thousandths."""

    def corners(match: re.Match[str]) -> str:
        x, y, w, h = map(float, match.groups())
        return _boxes([(x - w / 2, y - h / 2, x + w / 2, y + h / 2)])

    return re.sub(r"</ref>\s+<box>", "</ref><box>", _CENTRE.sub(corners, text))


def _geochat_pair(asked: str, told: str) -> tuple[str, str]:
    task = _TASK.search(asked)
    asked = _TASK.sub("", asked).strip()
    phrase = _PHRASE.search(asked)
    question, answer = geochat_text(asked), geochat_text(told)
    if task and task[1] == "refer" and phrase:
        question = detect(phrase[1])
        if "<ref>" not in answer:
            answer = f"<ref>{phrase[1]}</ref>{answer.lstrip()}"
    elif task and task[1] == "grounding":
        question = f"{question} {_GROUNDED}"
    return question, answer


def _boxes(found: Any) -> str:
    listed = ", ".join(f"[{', '.join(_unit(float(number)) for number in box)}]" for box in found)
    return f"<box>[{listed}]</box>"


def _unit(hundredths: float) -> str:
    return str(min(max(round(10 * hundredths), 0), 1000))


def _read(path: Path, folders: tuple[str, ...], convert: Any) -> Iterator[Found]:
    records = read_list(path)
    if not records:
        raise no_file(path, "holds no records")
    for number, record in enumerate(records, start=1):
        where = f"{path}: record {number}"
        turns = record.get("conversations") if isinstance(record, Mapping) else None
        texts = [turn.get("value") for turn in turns or () if isinstance(turn, Mapping)]
        said = [text.replace("<image>", "").strip() for text in texts if isinstance(text, str)]
        if len(said) < 2 or len(said) < len(texts):
            yield unreadable(where, "conversations has no question with an answer")
            continue
        pairs = tuple(convert(*pair) for pair in zip(said[::2], said[1::2], strict=False))
        name = record.get("image")
        image = None
        if isinstance(name, str) and name:
            paths = (f"{folder}/{name}".lstrip("/") for folder in folders)
            image = next((p for p in paths if is_inside(path.parent, p)), None)
            if image is None:
                yield missing(where, name)
                continue
        yield Conversation(
            id=str(record.get("id", number)),
            pairs=pairs,
            images=() if image is None else (image,),
        )
