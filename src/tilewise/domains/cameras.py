"""Six cameras of a car on one canvas: where each lies, and coordinates there and back.

On the canvas the cameras stand in two rows, front and back, three in each. Places on it are in
thousandths of its width and height, as in all texts of InternVL.

Source: the DriveLM adaptation of Mini-InternVL (arXiv 2410.16261); nuScenes for the cameras.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from tilewise.records import Box
from tilewise.text.grounding import UNITS

CAMERA_WIDTH: Final = 1600
CAMERA_HEIGHT: Final = 900
"""Pixels of a camera's image."""

CELL_WIDTH: Final = 896
CELL_HEIGHT: Final = 448
"""Pixels of a camera's image on the canvas: two tiles of 448, so that its shape is not kept."""

COLS: Final = 3
ROWS: Final = 2

CELLS: Final[Mapping[str, tuple[int, int]]] = {
    "CAM_FRONT_LEFT": (0, 0),
    "CAM_FRONT": (1, 0),
    "CAM_FRONT_RIGHT": (2, 0),
    "CAM_BACK_LEFT": (0, 1),
    "CAM_BACK": (1, 1),
    "CAM_BACK_RIGHT": (2, 1),
}
"""Column and row of each camera."""

_NUMBER: Final = r"-?\d*\.?\d+"
_CAMERA_TAG: Final = re.compile(rf"<(c\d+),\s*(CAM_[A-Z_]+),\s*({_NUMBER}),\s*({_NUMBER})>")
_CANVAS_TAG: Final = re.compile(rf"<(c[^,]*),([^,]*),(\s*\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\]\s*)>")
"""A tag as models write it. What stands between its commas is looked at afterwards."""


def to_canvas(camera: str, x: float, y: float) -> tuple[float, float]:
    """A point of a camera's image, in pixels, in thousandths of the canvas.

    Raises:
        KeyError: the camera is none of ``CELLS``.
    """
    col, row = CELLS[camera]
    return UNITS * (col + x / CAMERA_WIDTH) / COLS, UNITS * (row + y / CAMERA_HEIGHT) / ROWS


def to_camera(camera: str, u: float, v: float) -> tuple[float, float]:
    """A point of the canvas in pixels of a camera's image, cut to it, to one decimal.

    Raises:
        KeyError: the camera is none of ``CELLS``.
    """
    col, row = CELLS[camera]
    x = (u / UNITS * (COLS * CELL_WIDTH) - col * CELL_WIDTH) / CELL_WIDTH * CAMERA_WIDTH
    y = (v / UNITS * (ROWS * CELL_HEIGHT) - row * CELL_HEIGHT) / CELL_HEIGHT * CAMERA_HEIGHT
    return _cut(x, CAMERA_WIDTH), _cut(y, CAMERA_HEIGHT)


def canvas_box(camera: str, box: Box) -> str:
    """A box of a camera's image, in pixels, as text: ``<box>[[x1, y1, x2, y2]]</box>``."""
    corners = (to_canvas(camera, *box[:2]), to_canvas(camera, *box[2:]))
    numbers = ", ".join(str(_unit(number)) for corner in corners for number in corner)
    return f"<box>[[{numbers}]]</box>"


def tags_to_canvas(text: str) -> str:
    """Object tags of the data, ``<c1,CAM_FRONT,1043.2,82.2>``, as ``<c1,CAM_FRONT,[551,46]>``.

    A tag of a camera that is not known stays as it is.
    """

    def moved(match: re.Match[str]) -> str:
        name, camera, *place = match.groups()
        if camera not in CELLS:
            return match[0]
        u, v = to_canvas(camera, float(place[0]), float(place[1]))
        return f"<{name},{camera},[{_unit(u)},{_unit(v)}]>"

    return _CAMERA_TAG.sub(moved, text)


def tags_to_cameras(answer: str) -> str:
    """Object tags of an answer in pixels of their cameras: ``<c1,CAM_FRONT,1043.2,82.2>``.

    A tag with a camera that is not known, or a blank before its name, stays as it is. Blanks
    around the answer go.

    Source: what InternVL's evaluation hands to the DriveLM challenge.
    """

    def moved(match: re.Match[str]) -> str:
        name, camera, place = match.groups()
        try:
            u, v = json.loads(place)
        except ValueError:  # a number that JSON does not know, such as .5
            return match[0]
        if camera not in CELLS:
            return match[0]
        x, y = to_camera(camera, u, v)
        name = name.replace("<", "").replace(">", "")
        return f"<{name},{camera},{x},{y}>"

    return _CANVAS_TAG.sub(moved, answer.strip())


def _cut(at: float, most: int) -> float:
    """To one decimal; what is cut becomes the border itself, a whole number."""
    return round(max(0, min(most, at)), 1)


def _unit(number: float) -> int:
    return min(max(round(number), 0), UNITS)
