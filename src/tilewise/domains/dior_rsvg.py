"""DIOR-RSVG: where in an aerial picture the one thing is that a phrase describes.

Layout: ``Annotations`` has an XML file for each picture, with ``filename``, ``size`` and ``object``
elements, each of which has ``name``, ``bndbox`` (``xmin``, ``ymin``, ``xmax``, ``ymax``, in pixels)
and ``description``, the phrase. ``train.txt``, ``val.txt`` and ``test.txt`` list the objects of a
split by their number, counted over all files in order of their names. Pictures lie in
``JPEGImages``. Not sure is in which order the authors' code walks the files, which it leaves to the
file system; by name is the order in which they were unpacked.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tilewise.domains.record import Conversation, Found, is_inside, missing, no_file, unreadable
from tilewise.domains.regions import detect, found
from tilewise.errors import DataError
from tilewise.records import Box
from tilewise.shards.conversation import Bad

ANNOTATIONS: Final = "Annotations"
PICTURES: Final = "JPEGImages"
CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")


def read_dior_rsvg(split: Path) -> Iterator[Found]:
    """Conversations of one split.

    Args:
        split: ``train.txt``, ``val.txt`` or ``test.txt``, beside ``Annotations``.

    Raises:
        DataError: there are no annotations, or the split is no list of numbers.
    """
    wanted = _numbers(split)
    files = sorted((split.parent / ANNOTATIONS).glob("*.xml"))
    if not files:
        raise no_file(split.parent / ANNOTATIONS, "holds no annotations")
    number = 0
    for file in files:
        root = _parsed(file)
        if isinstance(root, Bad):
            yield root
            continue
        for item in root.iter("object"):
            if number in wanted:
                yield _conversation(split, file, root, item, number)
            number += 1


def _conversation(
    split: Path, file: Path, root: ET.Element, item: ET.Element, number: int
) -> Found:
    where = f"{file}: object {number}"
    phrase = " ".join((item.findtext("description") or "").split())
    try:
        box = Box(*(float(item.findtext(f"bndbox/{name}") or "") for name in CORNERS))
        size = (int(root.findtext("size/width") or ""), int(root.findtext("size/height") or ""))
    except ValueError:
        return unreadable(where, "the box or the size is not of numbers")
    if not phrase or min(size) < 1:
        return unreadable(where, "the description or the size is empty")
    image = f"{PICTURES}/{root.findtext('filename') or file.with_suffix('.jpg').name}"
    if not is_inside(split.parent, image):
        return missing(where, image)
    return Conversation(
        id=f"dior-rsvg-{number}",
        pairs=((detect(phrase), found(phrase, [box], size)),),
        images=(image,),
        notes={"kind": "grounding", "box": list(box), "width": size[0], "height": size[1]},
    )


def _parsed(file: Path) -> ET.Element | Bad:
    try:
        text = file.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:  # entities could make a file of any size
            return unreadable(str(file), "it declares entities, which annotations do not have")
        return ET.fromstring(text)
    except (OSError, ValueError, ET.ParseError) as err:
        return unreadable(str(file), f"it is no XML: {err}")


def _numbers(split: Path) -> frozenset[int]:
    try:
        return frozenset(int(word) for word in split.read_text(encoding="utf-8").split())
    except OSError as err:
        raise DataError(f"{split}: cannot be read ({err.strerror}); check the path.") from err
    except ValueError as err:
        raise no_file(split, "is no list of numbers") from err
