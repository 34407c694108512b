"""SVG drawings without what they would load: only what is inside the file is drawn."""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree

MAX_SVG_BYTES: Final = 32 << 20
"""Largest drawing; it is parsed whole."""

MAX_DEPTH: Final = 256
"""Most elements inside one another; drawing programs stay below 30, and writing goes down them."""

_SVG: Final = "{http://www.w3.org/2000/svg}"
_XLINK: Final = "{http://www.w3.org/1999/xlink}"
_URL: Final = re.compile(r"url\(\s*['\"]?(?!\s*(?:#|data:image/))[^)]*\)", re.IGNORECASE)
_IMPORT: Final = re.compile(r"@import[^;]*;?", re.IGNORECASE)


def without_links(data: bytes) -> bytes:
    """The drawing without references to other files and addresses, and without entities.

    Left are those within the drawing (``#...``) and pictures that it holds (``data:image/...``).

    Raises:
        ElementTree.ParseError: it is no XML, or its entities unfold beyond measure.
        ValueError: its elements are nested deeper than ``MAX_DEPTH``.
    """
    root = ElementTree.fromstring(data)
    _check_depth(root)
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.removeprefix(_SVG)
        attributes = dict(element.attrib)
        element.attrib.clear()
        for name, value in attributes.items():
            if _is_link(name) and not value.strip().lower().startswith(("#", "data:image/")):
                continue
            element.set(name.replace(_XLINK, "xlink:"), _URL.sub("none", value))
        if element.text and element.tag == "style":
            element.text = _IMPORT.sub("", _URL.sub("none", element.text))
    root.set("xmlns", _SVG.strip("{}"))  # with the prefixes that LibreOffice looks for
    root.set("xmlns:xlink", _XLINK.strip("{}"))
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _check_depth(root: ElementTree.Element) -> None:
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for element in level for child in element]
        if not level:
            return
    raise ValueError(f"over {MAX_DEPTH} of its elements lie inside one another")


def _is_link(name: str) -> bool:
    return name.rpartition("}")[2].lower() == "href" or name.lower().endswith("base")
