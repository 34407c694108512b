"""The review page: a local server for sampled documents and the labels that people give.

It listens on this machine only, answers requests that name it so, and sends pages that may load
nothing from elsewhere. Texts of documents reach the page as JSON and are shown as text.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Final

from tilewise.corpus.plan import Run
from tilewise.corpus.review.labels import Label, append_label, label_of, latest, read_labels
from tilewise.corpus.review.samples import Sampled, check_label, judged, summary, view
from tilewise.errors import ConfigError, DataError, MissingExtraError
from tilewise.shards.documents import image_name

try:
    from aiohttp import web
except ImportError as err:
    raise MissingExtraError(
        "The review page needs aiohttp; pip install 'tilewise[corpus]'."
    ) from err

HOST: Final = "127.0.0.1"

FILES: Final[Mapping[str, tuple[str, str]]] = {
    "/": ("review.html", "text/html"),
    "/review.css": ("review.css", "text/css"),
    "/review.js": ("review.js", "text/javascript"),
}
"""Address → file of ``static`` and its kind; nothing else of the disk is sent but images."""

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)
_NAME = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What is reviewed: documents of a run, their images by URL, where labels go.

    ``clock`` tells the time of a label, ISO 8601.
    """

    run: Run
    documents: tuple[Sampled, ...]
    picture: Callable[[str], bytes | None]
    labels: Path
    clock: Callable[[], str]


def serve(review: Review, port: int, told: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C.

    Args:
        review: what is reviewed.
        port: of this machine; 0 takes a free one.
        told: called with the page's address once it is there.

    Raises:
        ConfigError: the port is taken.
    """
    try:
        asyncio.run(_serve(review, port, told))
    except KeyboardInterrupt:
        return
    except OSError as err:
        raise ConfigError(
            f"port {port} of {HOST} cannot be listened on ({err.strerror}); give another --port."
        ) from err


async def _serve(review: Review, port: int, told: Callable[[str], None]) -> None:
    runner = web.AppRunner(make_app(review), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        told(f"http://{HOST}:{runner.addresses[0][1]}/")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def make_app(review: Review) -> web.Application:
    """The server's answers, by address."""
    app = web.Application(middlewares=[_guard], client_max_size=_MOST_BYTES)
    by_id = {one.document.id: one for one in review.documents}
    images = {
        image_name(image.url): image.url
        for one in review.documents
        for image in one.document.images
    }
    for address in FILES:
        app.router.add_get(address, _file(address))
    app.router.add_get("/api/samples", _samples(review))
    app.router.add_get("/api/documents/{id}", _document(review, by_id))
    app.router.add_post("/api/labels", _label(review, by_id))
    app.router.add_get("/images/{name}", _image(review.picture, images))
    return app


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses requests that came by another name or from another site; adds the headers."""
    name = request.host.rpartition(":")[0] or request.host
    origin = request.headers.get("Origin")
    answer: web.StreamResponse
    if name not in (HOST, "localhost"):
        answer = web.Response(status=421, text="another host was meant")
    elif origin is not None and origin != f"http://{request.host}":
        answer = web.Response(status=403, text="requests of other sites are refused")
    elif request.method == "POST" and request.content_type != "application/json":
        answer = web.Response(status=415, text="a label is application/json")
    else:
        try:
            answer = await handler(request)
        except web.HTTPException as err:
            answer = web.Response(status=err.status, text=err.reason)
        except DataError as err:  # of the labels' file, or of the run's
            answer = _json({"error": str(err)}, 500)
    answer.headers.update(HEADERS)
    return answer


def _file(address: str) -> Handler:
    name, kind = FILES[address]
    data = (resources.files(__package__) / "static" / name).read_bytes()

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=data, content_type=kind, charset="utf-8")

    return answer


def _samples(review: Review) -> Handler:
    rows = [summary(one, judged(review.run, one)[2]) for one in review.documents]

    async def answer(request: web.Request) -> web.StreamResponse:
        done = Counter(one.document for one in _labels(review))
        return _json([{**row, "labels": done[row["id"]]} for row in rows])

    return answer


def _document(review: Review, by_id: Mapping[str, Sampled]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        one = by_id.get(request.match_info["id"])
        if one is None:
            raise web.HTTPNotFound
        shown = view(review.run, one, lambda url: review.picture(url) is not None)
        given = [asdict(x) for x in _labels(review) if x.document == one.document.id]
        return _json({**shown, "labels": given})

    return answer


def _label(review: Review, by_id: Mapping[str, Sampled]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            label = label_of(json.loads(await request.read()))
        except (ValueError, DataError) as err:
            return _json({"error": str(err)}, 400)
        one = by_id.get(label.document)
        if one is None:
            return _json({"error": "this document was not drawn"}, 404)
        try:
            check_label(review.run, one, label)
        except DataError as err:
            return _json({"error": str(err)}, 400)
        label = replace(label, url=one.document.url[:4096], at=review.clock())
        try:
            append_label(review.labels, label)
        except DataError as err:
            return _json({"error": str(err)}, 507)
        return _json(asdict(label), 201)

    return answer


def _image(picture: Callable[[str], bytes | None], images: Mapping[str, str]) -> Handler:
    """Images of the drawn documents alone, by the hash of their URL, if they are pictures."""

    async def answer(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        url = images.get(name) if _NAME.fullmatch(name) else None
        data = picture(url) if url is not None else None
        kind = image_kind(data) if data is not None else None
        if data is None or kind is None:
            raise web.HTTPNotFound
        return web.Response(body=data, content_type=kind)

    return answer


def image_kind(data: bytes) -> str | None:
    """The media type of a picture by its first bytes; None for what a page must not be sent."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def _labels(review: Review) -> list[Label]:
    return latest(read_labels(review.labels)[0]) if review.labels.exists() else []


def _json(value: object, status: int = 200) -> web.StreamResponse:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return web.Response(text=text, content_type="application/json", status=status)
