"""A run with a few documents before the detailed filter, and a server of its review page."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from queue import Queue

from aiohttp import web
from PIL import Image

from tests.corpus.writing import PROSE, block, document, picture
from tilewise.corpus.config import CorpusConfig
from tilewise.corpus.plan import Run, open_run
from tilewise.corpus.review.samples import pictures, sample
from tilewise.corpus.review.server import HOST, Review, make_app
from tilewise.corpus.stage_files import RowWriter, StageFolder
from tilewise.records import Document, Dropped
from tilewise.shards.documents import dropped_to_row, to_row
from tilewise.shards.image_files import FOLDER, ImageFolder

HOSTILE = (
    '<img src="http://evil.example/x.png" onerror="document.title=1"><script>alert(1)</script>'
)
SHOWN = "http://a.example/mill.png"
NOT_A_PICTURE = "http://a.example/page.svg"


def _named(page: Document, name: str, title: str) -> Document:
    url = f"http://a.example/{name}"
    identity = sha256(url.encode()).hexdigest()[:32]
    return replace(page, id=identity, url=url, title=title, captured="2023-10-01T00:00:00Z")


def documents() -> list[Document]:
    """One with edits and an image, one with hostile text, one that a gate stops."""
    return [
        _named(
            document(PROSE[0], picture(SHOWN), "Advertisement", PROSE[1], *PROSE[2:], lang="en"),
            "mill",
            "The mill",
        ),
        _named(
            document(*PROSE, f"{PROSE[0]} {HOSTILE}", picture(NOT_A_PICTURE), lang="en"),
            "hostile",
            HOSTILE,
        ),
        _named(document("A short one.", block("End", "header"), lang="en"), "short", "Short"),
    ]


def make_run(root: Path) -> Run:
    """A run as it lies on disk once the stage of images has ended."""
    source = root.parent / "pages.jsonl"
    source.write_text(json.dumps({"url": "http://a.example/", "html": "<p>Nothing</p>"}) + "\n")
    run, _ = open_run(root, [str(source)], CorpusConfig())
    with RowWriter(StageFolder(run.folder("image")).file("part", 0)) as file:
        for one in documents():
            file.write(to_row(one))
        file.commit()
    gone = _named(document("Lorem ipsum dolor sit amet.", lang="en"), "lorem", "Lorem")
    dropped = Dropped(
        id=gone.id, url=gone.url, stage="prelim_text", reason="lorem_ipsum", value=1, document=gone
    )
    with RowWriter(StageFolder(run.folder("prelim_text")).file("samples", 0)) as file:
        file.write({"verdict": "kept", "document": to_row(documents()[0])})
        file.write({"verdict": "lorem_ipsum", **dropped_to_row(dropped)})
        file.commit()
    data = BytesIO()
    Image.new("RGB", (60, 40), "teal").save(data, "PNG")
    folder = ImageFolder(root / FOLDER)
    folder.save(SHOWN, data.getvalue())
    folder.save(NOT_A_PICTURE, b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>")
    return run


def make_review(run: Run) -> Review:
    """A review of all of a run's documents at a fixed time."""
    return Review(
        run=run,
        documents=tuple(sample(run, 4, seed=1)),
        picture=pictures(run),
        labels=run.root / "review" / "labels.jsonl",
        clock=lambda: "2026-01-02T03:04:05+00:00",
    )


@contextmanager
def served(review: Review) -> Iterator[str]:
    """The address of a review page that is served as long as the block."""
    started: Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def serve() -> None:
        runner = web.AppRunner(make_app(review), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        ended = asyncio.Event()
        address = f"http://{HOST}:{runner.addresses[0][1]}"
        started.put((address, asyncio.get_running_loop(), ended))
        await ended.wait()
        await runner.cleanup()

    # in a thread of its own, since playwright has a loop in this one
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    address, loop, ended = started.get(timeout=30)
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
