"""Printed dates are read right or not at all."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.structured.amounts import UnreadableError
from tilewise.structured.dates import ORDERS, Order, date_order, parse_date

MONTHS = "January February March April May June July August September October November December"
days = st.dates(datetime.date(1970, 1, 1), datetime.date(2067, 12, 31))
CLEAR = (
    "{y:04}-{m:02}-{d:02}", "{y:04}/{m}/{d}", "{d:02}.{m:02}.{y:04}", "{d}.{m}.{y2:02}",
    "{d} {name} {y:04}", "{name} {d}, {y:04}", "{d}-{short}-{y:04}", "{d}. {name} {y:04}",
    "{short}. {d}, {y:04}", "{d}th of {name} {y:04}", "{y:04} {short} {d}",
    "Saturday, {d} {name} {y:04}", "{y:04}-{m:02}-{d:02}T10:22:05Z", "{d} {short} {y2:02}",
)  # fmt: skip
NUMERIC: dict[Order, tuple[str, ...]] = {
    "dmy": ("{d}/{m}/{y:04}", "{d:02}-{m:02}-{y2:02}", "{d:02} / {m:02} / {y:04}"),
    "mdy": ("{m}/{d}/{y:04}", "{m:02}-{d:02}-{y2:02}", "{m:02}/{d:02}/{y:04} 3:05 pm"),
}


def printed(day: datetime.date, form: str) -> str:
    """A date in one of the forms above."""
    name = MONTHS.split()[day.month - 1]
    return form.format(
        y=day.year, y2=day.year % 100, m=day.month, d=day.day, name=name, short=name[:3]
    )


def reading(text: str) -> str:
    """The date, or why there is none."""
    try:
        return parse_date(text)
    except UnreadableError as err:
        return str(err)


@given(days, st.sampled_from(CLEAR))
def test_a_clear_date_is_read_back(day: datetime.date, form: str) -> None:
    text = printed(day, form)
    assert parse_date(text) == day.isoformat()
    assert parse_date(text, "mdy", is_strict=True) == day.isoformat()
    assert date_order(text) is None


@given(days, st.sampled_from(ORDERS), st.integers(0, 2))
def test_a_date_of_numbers_is_read_right_or_not_at_all(
    day: datetime.date, order: Order, form: int
) -> None:
    text = printed(day, NUMERIC[order][form])
    assert parse_date(text, order) == day.isoformat()
    assert date_order(text) in (order, None)
    read = reading(text)
    assert read == day.isoformat() or "x-date-order" in read


@given(st.text(max_size=60) | st.text("0123456789./- JanMrzT:", max_size=24))
def test_any_text_is_a_date_or_unreadable(text: str) -> None:
    read = reading(text)
    assert "date" in read or datetime.date.fromisoformat(read)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("14. März 2026", "2026-03-14"),
        ("1er janvier 2026", "2026-01-01"),
        ("14 août 2026", "2026-08-14"),
        ("14 de marzo de 2026", "2026-03-14"),
        ("3 mei 2026", "2026-05-03"),
        ("2 gennaio 2026", "2026-01-02"),
        ("14/03/69", "1969-03-14"),
        ("14.03.68", "2068-03-14"),
        ("29 Feb 2024", "2024-02-29"),
        ("03/03/2025", "2025-03-03"),
    ],
)
def test_forms_of_print(text: str, day: str) -> None:
    assert parse_date(text) == day


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "March 2026", "31/02/2026", "29 Feb 2023", "14 jui 2026", "14/13/2026"),
        *("2026", "14/03", "12 34 2026", "14 March 26 March", "0/0/2026", "2026-3-14-1"),
    ],
)
def test_what_is_no_date_is_not_read_as_one(text: str) -> None:
    with pytest.raises(UnreadableError):
        parse_date(text)


def test_a_date_with_two_readings_is_not_guessed() -> None:
    with pytest.raises(UnreadableError, match="2025-03-04 or 2025-04-03"):
        parse_date("03/04/2025")


def test_a_strict_order_refuses_the_other_print() -> None:
    assert parse_date("14/03/2026", "mdy") == "2026-03-14"
    with pytest.raises(UnreadableError):
        parse_date("14/03/2026", "mdy", is_strict=True)
