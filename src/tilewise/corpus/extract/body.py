"""Which part of a page is its body, and which sections beside it belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tilewise.corpus.extract.patterns import body_rank
from tilewise.corpus.extract.prune import Pruned
from tilewise.errors import ConfigError

_RANKS: Final = (1, 2, 3, 4, 5)
_CONTAINERS: Final = frozenset("div section article main body html td form center".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyConfig:
    """How the body is chosen.

    A selector's element is taken if it has more than ``body_units`` outside links and at least
    ``body_share`` of all; otherwise the smallest element with ``whole_share`` of all that leaves
    no image, heading or ``sentence_units`` outside it. Where the body has less than
    ``enough_share`` of all, sections beside it are added again that have ``dense_units`` outside
    links and a link share below ``dense_link_share``.

    Source: OmniCorpus (arXiv 2406.08418), section on main body extraction, for the selectors and
    the 20; how sections are added again is not published, the shares are ours.
    """

    body_units: int = 20
    body_share: float = 0.35
    whole_share: float = 0.85
    enough_share: float = 0.7
    dense_units: int = 40
    sentence_units: int = 10
    dense_link_share: float = 0.25

    def __post_init__(self) -> None:
        for name in ("body_share", "whole_share", "enough_share", "dense_link_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; a share from 0 to 1 is allowed. Set it so."
                )


def choose_body(pruned: Pruned, cfg: BodyConfig) -> list[int]:
    """Choose what is read: nodes in reading order, none inside another.

    Time is linear in the page: each node is looked at once for the selectors, and the children of
    those on one way from the root.
    """
    whole = pruned.sums.plain(0)
    body = _selected(pruned, whole, cfg)
    if body is None:
        body = _smallest(pruned, whole * cfg.whole_share, cfg)
    nodes = [body]
    if pruned.sums.plain(body) < cfg.enough_share * whole:
        nodes += _dense(pruned, body, cfg)
    title = _title(pruned, body)
    return sorted({*nodes, *title})


def _selected(pruned: Pruned, whole: int, cfg: BodyConfig) -> int | None:
    """The element of the first selector that finds enough."""
    tree, gone, sums = pruned.tree, pruned.is_gone, pruned.sums
    best: dict[int, tuple[int, int]] = {}
    at, size = 1, len(tree)
    while at < size:
        if gone[at]:
            at = tree.ends[at]
            continue
        tag, attributes = tree.tags[at], tree.attributes[at]
        if tag in _BODIES and (attributes or tag in ("article", "main")):
            rank = body_rank(
                tag,
                attributes.get("class", ""),
                attributes.get("id", ""),
                attributes.get("role", ""),
                attributes.get("itemprop", ""),
            )
            if rank:
                plain = sums.plain(at)
                if plain > best.get(rank, (0, 0))[0]:
                    best[rank] = (plain, at)
        at += 1
    for rank in _RANKS:
        plain, node = best.get(rank, (0, 0))
        if plain > cfg.body_units and plain >= cfg.body_share * whole:
            return node
    return None


_BODIES: Final = frozenset("div section article main td span form table center".split())


def _smallest(pruned: Pruned, least: float, cfg: BodyConfig) -> int:
    """The innermost element that holds at least so much, with nothing beside it that is text."""
    tree, gone, sums = pruned.tree, pruned.is_gone, pruned.sums
    node = 0
    while True:
        children = [child for child in tree.children(node) if not gone[child]]
        fit = [
            child
            for child in children
            if tree.tags[child] in _CONTAINERS and sums.plain(child) >= max(least, 1)
        ]
        if not fit or any(_is_content(pruned, one, cfg) for one in children if one != fit[0]):
            return node
        node = fit[0]


def _is_content(pruned: Pruned, node: int, cfg: BodyConfig) -> bool:
    """Whether a small part holds an image, a heading, or a sentence."""
    units, linked = pruned.sums.of(node)
    if linked > cfg.dense_link_share * units:
        return False
    has_more = pruned.tree.images_in(node) or pruned.tree.headings_in(node)
    return bool(has_more) or units - linked >= cfg.sentence_units


def _dense(pruned: Pruned, body: int, cfg: BodyConfig) -> list[int]:
    """Sections beside the body, or beside what it lies in, that are text and not links."""
    tree, gone, sums = pruned.tree, pruned.is_gone, pruned.sums
    found, inner = [], body
    while (outer := tree.parents[inner]) >= 0:
        for child in tree.children(outer):
            if child == inner or gone[child]:
                continue
            units, linked = sums.of(child)
            if units - linked >= cfg.dense_units and linked < cfg.dense_link_share * units:
                found.append(child)
        inner = outer
    return found


def _title(pruned: Pruned, body: int) -> list[int]:
    """The main heading before the body, if the body has none."""
    tree, gone = pruned.tree, pruned.is_gone
    if tree.headings_in(body) and "h1" in tree.tags[body : tree.ends[body]]:
        return []
    at = 1
    while at < body:
        if gone[at]:
            at = tree.ends[at]
        elif tree.tags[at] == "h1" and tree.ends[at] <= body:
            text = tree.text(at)
            return [at] if text and text in tree.head.title else []
        else:
            at += 1
    return []
