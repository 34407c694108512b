"""Documents of a report: a few kept ones, and a few of each reason for which others went."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from html import escape
from typing import Any, Final

from tilewise.corpus.plan import Run
from tilewise.corpus.stage_files import StageFolder, read_rows

Row = Mapping[str, Any]

SHARDS: Final = 200
"""Shards whose samples are looked at."""

TEXT: Final = 700
"""Characters of a block that are shown, and blocks of a document."""

BLOCKS: Final = 40

IMAGE_BYTES: Final = 120_000
ALL_IMAGE_BYTES: Final = 6_000_000
"""Bytes of one image that is put into the report, and of all."""

_KINDS: Final = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
    b"GIF8": "image/gif",
}


def samples(run: Run, stage: str, shards: int, most: int) -> dict[str, list[Row]]:
    """Sampled rows of a stage by verdict; the same whenever it is asked."""
    found: dict[str, list[Row]] = {}
    step = -(-shards // SHARDS) if shards else 1
    for shard in range(0, shards, step):
        path = StageFolder(run.folder(stage)).file("samples", shard)
        for row in read_rows(path) if path.exists() else ():
            found.setdefault(row["verdict"], []).append(row)
    return {
        verdict: sorted(rows, key=lambda row: sha256(_id(row).encode()).digest())[:most]
        for verdict, rows in sorted(found.items())
    }


class ImageRoom:
    """Puts images into a report as far as there is room.

    Args:
        data: finds the bytes of an image.
    """

    def __init__(self, data: Callable[[str], bytes | None]) -> None:
        self._data, self._left = data, ALL_IMAGE_BYTES

    def tag(self, image: Row) -> str:
        """An image with its address, or only that."""
        url, gone = str(image["url"]), image.get("dropped")
        size = f"{image['width']}×{image['height']}" if image.get("width") else ""
        told = " ".join(filter(None, [url, size, f"({gone})" if gone else ""]))
        source = self._source(url)
        shown = f'<img src="{source}" alt="">' if source else ""
        kind = "image gone" if gone else "image"
        return f'<figure class="{kind}">{shown}<figcaption>{escape(told)}</figcaption></figure>'

    def _source(self, url: str) -> str:
        data = self._data(url) if self._left > 0 else None
        kind = next((k for head, k in _KINDS.items() if data and data.startswith(head)), None)
        if not data or kind is None or len(data) > min(IMAGE_BYTES, self._left):
            return ""
        self._left -= len(data)
        return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def shown(row: Row, room: ImageRoom) -> Iterator[str]:
    """A sampled document as HTML; everything that a page said is escaped."""
    document = row.get("document") or {}
    url = str(row.get("url") or document.get("url", ""))
    title = str(document.get("title") or url)
    yield f"<details><summary>{escape(title[:120])}{_why(row)}</summary>"
    yield f'<p class="url">{escape(url)} {escape(_id(row))}</p>'
    blocks = document.get("blocks", ())
    for block in blocks[:BLOCKS]:
        if block.get("image"):
            yield room.tag(block["image"])
        else:
            text = str(block.get("text", ""))
            more = " …" if len(text) > TEXT else ""
            kind = escape(str(block["kind"]))
            yield f'<p class="block {kind}" data-kind="{kind}">{escape(text[:TEXT])}{more}</p>'
    if len(blocks) > BLOCKS:
        yield f"<p>… {len(blocks) - BLOCKS:,} more blocks</p>"
    yield "</details>"


def _why(row: Row) -> str:
    if row["verdict"] == "kept":
        return ""
    value, limit = row.get("value"), row.get("threshold")
    told = "" if value is None else f": {value}"
    told += "" if limit is None else f" (limit {limit})"
    return f' <span class="why">{escape(str(row["verdict"]) + told)}</span>'


def _id(row: Row) -> str:
    return str(row.get("id") or row.get("document", {}).get("id", ""))
