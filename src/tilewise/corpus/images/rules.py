"""Images of documents: which of them may stay, and documents without one that may not.

What is known of an image comes from a lookup by URL, so that nothing is fetched or decoded here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from tilewise.corpus.images.ad_urls import AD_NAMES, AD_WORDS, ad_word
from tilewise.corpus.images.facts import DecodeLimits, Facts
from tilewise.corpus.images.scorers import ImageScorerFile, check_slots
from tilewise.errors import ConfigError
from tilewise.records import Block, Document, Dropped, WebImage

STAGE: Final = "image"

NO_VALID_IMAGE: Final = "no_valid_image"

REASONS: Final[Mapping[str, str]] = {
    # a value of WebImage.dropped -> the setting or limit behind it
    "image_blocked_address": "addresses that may not be asked",
    "image_ad_url": "ad_words",
    "image_robots": "robots.txt of its host",
    "image_opted_out": "X-Robots-Tag, or opt_out",
    "image_unavailable": "download_failed",
    "image_too_large": "max_bytes",
    "image_format": "formats",
    "image_decode": "download_failed",
    "image_too_many_pixels": "max_pixels",
    "image_too_small": "min_side",
    "image_aspect_ratio": "max_aspect_ratio",
    "image_animated": "allow_animated",
    "image_unattractive": "min_aesthetic",
    "image_unsafe": "max_unsafe",
    "image_too_frequent": "max_documents",
}
"""Why an image is dropped, in the order in which it is asked, and what decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """Which images stay; None switches a limit off.

    ``min_side``, ``max_side`` in pixels; ``max_aspect_ratio`` of the longer side to the shorter,
    which itself stays; ``max_pixels`` and ``max_bytes`` of one image; ``formats`` of those decoded
    (PNG, JPEG, WebP, GIF). ``ad_words`` and ``ad_names`` as in ``ad_urls``; none of them: off.
    ``allow_animated``: its first frame counts. ``min_aesthetic`` (0 to 10) and ``max_unsafe`` (0 to
    1) hold only where a scorer is given: ``scorers`` names files, as "aesthetic" and "unsafe".
    ``max_documents``: in which one image may be seen.
    ``min_images``: that a document needs.

    Source: arXiv 2406.08418, section on image filtering: sides, ratio, both scores, and the 10
    documents are published; sizes and formats are those of OBELICS, the rest is ours.
    """

    min_side: int | None = 150
    max_aspect_ratio: float | None = 2.0
    formats: tuple[str, ...] = ("JPEG", "PNG", "WebP")
    max_side: int | None = 20_000
    max_pixels: int | None = 100_000_000
    max_bytes: int | None = 20_000_000
    ad_words: tuple[str, ...] = AD_WORDS
    ad_names: tuple[str, ...] = AD_NAMES
    allow_animated: bool = True
    min_aesthetic: float | None = 3.7
    max_unsafe: float | None = 0.8
    scorers: Mapping[str, ImageScorerFile] = field(default_factory=dict)
    max_documents: int | None = 10
    min_images: int = 1

    def __post_init__(self) -> None:
        check_slots(self.scorers)
        unknown = sorted({*self.formats} - {"JPEG", "PNG", "WebP", "GIF"})
        if unknown or not self.formats:
            raise ConfigError(
                f"formats is {', '.join(self.formats) or 'empty'}; one or more of JPEG, PNG, WebP "
                "and GIF are allowed."
            )
        for name in ("min_side", "max_side", "max_pixels", "max_bytes", "max_documents"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; 1 or more is allowed, or null for no limit.")
        ratio = self.max_aspect_ratio
        if ratio is not None and not 1 <= ratio < math.inf:
            raise ConfigError(f"max_aspect_ratio is {ratio:g}; 1 or more is allowed, or null.")
        if self.min_images < 0:
            raise ConfigError(f"min_images is {self.min_images}; 0 or more is allowed.")

    @property
    def decode_limits(self) -> DecodeLimits:
        """What may be decoded: within these limits, and never beyond those of the decoder."""
        most = DecodeLimits()
        return DecodeLimits(
            max_pixels=min(self.max_pixels or most.max_pixels, most.max_pixels),
            max_side=min(self.max_side or most.max_side, most.max_side),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came of asking for an image: facts of its bytes, or why there are none.

    ``reason`` is one of ``REASONS``, "" where bytes are there; ``detail`` says more, such as
    "status 404". ``facts`` is None without bytes. ``sha256`` of the bytes, hex.
    """

    url: str
    reason: str = ""
    detail: str = ""
    size_bytes: int | None = None
    sha256: str = ""
    facts: Facts | None = None


Lookup = Callable[[str], Fetched]
"""What is known of the image at an address; one that was never asked for is unavailable."""

Frequency = Callable[[Literal["p", "d"], str], int]
"""In how many documents an image of that p-hash or d-hash (16 hex digits) is."""


def filter_images(document: Document, lookup: Lookup, cfg: ImageConfig) -> Document | Dropped:
    """Drop images of a document, and the document where too few are left.

    Dropped images stay in their place with the reason in ``dropped``, those dropped before as
    they are; all get what is known of them.

    Args:
        document: any; its text stays as it is.
        lookup: gives what is known of an image.
        cfg: which images stay.
    """
    blocks = tuple(
        replace(block, image=_judged(block.image, lookup, cfg)) if block.image else block
        for block in document.blocks
    )
    return _or_dropped(replace(document, blocks=blocks), cfg)


def drop_frequent(document: Document, frequency: Frequency, cfg: ImageConfig) -> Document | Dropped:
    """Drop images that are in too many documents, by either hash; notes both counts.

    Source: arXiv 2406.08418, more than 10 HTML documents.
    """

    def counted(block: Block) -> Block:
        image = block.image
        if image is None or image.p_hash is None or image.d_hash is None:
            return block
        p_count, d_count = frequency("p", image.p_hash), frequency("d", image.d_hash)
        limit = cfg.max_documents
        dropped = image.dropped
        if dropped is None and limit is not None and max(p_count, d_count) > limit:
            dropped = "image_too_frequent"
        return replace(
            block, image=replace(image, p_count=p_count, d_count=d_count, dropped=dropped)
        )

    return _or_dropped(replace(document, blocks=tuple(map(counted, document.blocks))), cfg)


def valid_images(document: Document) -> tuple[bool, ...]:
    """Whether each image of a document stays, in order (``valid_image`` of the released format)."""
    return tuple(image.dropped is None for image in document.images)


def thresholds(cfg: ImageConfig) -> Mapping[str, float | tuple[float | None, float | None]]:
    """Score of a document -> its limit."""
    return {"min_images": float(cfg.min_images)}


def wanted_images(document: Document, cfg: ImageConfig) -> tuple[str, ...]:
    """Addresses of a document's images that are worth asking for, each once, in order."""
    urls = (image.url for image in document.images if image.dropped is None)
    return tuple(url for url in dict.fromkeys(urls) if not _ad_word(url, cfg))


def verdict(fetched: Fetched, cfg: ImageConfig) -> str | None:
    """Why an image is dropped for what came of asking for it, one of ``REASONS``, or None."""
    if fetched.reason:
        return fetched.reason
    facts, size_bytes = fetched.facts, fetched.size_bytes
    if facts is None:
        return "image_unavailable"
    if cfg.max_bytes is not None and size_bytes is not None and size_bytes > cfg.max_bytes:
        return "image_too_large"
    if facts.width is None or facts.height is None:
        return facts.reason or "image_decode"
    short, long = sorted((facts.width, facts.height))
    if _is_over(short * long, cfg.max_pixels) or _is_over(long, cfg.max_side):
        return "image_too_many_pixels"
    if cfg.min_side is not None and short < cfg.min_side:
        return "image_too_small"
    if cfg.max_aspect_ratio is not None and long > cfg.max_aspect_ratio * short:
        return "image_aspect_ratio"
    return _content_verdict(facts, cfg)


def _content_verdict(facts: Facts, cfg: ImageConfig) -> str | None:
    """Why an image of a right size is dropped."""
    if facts.kind not in cfg.formats:
        return "image_format"
    if facts.reason:
        return facts.reason
    if facts.is_animated and not cfg.allow_animated:
        return "image_animated"
    aesthetic, unsafe = facts.aesthetic, facts.unsafe
    if None not in (aesthetic, cfg.min_aesthetic) and aesthetic < cfg.min_aesthetic:  # type: ignore[operator]
        return "image_unattractive"
    if None not in (unsafe, cfg.max_unsafe) and unsafe > cfg.max_unsafe:  # type: ignore[operator]
        return "image_unsafe"
    return None


def _judged(image: WebImage, lookup: Lookup, cfg: ImageConfig) -> WebImage:
    if image.dropped is not None:
        return image
    if _ad_word(image.url, cfg):
        return replace(image, dropped="image_ad_url")
    fetched = lookup(image.url)
    known: dict[str, Any] = {"dropped": verdict(fetched, cfg), "size_bytes": fetched.size_bytes}
    if fetched.facts is not None:
        names = ("width", "height", "p_hash", "d_hash", "aesthetic", "unsafe")
        known |= {name: getattr(fetched.facts, name) for name in names}
    return replace(image, **known)


def _ad_word(url: str, cfg: ImageConfig) -> str | None:
    return ad_word(url, cfg.ad_words, cfg.ad_names)


def _or_dropped(document: Document, cfg: ImageConfig) -> Document | Dropped:
    """The document, or that it is dropped, with the reasons of its images as the value."""
    left = sum(valid_images(document))
    document = replace(document, scores={**document.scores, "min_images": float(left)})
    if left >= cfg.min_images:
        return document
    reasons = Counter(image.dropped for image in document.images)
    told = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items(), key=str))
    return Dropped(
        id=document.id,
        url=document.url,
        stage=STAGE,
        reason=NO_VALID_IMAGE,
        value=told or "no image",
        threshold=cfg.min_images,
        document=document,
    )


def _is_over(value: int, limit: int | None) -> bool:
    return limit is not None and value > limit
