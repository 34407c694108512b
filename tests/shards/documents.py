"""Documents as hypothesis draws them, and one with a bit of everything."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from tilewise.records import Block, BlockKind, Document, Dropped, WebImage

TEXT_KINDS: tuple[BlockKind, ...] = (
    "text", "header", "list", "table", "code", "quote", "detail", "video", "audio",
)  # fmt: skip

numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
counts = st.none() | st.integers(0, 2**40)

images = st.builds(
    WebImage,
    url=words,
    alt=words,
    caption=words,
    width=counts,
    height=counts,
    size_bytes=counts,
    p_hash=st.none() | words,
    d_hash=st.none() | words,
    p_count=counts,
    d_count=counts,
    aesthetic=st.none() | numbers,
    unsafe=st.none() | numbers,
    dropped=st.none() | words,
)
text_blocks = st.builds(
    Block, kind=st.sampled_from(TEXT_KINDS), text=words, level=st.integers(0, 6)
)
image_blocks = st.builds(Block, kind=st.just("image"), image=images)
documents = st.builds(
    Document,
    id=words,
    url=words,
    blocks=st.lists(text_blocks | image_blocks, max_size=6).map(tuple),
    title=words,
    captured=words,
    archive=words,
    offset=st.integers(0, 2**60),
    lang=words,
    lang_score=st.none() | numbers,
    license=words,
    license_source=words,
    scores=st.dictionaries(words, st.none() | numbers, max_size=4),
)
dropped = st.builds(
    Dropped,
    id=words,
    url=words,
    stage=words,
    reason=words,
    value=st.none() | words | numbers,
    threshold=st.none() | words | numbers,
    document=st.none() | documents,
)


def document(number: int = 0, images: int = 1, words: int = 8) -> Document:
    """A document with an image in front of each of its paragraphs, and one heading."""
    draw = random.Random(number)
    blocks = [Block(kind="header", text=f"Heading {number}", level=1)]
    for n in range(images):
        picture = WebImage(
            url=f"https://img.example/{number}/{n}.png",
            alt=f"picture {n} of document {number}",
            width=40,
            height=30,
            size_bytes=1000 + n,
            p_hash=f"{number:016x}",
            d_hash=f"{n:016x}",
            p_count=1,
            d_count=1,
            aesthetic=5.5,
            unsafe=0.25,
        )
        blocks.append(Block(kind="image", image=picture))
        blocks.append(Block(kind="text", text=_words(draw, words + n)))
    return Document(
        id=f"{number:032x}",
        url=f"https://page.example/{number}",
        blocks=tuple(blocks),
        title=f"Page {number}",
        captured="2023-10-01T05:36:00Z",
        archive="golden.warc.gz",
        offset=17 * number,
        lang="en",
        lang_score=0.9,
        license="CC0-1.0",
        license_source="rel=license",
        scores={"mean_word_length": 4.5, "fluency": None},
    )


def _words(draw: random.Random, count: int) -> str:
    """Words that no compression makes much shorter."""
    return " ".join(f"{draw.getrandbits(4 * draw.randint(2, 9)):x}" for _ in range(count))
