"""What is no part of a page's text, found by structure, by names and by links.

All of it works on flat lists in reading order: an element that goes is stepped over with all that
lies in it, so that time is linear in the page, however it is nested.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tilewise.corpus.extract.patterns import Sign, sign_of
from tilewise.corpus.extract.tree import Attributes, Sums, Tree
from tilewise.errors import ConfigError

_NEVER: Final = frozenset(("html", "body", "main", "figure", "figcaption"))
_GONE: Final = frozenset(("nav", "footer"))
_INLINE: Final = frozenset(
    """a abbr acronym b bdi bdo big cite code del dfn em font i img ins kbd mark q s samp small span
    strike strong sub sup time tt u var wbr picture source amp-img noscript-img iframe video audio
    track""".split()
)
_UNNAMED: Final = frozenset("pre h1 h2 h3 h4 h5 h6 tr td th thead tbody tfoot caption".split())
"""Elements whose names are not believed when they say what is only likely."""
_LEAVES: Final = frozenset("p li dt dd ul ol dl table".split())
_FRAMES: Final = frozenset("div section article aside center td".split())
_CELL_LINKS: Final = 3  # a cell of a table with fewer is data
_GROUPED: Final = frozenset("p div section article ul li dl dt dd".split())
_MORE: Final = (
    "read",
    "more",
    "...",
    "…",
    "阅读",
    "更多",
    "详细",
    "detail",
    "article",
    "blog",
    "news",
)
_NAMED_LIKE: Final = 40
"""Nodes of an element that are looked at to compare it with others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneConfig:
    """What goes. Shares are of the length of the text, which counts words and CJK letters.

    ``group`` siblings of one tag are a candidate list, ``group_sure`` one that need not look
    alike; ``likeness`` is the mean share of equal tags and classes. A group goes if each has a
    link share of at least ``link_share_paragraph``, ``link_share_block``, ``link_share_item``; an
    item with more than ``item_units`` outside links stays. ``link_share`` sends a single block
    away. Short blocks full of links: ``short_signs`` characters, ``short_signs_last`` for the last
    of its parent; paragraphs ``short_paragraph`` and ``short_paragraph_last``. An element whose
    name is sure to be no text stays all the same with a heading and ``sure_units`` outside links;
    one whose name is ``likely`` no text stays with ``likely_units`` outside links and a link share
    below ``likely_link_share``, or with a heading or ``likely_unlinked_units`` and no link at all.

    Source: OmniCorpus (arXiv 2406.08418), released extractor. There an item goes with any link at
    all, which takes lists of prose from manuals; half of it in links is asked here.
    """

    link_share: float = 0.8
    link_share_paragraph: float = 0.8
    link_share_block: float = 0.2
    link_share_item: float = 0.5
    item_units: int = 50
    group: int = 4
    group_sure: int = 15
    likeness: float = 0.84
    short_signs: int = 100
    short_signs_last: int = 300
    short_paragraph: int = 30
    short_paragraph_last: int = 60
    short_link_share: float = 0.5
    sure_units: int = 200
    likely_units: int = 40
    likely_unlinked_units: int = 20
    likely_link_share: float = 0.3
    left_units: int = 20

    def __post_init__(self) -> None:
        for name in ("link_share", "link_share_paragraph", "link_share_block", "link_share_item",
                     "likeness", "short_link_share", "likely_link_share"):  # fmt: skip
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; a share from 0 to 1 is allowed. Set it so."
                )


class Pruned:
    """A tree and what went from it: ``is_gone[i]`` for the first node of each part that went."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.is_gone = bytearray(len(tree))
        self.sums = Sums(tree)
        self._settled = 0

    def settle(self) -> None:
        """Leave what went out of the sums."""
        tree, gone, at = self.tree, self.is_gone, -1
        had = gone.count(1)
        if had == self._settled:
            return
        self._settled = had
        while (at := gone.find(1, at + 1)) >= 0:
            end = tree.ends[at]
            nothing = [0] * (end - at)
            for parts in (tree.units, tree.linked, tree.signs):
                parts[at:end] = nothing
            at = end - 1
        self.sums = Sums(tree)


def prune(tree: Tree, cfg: PruneConfig) -> Pruned:
    """Find what is no part of a page's text.

    Returns:
        The tree, with sizes that count what stays.
    """
    pruned = Pruned(tree)
    _by_names(pruned, cfg)
    pruned.settle()
    before = pruned.sums.plain(0)
    kept = bytes(pruned.is_gone)
    sizes = [list(part) for part in (tree.units, tree.linked, tree.signs)]
    blocks = [at for at, tag in enumerate(tree.tags) if tag and tag not in _INLINE]
    for tags in (_LEAVES, _FRAMES):  # a frame is judged by what its lists of links leave of it
        _by_links(pruned, blocks, tags, cfg)
        pruned.settle()
    if pruned.sums.plain(0) < cfg.left_units <= before:  # what empties a page is undone
        pruned.is_gone = bytearray(kept)
        tree.units, tree.linked, tree.signs = sizes
        pruned.sums = Sums(tree)
    return pruned


def _by_names(pruned: Pruned, cfg: PruneConfig) -> None:
    """Structure, and names of class, id and role."""
    tree, gone, sums = pruned.tree, pruned.is_gone, pruned.sums
    tags, attributes, ends = tree.tags, tree.attributes, tree.ends
    whole = left = sums.plain(0)
    at, size, article_end = 1, len(tags), 0
    while at < size:
        tag = tags[at]
        if not tag or tag in _NEVER or not (attributes[at] or tag in _STRUCTURE):
            at += 1
            continue
        if tag == "header":
            is_out = _is_site_header(pruned, at, is_in_article=at < article_end)
        else:
            is_out = _may_go(tag, attributes[at]) and _is_boilerplate(pruned, at, whole, left, cfg)
        if is_out:
            gone[at] = 1
            left -= sums.plain(at)
            at = ends[at]
            continue
        if tag == "article":
            article_end = max(article_end, ends[at])
        at += 1


def _is_boilerplate(pruned: Pruned, node: int, whole: int, left: int, cfg: PruneConfig) -> bool:
    tag, attributes = pruned.tree.tags[node], pruned.tree.attributes[node]
    plain = pruned.sums.plain(node)
    if _is_hidden(attributes):
        return plain * 2 <= whole
    sign = sign_of(
        attributes.get("class", ""), attributes.get("id", ""), attributes.get("role", "")
    )
    leaves_text = left - plain >= min(cfg.left_units, whole)
    if tag in _GONE:
        return leaves_text
    if tag == "aside":
        return not sign & Sign.NOTE
    if tag in _INLINE:  # a word in a sentence, unless it holds no text of its own
        return bool(sign & Sign.GUTTER) or (bool(sign & Sign.SURE) and plain == 0)
    if sign & (Sign.COMMENTS | Sign.GUTTER) and leaves_text:
        return True
    if sign & Sign.SURE and plain * 2 <= whole:
        return plain < cfg.sure_units or not pruned.tree.headings_in(node)
    is_likely = sign & Sign.LIKELY and not sign & (Sign.FIGURE | Sign.CAPTION)
    return bool(is_likely) and tag not in _UNNAMED and _is_slight(pruned, node, cfg)


_STRUCTURE: Final = frozenset(("nav", "footer", "aside", "header"))
_HIDING: Final = frozenset(("hidden", "aria-hidden", "style"))


def _may_go(tag: str, attributes: Attributes) -> bool:
    """Whether anything speaks against an element, which is to be asked of each one."""
    if tag in _STRUCTURE or not _HIDING.isdisjoint(attributes):
        return True
    names = attributes.get("class", ""), attributes.get("id", ""), attributes.get("role", "")
    return sign_of(*names) != 0


def _is_hidden(attributes: Attributes) -> bool:
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    style = attributes.get("style")
    if not style:
        return False
    style = style.replace(" ", "").lower()
    return "display:none" in style or "visibility:hidden" in style


def _is_site_header(pruned: Pruned, node: int, *, is_in_article: bool) -> bool:
    """A header above a site, and not that of an article."""
    units, linked = pruned.sums.of(node)
    if not pruned.tree.headings_in(node):
        return not is_in_article
    return linked * 2 >= units


def _is_slight(pruned: Pruned, node: int, cfg: PruneConfig) -> bool:
    """Short, or full of links: what a name says may be believed."""
    units, linked = pruned.sums.of(node)
    if not linked:
        return units < cfg.likely_unlinked_units and not pruned.tree.headings_in(node)
    if units - linked < cfg.likely_units:
        return True
    return linked >= cfg.likely_link_share * units


def _by_links(pruned: Pruned, blocks: list[int], judged: frozenset[str], cfg: PruneConfig) -> None:
    """Lists of links among elements of some tags, and short blocks made of links.

    ``blocks`` are all elements that are no part of a sentence.
    """
    tree, gone, linked = pruned.tree, pruned.is_gone, pruned.sums.linked
    tags, ends, links = tree.tags, tree.ends, tree.links
    after = 1
    for at in blocks:
        if at < after:
            continue
        end = ends[at]
        if gone[at]:
            after = end
        elif linked[end] == linked[at]:
            if links[end] == links[at]:
                after = end
        elif tags[at] in judged and _is_linked_block(pruned, at, cfg):
            gone[at] = 1
            after = end
        else:
            _drop_groups(pruned, at, judged & _GROUPED, cfg)


def _is_linked_block(pruned: Pruned, node: int, cfg: PruneConfig) -> bool:
    """A block that is nothing but links."""
    tree, sums = pruned.tree, pruned.sums
    tag = tree.tags[node]
    units, linked = sums.of(node)
    if not linked:
        return False
    if tree.images_in(node) == 1 and tree.ends[node] - node <= 8:
        return False  # a picture with its link
    if tree.headings_in(node) and units < cfg.item_units:
        return False  # a title that is a link to itself
    if tag == "td" and tree.links_in(node) < _CELL_LINKS:
        return False
    if tag not in ("p", "li", "dd") and linked >= cfg.link_share * units:
        return True
    is_last = tree.ends[node] == tree.ends[tree.parents[node]]
    if tag == "p":
        most = cfg.short_paragraph_last if is_last else cfg.short_paragraph
    else:
        most = cfg.short_signs_last if is_last else cfg.short_signs
    if sums.characters(node) >= most or linked < cfg.short_link_share * units:
        return False
    return linked > 0.8 * units or _has_short_links(tree, node)


def _has_short_links(tree: Tree, node: int) -> bool:
    """Whether most links, of a large part the first, are shorter than 10 characters."""
    links = short = 0
    for at in range(node, min(tree.ends[node], node + _NAMED_LIKE)):
        if tree.tags[at] == "a":
            links += 1
            short += sum(tree.signs[at : min(tree.ends[at], at + _NAMED_LIKE)]) < 10
    return short > 0.8 * links


def _drop_groups(pruned: Pruned, node: int, judged: frozenset[str], cfg: PruneConfig) -> None:
    """Send lists of links among a node's children away."""
    tree, gone = pruned.tree, pruned.is_gone
    groups: dict[str, list[int]] = {}
    for child in tree.children(node):
        if tree.tags[child] in judged and not gone[child]:
            groups.setdefault(tree.tags[child], []).append(child)
    for tag, group in groups.items():
        if not _is_link_list(pruned, tag, group, cfg):
            continue
        first = group[0]
        names = tree.attributes[first].get("class", "")
        is_posts = bool(sign_of(names, "", "") & Sign.POSTS)
        longest = max(group, key=pruned.sums.plain)
        rest = sorted((pruned.sums.plain(one) for one in group), reverse=True)
        keeps = is_posts and (len(rest) < 2 or rest[0] <= 2 * rest[1])
        kept = {first} if keeps else {longest} if is_posts else set()
        for child in group:
            gone[child] = child not in kept


def _is_link_list(pruned: Pruned, tag: str, group: list[int], cfg: PruneConfig) -> bool:
    tree, sums = pruned.tree, pruned.sums
    if len(group) < 3:
        return False
    if len(group) < cfg.group and sum(_last_text(tree, one).endswith(_MORE) for one in group) < 3:
        return False
    heavy = 0
    for child in group:
        units, linked = sums.of(child)
        if tag in ("li", "dt", "dd"):
            is_heavy = linked > 0 and linked >= cfg.link_share_item * units
            is_heavy = is_heavy and units - linked <= cfg.item_units
        elif tag == "p":
            is_heavy = linked > 0 and linked >= cfg.link_share_paragraph * units
        else:
            is_heavy = linked > 0 and linked >= cfg.link_share_block * units
        heavy += is_heavy
    if heavy < len(group) and heavy < cfg.group_sure:
        return False
    return len(group) >= cfg.group_sure or _likeness(tree, group) >= cfg.likeness


def _last_text(tree: Tree, node: int) -> str:
    """The last text in a node, if it is among its last few nodes."""
    end = tree.ends[node]
    for at in range(end - 1, max(node, end - 8), -1):
        if text := tree.texts[at].strip():
            return text[-20:].lower()
    return ""


def _likeness(tree: Tree, group: list[int]) -> float:
    """How alike siblings are: mean share of equal tags and classes, without the lowest."""
    profiles = [_profile(tree, node) for node in group]
    scores = sorted(
        2 * sum((one & other).values()) / max(sum(one.values()) + sum(other.values()), 1)
        for one, other in pairwise(profiles)
    )
    kept = scores[1:] or scores
    return sum(kept) / len(kept)


def _profile(tree: Tree, node: int) -> Counter[tuple[str, str]]:
    end = min(tree.ends[node], node + _NAMED_LIKE)
    return Counter(
        (tree.tags[one], tree.attributes[one].get("class", ""))
        for one in range(node, end)
        if tree.tags[one]
    )
