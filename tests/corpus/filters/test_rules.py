"""The rules of English, each by what it takes and what it leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.corpus.writing import PROSE, block, document, picture
from tilewise.corpus.filters.config import FullFilterConfig
from tilewise.corpus.filters.detailed import ENGLISH, apply_rules, filter_full
from tilewise.corpus.filters.edits import Edit
from tilewise.records import Block, Document, WebImage

CFG = FullFilterConfig()
COMPAT = FullFilterConfig(compat="omnicorpus")
A, B, C, D = PROSE
LONG = "This sentence has more words than any of the rules on short notes would care for"


def only(rule: str, *blocks: Block | str, cfg: FullFilterConfig = CFG, url: str = "") -> list[str]:
    """What blocks say after one rule alone; an image says its URL."""
    off = frozenset(one.id for one in ENGLISH if one.id != rule)
    page = document(*blocks, lang="en", url=url)
    edited = apply_rules(page, replace(cfg, off=off)).document
    return [one.image.url if one.image else one.text for one in edited.blocks]


REMOVED = {
    "download_hints": ("For details on the new release, ask.", "The link is below."),
    "source_references": (
        "Special thanks to the bakers.",
        "First published by the town press in spring.",
        "All photo credits and copyright remain with the owners.",
        "The wheel is older than the house (cf. the town records).",
        "The wheel is older than the house (Miller, 2019)",
    ),
    "upper_case": ("BREAD AND CAKES FOR ALL", "ALL NEW TODAY, 9"),
    "numbers": ("12345 678", "2019/20"),
    "social_counters": ("1,204 likes", "88 Followers", "Leave a comment.", "12 Comments:"),
    "one_word": ("Bread", "Gallery"),
    "short_pattern": ("Sign in to see the prices.", "3 items in cart", "Read more about mills"),
    "flagged_paragraph": ("See porn here, free of charge.",),
    "header_footer": ("Our Services and prices of today", "Watch on YouTube right now", "Hi there"),
    "read_more": ("Learn more", "This story continues here: Click here", "Continue reading →"),
    "advertisement_line": ("Advertisement", "ADVERTISEMENT:"),
    "very_short": ("Two words", "One"),
    "too_short": ("Here are four words", "Three more words"),
    "social_media": (
        "See all 12 reviews",
        "Image copyright :",
        "For more info write to the town.",
        "The most viewed stories of the week are these.",
    ),
    "phone_time_author": (
        "By the staff of the paper",
        "The old wheel (Photo: T. Miller)",
        "The tour begins on 12 May 2020 at the gate.",
        "Doors open at 18:30 and close when the bread is sold.",
        f"{LONG}, so call 555-123-4567 to reserve a place.",
    ),
}


@pytest.mark.parametrize(("rule", "text"), [(r, t) for r, texts in REMOVED.items() for t in texts])
def test_a_rule_removes_the_paragraph_it_is_about(rule: str, text: str) -> None:
    assert only(rule, A, text, B) == [A, B]


KEPT = {
    "download_hints": "The details of the linked chain are shown on the wall.",
    "source_references": "We thank the bakers (and the millers) for their help in 2019.",
    "upper_case": "The NATO and UN flags hang there.",
    "numbers": "In 1990 there were 12 mills and 340 workers.",
    "social_counters": "The shared field likes water, and followers of the path see it.",
    "one_word": "Two words",
    "short_pattern": f"{LONG}, and one may sign in or sign up at the desk.",
    "flagged_paragraph": LONG,
    "header_footer": "The services of the mill are sought.",
    "read_more": "Walkers can read more about it at the gate.",
    "advertisement_line": "The advertisement hung there for years.",
    "very_short": "Now three words",
    "too_short": "These are just five words",
    "social_media": "Nobody likes a cold loaf, and reviews are mixed about it.",
    "phone_time_author": f"{LONG}, and on 12 May 2020 at 18:30 it was read at last by many.",
}


@pytest.mark.parametrize("rule", KEPT)
def test_a_rule_keeps_what_only_looks_like_it(rule: str) -> None:
    assert only(rule, A, KEPT[rule], B) == [A, KEPT[rule], B]


@pytest.mark.parametrize("rule", ["upper_case", "numbers", "one_word"])
def test_a_paragraph_near_an_image_is_spared(rule: str) -> None:
    text = REMOVED[rule][0]
    assert only(rule, A, text, B, picture("p"))[1] == text
    assert only(rule, A, text, B, C, picture("p")) == [A, B, C, "p"]
    gone = Block(kind="image", image=WebImage(url="p", dropped="image_format"))
    assert only(rule, A, text, B, gone) == [A, B, "p"]
    wide = replace(CFG, near_blocks=3)
    assert only(rule, A, text, B, C, picture("p"), cfg=wide)[1] == text


def test_1_a_newline_goes_unless_a_sentence_or_clause_ends_before_it() -> None:
    text = "The wheel\n  has not\nturned.\nIt stands:\nsince then"
    assert only("abnormal_newlines", text) == ["The wheel has not turned.\nIt stands:\nsince then"]


def test_2_a_long_run_of_underscores_parts_a_paragraph() -> None:
    found = only("long_underscores", f"{A} {'_' * 20} {B}", "a ______________ b")
    assert found == [A, B, "a ______________ b"]


def test_3_the_video_field_goes() -> None:
    assert only("video_field", "[Video] The wheel turns.", "[Video]") == ["The wheel turns."]


def test_4_incomplete_sentences_go_at_both_ends() -> None:
    found = only("incomplete_sentences", "Home > Mills", A, "Recipes:", f"{B} See the", "and so on")
    assert found == [A, "Recipes:", B]
    assert only("incomplete_sentences", "Mr. Miller bakes") == []
    assert only("incomplete_sentences", f'{A} He said "bread is life"', "(end of page)") == [
        f'{A} He said "bread is life"'
    ]
    head, code = block("A title", "header"), block("make all", "code")
    assert only("incomplete_sentences", head, code, A, code) == [
        "A title",
        "make all",
        A,
        "make all",
    ]


def test_15_a_heading_before_another_of_its_level_goes() -> None:
    one, two, deep = (block(t, "header", n) for t, n in (("One", 2), ("Two", 2), ("Deep", 3)))
    assert only("empty_heading", one, two, deep, A) == ["Two", "Deep", A]


def test_16_only_the_last_sentence_goes() -> None:
    assert only("read_more", f"{A} Read More »") == [A]
    assert only("read_more", f"{A} Read more.") == [f"{A} Read more."]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("See http://a.org/b?c=1.", "See."),
        ("the manual (http://x.com/y) of it", "the manual of it"),
        ("hosted on the debian.org domain, and", "hosted on the domain, and"),
        ("write to me@falcot.com in foo.tar.gz e.g. now", None),
        ("version 1.2.3 of a.out", None),
    ],
)
def test_17_urls_and_hosts_go(text: str, after: str | None) -> None:
    assert only("urls", text) == [text if after is None else after]


def test_18_captions_of_credits_go_and_images_without_a_source() -> None:
    found = only(
        "irrelevant_captions",
        block("Image heading", "header"),
        "Photo by a passer-by",
        picture("a.png"),
        "Source: the town",
        A,
        picture(""),
        picture("http://b.example/page.HTML?x"),
        "The old wheel",
        picture("b.png"),
        "An image that shows the wheel of the old mill",
    )
    assert found == [
        "Image heading",
        "a.png",
        A,
        "The old wheel",
        "b.png",
        "An image that shows the wheel of the old mill",
    ]


def test_19_a_dictionary_page_is_cut_where_its_quiz_begins() -> None:
    text = "A mill grinds grain. Take the quiz and test your vocabulary."
    there = "https://www.merriam-webster.com/dictionary/mill"
    assert only("advertisement_line", text, url=there) == ["A mill grinds grain."]
    assert only("advertisement_line", text) == [text]


def test_22_a_list_item_of_things_to_do_goes() -> None:
    items = (block("Things to do in town", "list", 1), block("A mill", "list", 1))
    assert only("aberrant_items", *items, "Things to do in town") == [
        "A mill",
        "Things to do in town",
    ]


def test_23a_numbered_references_go_with_their_marks() -> None:
    marked = "The wheel [1] is old [12]."
    assert only("numbered_references", marked, "[1] A book.", "[12] A map.") == [
        "The wheel is old."
    ]
    far = [marked, "[1] A book.", A, B, C, D, A]
    assert only("numbered_references", *far) == far


def test_23b_a_short_element_on_references_goes_with_all_after_it() -> None:
    found = only("references_sponsors", A, "Sponsored by a bank", block("References", "header"), B)
    assert found == [A]
    long = f"{LONG}: it is a reference for mills"
    assert only("references_sponsors", long, A) == [long, A]
    many: list[Block | str] = [block("References", "header"), *[A] * 24]
    assert only("references_sponsors", *many)[0] == "References"


@pytest.mark.parametrize(
    "text",
    [
        "Written on 3 March 2021",
        "2021-03-04",
        "March 4th, 2021",
        "at 12:45",
        "Follow @oldmill",
        "info@mill.example",
        "555-123-4567",
        "http://mill.example/",
        "Published on Monday",
    ],
)
def test_23c_short_notes_with_dates_and_addresses_go(text: str) -> None:
    assert only("date_handle", A, text, block(text, "list"), block(text, "code")) == [A, text]
    assert only("date_handle", f"{LONG} {text}") == [f"{LONG} {text}"]


def test_23d_a_closing_note_in_brackets_goes() -> None:
    assert only("closing_note", A, "(All prices include tax.)") == [A]
    both = "(All) prices include (tax)"
    assert only("closing_note", A, both) == [A, both]


def test_25_headings_with_an_author_go_too() -> None:
    heads = [block(t, "header", 2) for t in ("By A. Miller", "The wheel (Photo: B)", "A mill")]
    edited = apply_rules(document(*heads[:1], A, heads[1], B, heads[2], C, lang="en"), CFG)
    assert [b.text for b in edited.document.blocks if b.kind == "header"] == ["A mill"]
    assert {edit.rule for edit in edited.edits} == {"author_heading"}


def test_rules_are_applied_until_nothing_changes_and_at_most_three_times() -> None:
    # Removing the last note makes the one before it the last.
    notes = [f"({word} prices include the town's tax.)" for word in "All Most Some Few".split()]
    page = document(A, B, *notes, lang="en")
    cfg = replace(CFG, off=frozenset(one.id for one in ENGLISH if one.id != "closing_note"))
    edits = apply_rules(page, cfg).edits
    assert [(edit.round, edit.block) for edit in edits] == [(1, 5), (2, 4), (3, 3)]
    fixed, edits = apply_rules(page, replace(cfg, passes=9))
    assert len(edits) == 4
    assert apply_rules(fixed, cfg).edits == ()


def test_the_trace_tells_rule_round_block_and_text() -> None:
    trace: list[Edit] = []
    page = document(A, "Advertisement", B, f"{C} [Video]", D, lang="en")
    found = filter_full(page, CFG, trace=trace)
    assert trace == [
        Edit("video_field", 1, 3, f"{C} [Video]", C),
        Edit("one_word", 1, 1, "Advertisement", None),
    ]
    assert isinstance(found, Document)
    assert found.scores["edits_one_word"] == 1
    assert [one.text for one in found.blocks] == list(PROSE)


def test_every_rule_says_what_it_does_and_has_a_name_of_its_own() -> None:
    assert all(len(rule.says) > 10 for rule in ENGLISH)
    assert len({rule.id for rule in ENGLISH}) == len(ENGLISH)


def test_a_rule_that_is_off_is_not_applied() -> None:
    off = replace(CFG, off=frozenset({"too_short", "very_short", "incomplete_sentences"}))
    kept = apply_rules(document(A, "Here are four words", lang="en"), off).document
    assert [one.text for one in kept.blocks] == [A, "Here are four words"]


class TestCompat:
    """What the released code does where that differs from its description."""

    def test_17_leaves_urls(self) -> None:
        text = "See http://a.org/b for it."
        assert only("urls", text, cfg=COMPAT) == [text]

    def test_near_an_image_means_nothing(self) -> None:
        assert only("one_word", A, "Bread", picture("p"), cfg=COMPAT) == [A, "p"]

    def test_1_glues_words(self) -> None:
        assert only("abnormal_newlines", "a wheel\nturns", cfg=COMPAT) == ["a wheelturns"]

    def test_16_knows_no_titles_of_links(self) -> None:
        text = f"{A} View Full Post"
        assert only("read_more", text) == [A]
        assert only("read_more", text, cfg=COMPAT) == [text]

    def test_a_removed_line_takes_those_after_it_along(self) -> None:
        text = f"Bread\n{A}"
        assert only("one_word", text) == [text]
        assert only("one_word", text, cfg=COMPAT) == []
        assert only("one_word", f"{A}\nBread", cfg=COMPAT) == [A]
