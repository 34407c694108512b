"""Names and boxes in texts, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.errors import PromptError
from tilewise.records import Box, Evidence
from tilewise.text.grounding import Share, Shown, read_evidence, read_regions, write_region

ONE = [Shown(width=2000, height=500)]
NAMES = st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs"]), max_size=20)


def _boxes(text: str) -> list[tuple[float, ...]]:
    return [tuple(share) for region in read_regions(text) for share in region.shares]


def test_a_box_is_a_thousandth_of_the_page() -> None:
    text = "It is <ref>the title</ref><box>[[100, 200, 500, 1000]]</box>."
    assert read_evidence(text, ONE) == (
        Evidence(page=1, box=Box(200, 100, 1000, 500), text="the title"),
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("<box>[[1, 2, 3, 4]]</box>", [(0.001, 0.002, 0.003, 0.004)]),
        ("<box>[1,2,3,4]</box>", [(0.001, 0.002, 0.003, 0.004)]),
        ("<box>[[0,0,0,4], [500,0,1000,5]]</box>", [(0, 0, 0, 0.004), (0.5, 0, 1, 0.005)]),
        ("<ref>a</ref> <box>[[0.1, 0.2, 0.3, 1]]</box>", [(0.1, 0.2, 0.3, 1.0)]),
        ("<box>[[0, 0, 1, 1]]</box>", [(0, 0, 0.001, 0.001)]),
        ("<box>[[0.0, 0.0, 10.5, 1]]</box>", [(0, 0, 0.0105, 0.001)]),
        ("<box>[[300, 400, 100, 200]]</box>", [(0.1, 0.2, 0.3, 0.4)]),
        ("<box>[[-5, 2, 3000, 4]]</box>", [(0, 0.002, 1, 0.004)]),
        ("<quad>[[10, 10, 30, 12, 28, 40, 9, 38]]</quad>", [(0.009, 0.01, 0.03, 0.04)]),
        ("<quad>(10,10),(30,12),(28,40),(9,38)</quad>", [(0.009, 0.01, 0.03, 0.04)]),
        ("<box>(1,2),(3,4)</box>", [(0.001, 0.002, 0.003, 0.004)]),
    ],
)  # fmt: skip
def test_boxes_are_read(text: str, wanted: list[tuple[float, ...]]) -> None:
    assert _boxes(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a table [[1, 2, 3, 4]]",
        "<ref>a</ref>",
        "<box></box>",
        "<box>[[1, 2, 3]]</box>",
        "<box>[[1, 2, 3, 4, 5]]</box>",
        "<box>[[1, 2, 3, 4], [5, 6]]</box>",
        "<box>[[1, 2], [3, 4], [5, 6]]</box>",
        "<box>[[a, b, c, d]]</box>",
        "<box>[[1, 2, 3, 4]] or so</box>",
        "<box>[[1, 2, 3, 99999999999999999999]]</box>",
        "<box>[[nan, inf, 1e9, 0x1]]</box>",
        "<box>[[1, 2, 3, 4]]</quad>",
        "<box>[[1, 2, 3, 4]]",
        "<box><box>[[1, 2, 3, 4]]",
        "<box>1, 2, 3, 4</box>",
    ],
)
def test_what_is_no_list_of_boxes_stays_text(text: str) -> None:
    assert read_regions(text) == ()


def test_a_name_is_that_right_in_front() -> None:
    text = "<ref>a</ref> then <ref>b</ref>\n<box>[[1,2,3,4]]</box> <box>[[5,6,7,8]]</box>"
    assert [region.name for region in read_regions(text)] == ["b", ""]


PAGES = [Shown(width=1000, height=1000, name=f"Image-{n}") for n in (1, 2)] + [
    Shown(width=1000, height=1000, name="Frame1")
]


def test_of_several_pages_a_box_is_on_the_one_named_last() -> None:
    text = (
        "<box>[[1,2,3,4]]</box> In Image-2 <box>[[5,6,7,8]]</box>, image 1: <box>[[9,9,9,9]]</box>"
        " Frame-1 <box>[[2,2,2,2]]</box> as in Image-7 <box>[[3,3,3,3]]</box>"
    )
    found = [(item.page, item.box.left) for item in read_evidence(text, PAGES)]
    assert found == [(2, 5), (1, 9), (3, 2), (3, 3)]


@given(text=st.text(max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert all(item.page == 1 for item in read_evidence(text, ONE))


PARTS = st.sampled_from(
    "<ref> </ref> <box> </box> <quad> </quad> [ ] [[ ]] 1 22 1000 0.5 , ( ) a . -".split()
)


@given(parts=st.lists(PARTS, max_size=30))
def test_any_mixture_of_tags_is_read_without_an_error(parts: list[str]) -> None:
    for region in read_regions(" ".join(parts)):
        assert region.shares
        for share in region.shares:
            assert 0 <= share.left <= share.right <= 1
            assert 0 <= share.top <= share.bottom <= 1


@pytest.mark.parametrize("text", ["<ref>" * 50_000, "<box>[" * 50_000, "<box>" + "1 " * 50_000])
def test_long_nonsense_takes_no_long_time(text: str) -> None:
    assert read_regions(text + "</box>") == ()


SIZES = st.integers(1, 20_000)


@given(data=st.data(), name=NAMES, width=SIZES, height=SIZES)
def test_what_is_written_is_read_within_half_a_unit(
    data: st.DataObject, name: str, width: int, height: int
) -> None:
    def side(size: int) -> list[float]:
        return sorted(data.draw(st.lists(st.floats(0, size), min_size=2, max_size=2)))

    boxes = [Box(x[0], y[0], x[1], y[1]) for x, y in ((side(width), side(height)) for _ in "ab")]
    (region,) = read_regions(write_region(name, boxes, width, height))
    assert region.name == name.strip()
    for box, share in zip(boxes, region.shares, strict=True):
        back = share.on(width, height)
        for at, was, size in zip(back, box, (width, height, width, height), strict=True):
            assert abs(at - was) <= size / 2000 + 1e-9 * size


def test_boxes_are_written_as_published() -> None:
    boxes = [Box(10, 20, 30, 40), Box(-5, 0, 5000, 100)]
    written = "<ref>dog</ref><box>[[100, 100, 300, 200], [0, 0, 1000, 500]]</box>"
    assert write_region("dog", boxes, 100, 200) == written
    assert write_region("", boxes[:1], 100, 200) == "<box>[[100, 100, 300, 200]]</box>"


@pytest.mark.parametrize(("name", "boxes"), [("a", []), ("a</ref>", [Box(0, 0, 1, 1)])])
def test_what_could_not_be_read_again_is_not_written(name: str, boxes: list[Box]) -> None:
    with pytest.raises(PromptError, match="cannot be written"):
        write_region(name, boxes, 10, 10)


def test_a_share_of_a_page_is_in_its_pixels() -> None:
    assert Share(0, 0.5, 0.25, 1).on(400, 100) == Box(0, 50, 100, 100)
