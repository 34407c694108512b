"""Names of classes, ids and roles: which say that an element is no part of the text, or is it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final


class Sign:
    """What an element's names say of it, as bits of a number."""

    SURE: Final = 1  # never part of the text: navigation, advertising, cookies, sharing
    LIKELY: Final = 2  # no text where it is short or full of links: sidebar, meta, author
    COMMENTS: Final = 4
    NOTE: Final = 8  # a box of the text itself: note, tip, warning
    FIGURE: Final = 16
    CAPTION: Final = 32
    POSTS: Final = 64  # one of a list of posts
    GUTTER: Final = 128  # line numbers beside code


_SURE: Final = frozenset(
    """ad ads advert adverts advertisement advertisements advertising adsense adsbygoogle adslot
    adbox adunit adwrap adcontainer adblock sponsor sponsored sponsors sponsorship promo promos
    promoted promotion doubleclick outbrain taboola criteo dfp mgid revcontent zergnet guanggao
    nav navbar navi navigation subnav topnav breadcrumb breadcrumbs crumbs mianbao daohang
    pagination pager pagenavi navheader navfooter prevnext pagenav nextprev
    footer colophon sitefooter
    cookie cookies consent gdpr ccpa newsletter newsletters subscribe subscription signup optin
    mailchimp paywall related relatedposts recommended recommendation recommendations recommend
    tuijian xiangguan yarpp crosssell upsell
    share shares sharing sharebar sharethis addthis addtoany sharedaddy fenxiang social socials
    socialmedia syndication viral followus
    popup popover modal lightbox dialog interstitial
    skiplink skiplinks printonly
    mathjax""".split()
)

_LIKELY: Final = frozenset(
    """sidebar sidebars aside widget widgets banner banners header masthead topbar bottombar toolbar
    meta metadata postmeta tags tag tagcloud tagged category categories author authors bio byline
    avatar rating ratings stars vote votes button buttons btn menu menus submenu dropdown timestamp
    userinfo profile attachment attachments search searchbox searchform login signin register
    teaser teasers popular trending latest recent mostread archive archives quicklinks links
    linklist copyright disclaimer hotnews rank ranking paihang zuozhe laiyuan editor zeren icon
    icons logo logos toc tableofcontents readmore more nextpost prevpost embed blurred obfuscated
    countdown overlay tooltip sitemap""".split()
)

_COMMENTS: Final = frozenset(
    """comment comments commentlist commentlists commentbox commentform commentary disqus respond
    reply replies livefyre pinglun liuyan guestbook""".split()
)

_HIDDEN: Final = frozenset("hidden visuallyhidden invisible screenreader".split())

_NOTES: Final = frozenset(
    """note notes tip tips warning important caution admonition callout hint info danger example
    infobox attention seealso footnote footnotes footnotelist epigraph""".split()
)

_FIGURES: Final = frozenset(
    "figure figures wpcaption imageblock thumb thumbinner mediaobject informalfigure".split()
)
_CAPTIONS: Final = frozenset("caption captiontext figcaption thumbcaption imagecaption".split())
_POSTS: Final = frozenset("post posts blog".split())
_GUTTERS: Final = frozenset("linenos lineno linenumber linenumbers linenodiv gutter gl".split())

_STARTS: Final = (
    "breadcrumb", "navbar", "advertis", "newsletter", "cookie", "taboola", "outbrain", "adsby",
    "sharethis", "googlead",
)  # fmt: skip
_ENDS: Final = ("nav", "navbar", "navigation", "footer", "breadcrumbs")
_LIKELY_STARTS: Final = ("sidebar", "widget", "banner", "topbar")
_LIKELY_ENDS: Final = ("sidebar", "menu", "widget", "banner", "header")
_COMMENT_STARTS: Final = ("disqus", "comment")

_WORDS: Final = 4
"""A name of more words is a heading turned into an anchor."""

_SURE_ROLES: Final = frozenset(
    """navigation contentinfo search dialog alertdialog menu menubar tablist toolbar tooltip
    doc-toc doc-pagelist""".split()
)
_LIKELY_ROLES: Final = frozenset(("banner", "complementary", "form"))


@lru_cache(maxsize=1 << 14)
def sign_of(classes: str, identity: str, role: str) -> int:
    """What the names of an element say: its class, its id, its role."""
    sign = 0
    for part in (*classes.split()[:30], identity):
        sign |= _of_name(part[:80])
    role = role.strip().lower()
    if role in _SURE_ROLES:
        sign |= Sign.SURE
    elif role in _LIKELY_ROLES:
        sign |= Sign.LIKELY
    if role == "figure":
        sign |= Sign.FIGURE
    return sign


@lru_cache(maxsize=1 << 14)
def _of_name(name: str) -> int:
    """What one name says, such as ``post-meta`` or ``leftSidebar``."""
    words = _parts(name)
    if len(words) > _WORDS:
        return 0
    # the whole name counts too, so that "ad-slot" is "adslot" and "wp-caption" is "wpcaption"
    known = {*words, "".join(words)}
    sign = 0
    if known & _COMMENTS or any(word.startswith(_COMMENT_STARTS) for word in known):
        sign |= Sign.COMMENTS
    if known & _SURE or _any(known, _STARTS, _ENDS):
        sign |= Sign.SURE
    if known & _LIKELY or known & _HIDDEN or _any(known, _LIKELY_STARTS, _LIKELY_ENDS):
        sign |= Sign.LIKELY
    for names, meant in _NAMED:
        if known & names:
            sign |= meant
    return sign


_NAMED: Final = (
    (_NOTES, Sign.NOTE),
    (_FIGURES, Sign.FIGURE),
    (_CAPTIONS, Sign.CAPTION),
    (_POSTS, Sign.POSTS),
    (_GUTTERS, Sign.GUTTER),
)


def _any(words: set[str], starts: tuple[str, ...], ends: tuple[str, ...]) -> bool:
    return any(word.startswith(starts) or word.endswith(ends) for word in words)


def _parts(name: str) -> list[str]:
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
    return [part for part in re.split(r"[^0-9a-z]+", split) if part]


_BODY_NAMES: Final = (
    # (rank, names that are wholly this, with "-" and "_" alike)
    re.compile(
        r"(?:\S*-)?(?:post|entry|article|story|news|page|art|blog)-?(?:content|body|text|entry)"
        r"|article-?main|articlebody|markdown-body|mw-(?:parser-output|content-text)"
        r"|rich-media-content|js-content|postbody|t-msgfont|topic-content"
    ),
    re.compile(r"(?:story|blog|section|single)-content|story|single-post|post-single|post"),
    re.compile(r"content-?(?:main|body)|main-?content|content|bodycontent|text-?content"),
    re.compile(r"main\S*"),
)
_RANKS: Final = (1, 3, 4, 5)


@lru_cache(maxsize=1 << 14)
def body_rank(tag: str, classes: str, identity: str, role: str, itemprop: str) -> int:
    """Which of the five selectors of a page's body an element meets first, 0 for none.

    Source: OmniCorpus (arXiv 2406.08418), released extractor: 1 names of an article's content, 2
    ``article``, 3 a story or post, 4 content, 5 main.
    """
    if "articlebody" in itemprop.lower():
        return 1
    names = [*classes.lower().replace("_", "-").split()[:30], identity.lower().replace("_", "-")]
    ranks = [
        rank
        for pattern, rank in zip(_BODY_NAMES, _RANKS, strict=True)
        if any(pattern.fullmatch(name[:80]) for name in names if name)
    ]
    if tag == "article":
        ranks.append(2)
    if role == "article":
        ranks.append(3)
    if tag == "main" or role == "main":
        ranks.append(5)
    return min(ranks, default=0)
