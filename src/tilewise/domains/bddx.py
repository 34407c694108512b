"""BDD-X: clips of a drive with what the car does and why, as frames.

Layout, as published with DriveGPT4 (``BDD_X_training_label.json``, ``BDD_X_testing_label.json``): a
list of clips, each with ``id``, ``image`` (a file name, whose stem begins the names of the frames),
``idx_list`` (numbers of the frames, which lie at ``<stem>_<number>.png``), and ``conversations`` of
three questions: what the car does, why, and its speed and turning angle at the next frame. Not sure
is whether all releases name the frames' folder alike; frames are looked for in
``BDD_X_imgs_select``, ``BDD_X_imgs``, ``images``, and beside the file, as PNG or JPEG.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tilewise.domains.read import read_list
from tilewise.domains.record import Conversation, Found, is_inside, missing, no_file, unreadable

FOLDERS: Final = ("BDD_X_imgs_select", "BDD_X_imgs", "images", "")
ENDINGS: Final = (".png", ".jpg")

MOST_FRAMES: Final = 40
"""Frames of one tile each that a clip may have. Source: Mini-InternVL (arXiv 2410.16261)."""

FULL: Final = "What does the ego car do, and why does it do so?"
"""The fourth kind of question, made of the first two."""

_VIDEO: Final = re.compile(r"\s*<(?:video|image)>\s*")
_SIGNAL: Final = re.compile(r"speed|angle|control", re.IGNORECASE)
_REASON: Final = re.compile(r"\bwhy\b|reason|justif", re.IGNORECASE)


def read_bddx(path: Path) -> Iterator[Found]:
    """Conversations of a BDD-X file: for each clip one for each of four kinds of questions.

    Kinds are ``description``, ``justification``, ``full`` (both at once) and ``control``.

    Yields:
        Conversations about the frames, marked Frame-1 and so on, or what is wrong with a clip.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    clips = read_list(path)
    if not clips:
        raise no_file(path, "holds no clips")
    for number, clip in enumerate(clips, start=1):
        where = f"{path}: clip {number}"
        if not isinstance(clip, Mapping):
            yield unreadable(where, "it is no object")
            continue
        frames = _frames(path.parent, clip)
        said = _said(clip)
        if isinstance(frames, str):
            yield missing(where, frames)
        elif not frames or len(frames) > MOST_FRAMES:
            yield unreadable(where, f"it has {len(frames)} frames; 1 to {MOST_FRAMES} are allowed")
        elif not said:
            yield unreadable(where, "conversations has no question with an answer")
        else:
            yield from _asked(str(clip.get("id", number)), frames, said)


def frame_marks(count: int) -> str:
    """Places of frames in a question, a line each, as in InternVL's videos."""
    return "".join(f"Frame-{number}: <image>\n" for number in range(1, count + 1))


def _asked(
    name: str, frames: tuple[str, ...], said: Mapping[str, tuple[str, str]]
) -> Iterator[Found]:
    kinds = dict(said)
    if "description" in said and "justification" in said:
        whole = " ".join(
            said[kind][1].rstrip(". ") + "." for kind in ("description", "justification")
        )
        kinds["full"] = (FULL, whole)
    for kind, (question, answer) in kinds.items():
        yield Conversation(
            id=f"{name}_{kind}",
            pairs=((frame_marks(len(frames)) + question, answer),),
            images=frames,
            notes={"kind": kind, "answer": answer},
        )


def _said(clip: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Questions and answers of a clip by their kind."""
    turns = clip.get("conversations")
    texts = [turn.get("value") for turn in turns or () if isinstance(turn, Mapping)]
    found: dict[str, tuple[str, str]] = {}
    for question, answer in zip(texts[::2], texts[1::2], strict=False):
        if isinstance(question, str) and isinstance(answer, str) and answer.strip():
            text = _VIDEO.sub("\n", question).strip()
            found.setdefault(_kind(text), (text, answer.strip()))
    return found


def _kind(question: str) -> str:
    if _SIGNAL.search(question):
        return "control"
    return "justification" if _REASON.search(question) else "description"


def _frames(root: Path, clip: Mapping[str, Any]) -> tuple[str, ...] | str:
    """Paths of a clip's frames, or of one that is not there."""
    stem = str(clip.get("image", "")).rpartition(".")[0] or str(clip.get("image", ""))
    numbers = clip.get("idx_list")
    if not stem or not isinstance(numbers, list):
        return ()
    for folder in FOLDERS:
        for ending in ENDINGS:
            paths = [f"{folder}/{stem}_{n}{ending}".lstrip("/") for n in numbers]
            if paths and all(is_inside(root, path) for path in paths):
                return tuple(paths)
    return f"{stem}_{numbers[0]}.png" if numbers else ()
