"""DriveLM-nuScenes: questions about six cameras of a car, scene by scene.

Layout, as published for version 1.1: an object of scenes; a scene has ``key_frames``, an object of
frames; a frame has ``image_paths`` by camera (``../nuscenes/samples/CAM_FRONT/….jpg``),
``key_object_infos`` by tag, and ``QA``: lists under ``perception``, ``prediction``, ``planning``
and ``behavior``, each item with ``Q`` and ``A``. Files of questions alone have no ``A``, or an
empty one. Images are looked for below the folder of the file, from ``nuscenes`` or ``samples`` on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from PIL import Image, UnidentifiedImageError

from tilewise.domains.cameras import CELLS, canvas_box, tags_to_cameras, tags_to_canvas
from tilewise.domains.read import read_json
from tilewise.domains.record import Conversation, Found, missing, no_file, unreadable
from tilewise.domains.stitching import stitch
from tilewise.records import Box
from tilewise.shards.conversation import Bad

KINDS: Final = ("perception", "prediction", "planning", "behavior")

EXPLANATION: Final = (
    "Objects are written as <c1,CAM_FRONT,[u,v]>: a name, the camera that sees the object, and its "
    "centre in thousandths of the width and the height of the whole picture."
)
"""Stands behind every question, so that a model knows the tags that it is asked for."""

_ELEMENT: Final = re.compile(r"\(([^(),]+), ([^(),]+)((?:, -?\d+(?:\.\d+)?){4})\)")
"""A traffic element of the front camera in an answer: category, status, box."""


def read_drivelm(path: Path, stitched: Path, *, folder: str = "stitched") -> Iterator[Found]:
    """Conversations of a DriveLM file; each frame's cameras are stitched into one picture.

    Args:
        path: the JSON file.
        stitched: folder that the pictures are written into.
        folder: what records call that folder.

    Yields:
        A conversation for each question, or what is wrong with a frame.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    scenes = read_json(path)
    if not isinstance(scenes, Mapping) or not scenes:
        raise no_file(path, "holds no scenes")
    for scene, value in scenes.items():
        frames = value.get("key_frames") if isinstance(value, Mapping) else None
        if not isinstance(frames, Mapping):
            yield unreadable(f"{path}: {scene}", "the scene has no key_frames")
            continue
        for frame, data in frames.items():
            name = f"{scene}_{frame}"
            wrong = _stitched(path, name, data, stitched)
            if wrong is not None:
                yield wrong
                continue
            yield from _questions(f"{path}: {name}", name, data, f"{folder}/{name}.jpg")


def submission(
    records: Sequence[Mapping[str, Any]], answers: Sequence[str]
) -> list[dict[str, str]]:
    """Rows that the challenge takes, from converted records and what a model said to each.

    Tags in answers go back to pixels of their cameras.
    """
    return [
        {
            "id": record["id"],
            "question": record["question"],
            "answer": tags_to_cameras(answer),
            "gt_answer": record["answer"],
        }
        for record, answer in zip(records, answers, strict=True)
    ]


def to_canvas(text: str) -> str:
    """A question or an answer of the data in places of the stitched picture."""
    return _ELEMENT.sub(_element, tags_to_canvas(text))


def _element(match: re.Match[str]) -> str:
    box = Box(*(float(number) for number in match[3].strip(", ").split(", ")))
    return f"({match[1]}, {match[2]}, {canvas_box('CAM_FRONT', box)})"


def _questions(where: str, name: str, data: Mapping[str, Any], image: str) -> Iterator[Found]:
    asked = data.get("QA")
    if not isinstance(asked, Mapping):
        yield unreadable(where, "the frame has no QA")
        return
    number = 0
    for kind in KINDS:
        for item in asked.get(kind) or ():
            question = item.get("Q") if isinstance(item, Mapping) else None
            if not isinstance(question, str) or not question.strip():
                yield unreadable(where, f"question {number + 1} has no text")
                continue
            answer = item.get("A")
            answer = answer if isinstance(answer, str) else ""
            yield Conversation(
                id=f"{name}_{number}",
                pairs=((f"{to_canvas(question)}\n{EXPLANATION}", to_canvas(answer)),),
                images=(image,),
                notes={"kind": kind, "question": question, "answer": answer},
            )
            number += 1


def _stitched(path: Path, name: str, data: Any, stitched: Path) -> Bad | None:
    """Write a frame's picture if it is not there; says what is wrong if it cannot be."""
    where = f"{path}: {name}"
    paths = data.get("image_paths") if isinstance(data, Mapping) else None
    if not isinstance(paths, Mapping) or not CELLS.keys() <= paths.keys():
        return unreadable(where, f"image_paths must name {', '.join(CELLS)}")
    target = stitched / f"{name}.jpg"
    if target.is_file():
        return None
    if target.parent.resolve() != stitched.resolve():
        return unreadable(where, "the tokens of scene and frame are no names")
    files: dict[str, Path] = {}
    for camera in CELLS:
        file = _file(path.parent, str(paths[camera]))
        if file is None:
            return missing(where, str(paths[camera]))
        files[camera] = file
    try:
        with ExitStack() as stack:
            opened = {c: stack.enter_context(Image.open(file)) for c, file in files.items()}
            canvas = stitch(opened)
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as err:
        return Bad(where, "damaged image", str(err))
    part = target.with_name(f".{target.name}.part")
    canvas.save(part, "JPEG", quality=95)
    part.replace(target)
    return None


def _file(root: Path, said: str) -> Path | None:
    """Where an image lies that the file names from a folder of its authors'."""
    pieces = [piece for piece in said.replace("\\", "/").split("/") if piece not in ("", ".", "..")]
    for start in range(len(pieces)):
        if pieces[start] in ("nuscenes", "samples") and (root.joinpath(*pieces[start:])).is_file():
            return root.joinpath(*pieces[start:])
    return None
