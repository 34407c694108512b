"""Page ranges as users write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.errors import SourceError
from tilewise.sources.ranges import parse_page_range


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("1", (1,)),
        ("1-3,7", (1, 2, 3, 7)),
        (" 2 , 4 - 5 ", (2, 4, 5)),
        ("7,1-2", (7, 1, 2)),
        ("1-3,2-4", (1, 2, 3, 4)),
        ("8-", (8, 9)),
        ("9-9", (9,)),
    ],
)
def test_a_range_names_its_pages_in_the_order_written(text: str, pages: tuple[int, ...]) -> None:
    assert parse_page_range(text, 9) == pages


@pytest.mark.parametrize("text", ["", ",", "1,", "-3", "a", "1-2-3", "1.5", "+1", "٣", "1 2", "²"])
def test_what_is_no_range_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SourceError, match=r"for example 1-3,7"):
        parse_page_range(text, 9)


@pytest.mark.parametrize("text", ["0", "0-2", "3-1"])
def test_ranges_from_zero_or_downwards_are_refused(text: str) -> None:
    with pytest.raises(SourceError, match="count from 1"):
        parse_page_range(text, 9)


@pytest.mark.parametrize("text", ["10", "2-10", "10-", "1-999999999"])
def test_beyond_the_end_names_the_real_count(text: str) -> None:
    with pytest.raises(SourceError, match=r"report.pdf has 9 pages; choose from 1 to 9"):
        parse_page_range(text, 9, "report.pdf")


def test_one_page_is_not_called_pages() -> None:
    with pytest.raises(SourceError, match="has 1 page;"):
        parse_page_range("2", 1)


@given(text=st.text(alphabet="0123456789-, x", max_size=12), count=st.integers(1, 40))
def test_any_text_gives_existing_pages_or_one_error(text: str, count: int) -> None:
    try:
        pages = parse_page_range(text, count)
    except SourceError:
        return
    assert pages
    assert len(set(pages)) == len(pages)
    assert all(1 <= page <= count for page in pages)
