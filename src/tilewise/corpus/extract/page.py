"""The main body of a web page as an interleaved document: texts of their kinds and images.

Pages are parsed by lxml event by event, chosen by measurement: nearly as fast as lexbor with all
events delivered, linear in time on pages where HTML5 parsers are not (thousands of open elements,
unclosed formatting before many paragraphs), and without a tree in memory.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, field
from typing import Final

from tilewise.corpus.crawl.raw import RawPage, document_id
from tilewise.corpus.crawl.robots import opted_out
from tilewise.corpus.extract.blocks import write_blocks
from tilewise.corpus.extract.body import BodyConfig, choose_body
from tilewise.corpus.extract.charset import decode
from tilewise.corpus.extract.images import absolute
from tilewise.corpus.extract.licenses import find_license
from tilewise.corpus.extract.parse import TooMuchError, parse
from tilewise.corpus.extract.prune import PruneConfig, prune
from tilewise.corpus.extract.text import clean
from tilewise.corpus.extract.tree import Head, Tree
from tilewise.errors import ConfigError, MissingExtraError
from tilewise.records import Block, Document, Dropped

STAGE: Final = "extract"

_IMAGE: Final = re.compile(rb"<(?:img|amp-img|picture)\b", re.IGNORECASE)
_TITLE: Final = 500  # characters of a title


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractConfig:
    """Limits of a page, how it is pruned, and how its body is chosen.

    ``max_page_bytes`` of a page, ``max_elements`` of elements and texts in it, ``max_depth`` of
    elements inside each other bound time and memory; 100,000 elements take about a second. A page
    without an image in its body is dropped, unless ``needs_image`` is off, and one that says it
    may not be used (noai, noml, noindex and their like in X-Robots-Tag or ``meta``) unless
    ``obeys_opt_out`` is off.
    """

    max_page_bytes: int = 10 * 2**20
    max_elements: int = 200_000
    max_depth: int = 1000
    needs_image: bool = True
    obeys_opt_out: bool = True
    prune: PruneConfig = field(default_factory=PruneConfig)
    body: BodyConfig = field(default_factory=BodyConfig)

    def __post_init__(self) -> None:
        for name in ("max_page_bytes", "max_elements", "max_depth"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; 1 or more is allowed. Raise it."
                )


def extract(page: RawPage, cfg: ExtractConfig) -> Document | Dropped:
    """Make a document of a page.

    Args:
        page: as it was captured; any bytes do.
        cfg: limits and thresholds.

    Returns:
        The document with its licence; or why there is none, stage ``extract``: ``extract_empty``
        (no text), ``no_images``, ``opted_out``, ``page_too_large``, ``too_many_elements``,
        ``too_deep``.

    Raises:
        MissingExtraError: lxml is not installed.

    Source: OmniCorpus (arXiv 2406.08418), section on main body extraction.
    """
    if importlib.util.find_spec("lxml") is None:
        raise MissingExtraError(
            'extracting pages needs lxml; install it with: pip install "tilewise[corpus]"'
        )
    if len(page.html) > cfg.max_page_bytes:
        return _dropped(page, "page_too_large", len(page.html), cfg.max_page_bytes)
    decoded = decode(page.html, page.content_type)
    text = decoded.text.encode("utf-8", "replace")
    if not text.strip():
        return _dropped(page, "extract_empty", 0, 1)
    if cfg.needs_image and b"<img" not in text and not _IMAGE.search(text):
        return _dropped(page, "no_images", 0, 1)
    try:
        tree = parse(text, cfg.max_elements, cfg.max_depth)
    except TooMuchError as err:
        return _dropped(page, err.reason, err.value, err.limit)
    return _document(page, tree, cfg)


def _document(page: RawPage, tree: Tree, cfg: ExtractConfig) -> Document | Dropped:
    tags = [page.robots_tag, *(said for name, said in tree.head.metas if name == "robots")]
    if cfg.obeys_opt_out and (rule := opted_out(tags)):
        return _dropped(page, "opted_out", rule, None)
    base = absolute(tree.head.base, page.url) if tree.head.base else page.url
    pruned = prune(tree, cfg.prune)
    blocks = write_blocks(pruned, choose_body(pruned, cfg.body), base or page.url)
    if not any(block.text for block in blocks if block.kind not in ("video", "audio")):
        return _dropped(page, "extract_empty", 0, 1)
    if cfg.needs_image and not any(block.image for block in blocks):
        return _dropped(page, "no_images", 0, 1)
    license_id, source = find_license(tree, page.url)
    return Document(
        id=document_id(page.url, page.captured),
        url=page.url,
        blocks=blocks,
        title=_title(tree.head, blocks),
        captured=page.captured,
        archive=page.archive,
        offset=page.offset,
        license=license_id,
        license_source=source,
    )


def _title(head: Head, blocks: tuple[Block, ...]) -> str:
    title = clean(head.title)
    if not title:
        title = next((content for name, content in head.metas if name == "og:title"), "")
    if not title:
        title = next((block.text for block in blocks if block.kind == "header"), "")
    return clean(title)[:_TITLE]


def _dropped(page: RawPage, reason: str, value: float | str, threshold: float | None) -> Dropped:
    return Dropped(
        id=document_id(page.url, page.captured),
        url=page.url,
        stage=STAGE,
        reason=reason,
        value=value if isinstance(value, str) else float(value),
        threshold=None if threshold is None else float(threshold),
    )
