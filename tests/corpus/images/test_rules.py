"""Which images of a document stay, why others go, and when the document goes with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.goldens import GoldenFile
from tilewise.corpus.images.ad_urls import ad_word
from tilewise.corpus.images.facts import Facts
from tilewise.corpus.images.measure import filters_off
from tilewise.corpus.images.rules import (
    REASONS,
    Fetched,
    ImageConfig,
    drop_frequent,
    filter_images,
    thresholds,
    valid_images,
    verdict,
    wanted_images,
)
from tilewise.corpus.images.scorers import ImageScorerFile, ImageScorers
from tilewise.errors import ConfigError
from tilewise.records import Block, Document, Dropped, WebImage

GOOD = Facts(kind="PNG", width=400, height=300, p_hash="00ff" * 4, d_hash="0f0f" * 4)


def _document(*urls: str) -> Document:
    blocks = [Block(kind="text", text="before")]
    for url in urls:
        blocks += [Block(kind="image", image=WebImage(url=url)), Block(kind="text", text="after")]
    return Document(id="0" * 32, url="http://a.example/", blocks=tuple(blocks))


def _fetched(url: str = "http://a.example/a.png", facts: Facts | None = GOOD) -> Fetched:
    return Fetched(url=url, size_bytes=1000, sha256="ab", facts=facts)


def _sized(width: int, height: int) -> Fetched:
    return _fetched(facts=replace(GOOD, width=width, height=height))


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (150, 150, None), (149, 300, "image_too_small"), (300, 149, "image_too_small"),
        (400, 200, None), (200, 400, None), (401, 200, "image_aspect_ratio"),
        (200, 401, "image_aspect_ratio"), (20_000, 10_000, "image_too_many_pixels"),
        (20_001, 200, "image_too_many_pixels"), (10_000, 10_000, None),
        (10_001, 10_000, "image_too_many_pixels"), (1, 1, "image_too_small"),
    ],
)  # fmt: skip
def test_sizes_on_the_border_stay(width: int, height: int, reason: str | None) -> None:
    assert verdict(_sized(width, height), ImageConfig()) == reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"kind": "GIF"}, "image_format"),
        ({"kind": "SVG", "width": None, "reason": "image_format"}, "image_format"),
        ({"reason": "image_decode"}, "image_decode"),
        ({"kind": "HTML", "width": None, "reason": "image_decode"}, "image_decode"),
        ({"aesthetic": 3.69}, "image_unattractive"),
        ({"aesthetic": 3.7}, None),
        ({"unsafe": 0.81}, "image_unsafe"),
        ({"unsafe": 0.8}, None),
        ({"is_animated": True}, None),
    ],
)
def test_contents_have_their_reasons(changed: Mapping[str, object], reason: str | None) -> None:
    facts = replace(GOOD, **changed)  # type: ignore[arg-type]
    assert verdict(_fetched(facts=facts), ImageConfig()) == reason


def test_every_limit_can_be_switched_off() -> None:
    cfg = ImageConfig(
        min_side=None, max_aspect_ratio=None, max_side=None, max_pixels=None, max_bytes=None,
        min_aesthetic=None, max_unsafe=None, max_documents=None, ad_words=(), ad_names=(),
        formats=("PNG", "GIF"),
    )  # fmt: skip
    facts = replace(GOOD, kind="GIF", width=90_000, height=1, aesthetic=0.0, unsafe=1.0)
    assert verdict(replace(_fetched(facts=facts), size_bytes=1 << 40), cfg) is None
    assert wanted_images(_document("http://a.example/ads/logo.png"), cfg)
    assert set(filters_off(cfg)) == {
        "min_side", "max_aspect_ratio", "max_side", "max_pixels", "max_bytes", "min_aesthetic",
        "max_unsafe", "max_documents", "ad_words",
    }  # fmt: skip


def test_animated_images_may_be_refused() -> None:
    moving = _fetched(facts=replace(GOOD, is_animated=True))
    assert verdict(moving, ImageConfig(allow_animated=False)) == "image_animated"


def test_a_filter_without_its_scorer_is_said_to_be_off() -> None:
    assert filters_off(ImageConfig()) == {
        "min_aesthetic": "no scorer given",
        "max_unsafe": "no scorer given",
    }
    cfg = ImageConfig(scorers={"unsafe": ImageScorerFile()}, min_aesthetic=None)
    assert filters_off(cfg) == {"min_aesthetic": "switched off"}
    scorers = ImageScorers(aesthetic=lambda images: [5.0] * len(images))
    assert filters_off(ImageConfig(), scorers) == {"max_unsafe": "no scorer given"}


def test_images_are_judged_and_stay_in_their_place() -> None:
    good, ad, gone, earlier = (f"http://a.example/{n}.png" for n in ("a", "banner", "gone", "d"))
    document = _document(good, ad, gone, earlier)
    marked = replace(document.blocks[7], image=WebImage(url=earlier, dropped="sidebar"))
    document = replace(document, blocks=(*document.blocks[:7], marked, *document.blocks[8:]))
    asked: list[str] = []

    def lookup(url: str) -> Fetched:
        asked.append(url)
        return _fetched(url) if url == good else Fetched(url=url, reason="image_unavailable")

    judged = filter_images(document, lookup, ImageConfig())
    assert isinstance(judged, Document)
    reasons = [image.dropped for image in judged.images]
    assert reasons == [None, "image_ad_url", "image_unavailable", "sidebar"]
    assert asked == [good, gone]
    assert valid_images(judged) == (True, False, False, False)
    assert [block.text for block in judged.blocks] == [block.text for block in document.blocks]
    first = judged.images[0]
    assert (first.width, first.height, first.size_bytes, first.p_hash) == (
        400,
        300,
        1000,
        "00ff" * 4,
    )
    assert judged.scores["min_images"] == 1


@pytest.mark.parametrize("urls", [(), ("http://a.example/a.png",) * 2])
def test_a_document_left_without_an_image_goes(urls: tuple[str, ...]) -> None:
    small = lambda url: _sized(10, 10)  # noqa: E731
    dropped = filter_images(_document(*urls), small, ImageConfig())
    assert isinstance(dropped, Dropped)
    assert (dropped.stage, dropped.reason, dropped.threshold) == ("image", "no_valid_image", 1)
    assert dropped.value == ("image_too_small 2" if urls else "no image")
    assert dropped.document is not None
    assert valid_images(dropped.document) == (False,) * len(urls)
    assert isinstance(filter_images(_document(*urls), small, ImageConfig(min_images=0)), Document)


@pytest.mark.parametrize(("p", "d", "is_kept"), [(10, 10, True), (11, 1, False), (1, 11, False)])
def test_an_image_in_more_than_ten_documents_goes_by_either_hash(
    p: int, d: int, is_kept: bool
) -> None:
    judged = filter_images(_document("http://a.example/a.png"), _fetched, ImageConfig())
    assert isinstance(judged, Document)
    counts = {("p", "00ff" * 4): p, ("d", "0f0f" * 4): d}
    found = drop_frequent(judged, lambda kind, value: counts[kind, value], ImageConfig())
    assert isinstance(found, Document) == is_kept
    document = found.document if isinstance(found, Dropped) else found
    assert document is not None
    image = document.images[0]
    assert (image.p_count, image.d_count) == (p, d)
    assert image.dropped == (None if is_kept else "image_too_frequent")


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://a.example/ads/side.png", "ads"),
        ("http://a.example/img/top-banner_300x250.png", "banner"),
        ("http://ad.doubleclick.net/x.gif", "ad"),
        ("http://a.example/1x1.gif", "1x1"),
        ("http://a.example/img/tracking.gif?id=3", "tracking"),
        ("http://a.example/Logo.PNG", "logo"),
        ("http://a.example/img/logo-200x80.png", "logo"),
        ("http://a.example/icons.png", "icon"),
        ("http://a.example/avatar_64.jpg", "avatar"),
        ("http://a.example/button@2x.png", "button"),
        ("http://a.example/images/tab-menu-button.png", None),
        ("http://a.example/images/icons/saturn.png", None),
        ("http://a.example/adam/shadow/roads.png", None),
        ("http://a.example/uploads/photo.png?size=banner", None),
        ("http://a.example/the-pixel-artist.png", None),
    ],
)
def test_words_of_an_address_tell_advertising_and_furniture(url: str, word: str | None) -> None:
    assert ad_word(url) == word


@given(st.text(max_size=60))
def test_any_address_can_be_judged_by_its_words(text: str) -> None:
    assert ad_word(f"http://a.example/{text}") in {
        None,
        *ImageConfig().ad_words,
        *ImageConfig().ad_names,
    }


@given(
    width=st.integers(1, 30_000), height=st.integers(1, 30_000), size=st.integers(0, 1 << 26),
    reason=st.sampled_from(["", "image_decode"]), kind=st.sampled_from(["PNG", "GIF", "JPEG"]),
)  # fmt: skip
def test_every_verdict_has_a_name(
    width: int, height: int, size: int, reason: str, kind: str
) -> None:
    facts = replace(GOOD, kind=kind, width=width, height=height, reason=reason)
    found = verdict(replace(_fetched(facts=facts), size_bytes=size), ImageConfig())
    assert found is None or found in REASONS
    if found is None:
        assert min(width, height) >= 150
        assert max(width, height) <= 2 * min(width, height)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"formats": ("TIFF",)}, "formats is TIFF"),
        ({"formats": ()}, "formats is empty"),
        ({"min_side": 0}, "min_side is 0"),
        ({"max_aspect_ratio": 0.5}, "max_aspect_ratio is 0.5"),
        ({"min_images": -1}, "min_images is -1"),
        ({"scorers": {"beauty": ImageScorerFile()}}, "'beauty' is no scorer"),
    ],
)
def test_settings_that_cannot_hold_are_refused(setting: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ImageConfig(**setting)  # type: ignore[arg-type]


def test_the_threshold_of_the_score_is_told() -> None:
    assert thresholds(ImageConfig(min_images=2)) == {"min_images": 2.0}


@pytest.mark.golden
def test_words_of_addresses_hit_no_image_that_the_goldens_keep(golden: GoldenFile) -> None:
    rows = map(json.loads, golden("omnicorpus", "expected_images.jsonl").read_text().splitlines())
    for row in rows:
        assert (ad_word(row["url"]) is not None) == (row["reason"] == "image_ad_url"), row
