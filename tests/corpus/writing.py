"""Documents for tests of filters: prose that passes everything, and documents from blocks."""

from __future__ import annotations

from typing import Final

from tilewise.records import Block, BlockKind, Document, WebImage

PROSE: Final = (
    "The old mill stands where the river leaves the valley, and its wheel has not turned since "
    "the winter of the great flood. A family of bakers bought it in spring.",
    "They cleaned the stones with care, mended the roof, and hung a copper sign above the door "
    "so that walkers on the towpath would know that bread can be had here.",
    "Visitors may watch the dough being shaped from a narrow gallery. Children are allowed to "
    "press a pattern into one small loaf, which they take home at the end of the tour.",
    "In autumn the yard fills with carts of grain from farms around. Each load is weighed, then "
    "tipped through a hatch, and dust hangs golden in the light of late afternoon.",
)
"""Four paragraphs of English, about 120 words."""

CHINESE: Final = (
    "老磨坊坐落在河水流出山谷的地方，自从那年冬天发过大水以后，水轮就再也没有转动过。今年春天，"
    "一户做面包的人家把它买了下来。",
    "他们仔细清洗了石磨，修好了屋顶，又在门上挂起一块铜招牌，好让沿着小路散步的人知道这里能买到"
    "刚出炉的面包。",
    "参观的人可以站在窄窄的走廊上看师傅揉面。孩子们还能亲手在小面包上压出花纹，等到参观结束时带回家去。",
)
"""Three paragraphs of Chinese, about 140 ideographs."""


def block(text: str, kind: BlockKind = "text", level: int = 0) -> Block:
    """A block of text."""
    return Block(kind=kind, text=text, level=level)


def picture(url: str = "http://a.example/a.png") -> Block:
    """A block with an image."""
    return Block(kind="image", image=WebImage(url=url))


def document(*blocks: Block | str, lang: str = "", url: str = "http://a.example/") -> Document:
    """A document from blocks; a text stands for a paragraph."""
    made = tuple(block(one) if isinstance(one, str) else one for one in blocks)
    return Document(id="0" * 32, url=url, blocks=made, lang=lang)
