"""Printed numbers are read right or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewise.structured.amounts import MARKS, Mark, UnreadableError, decimal_mark, parse_amount

amounts = st.builds(
    lambda units, places: Decimal(units).scaleb(-places),
    st.integers(-(10**12), 10**12),
    st.integers(0, 4),
)
AROUND = ("{}", "€ {}", "{} €", "EUR {}", "{} CHF", "${}", "US$ {}", "{} %", "kr {}", "{} zł")


def printed(value: Decimal, mark: Mark, gap: str, around: str, minus: str) -> str:
    """A number as a form prints it."""
    whole, _, part = f"{abs(value):f}".partition(".")
    groups = [whole[max(0, i - 3) : i] for i in range(len(whole), 0, -3)][::-1]
    body = gap.join(groups) + (mark + part if part else "")
    text = around.format(body)
    if value >= 0:
        return text
    return {"-": f"-{text}", "−": f"−{text}", "()": f"({text})", "end": f"{text}-"}[minus]


def reading(text: str) -> Decimal | str:
    """The number, or why there is none."""
    try:
        return parse_amount(text)
    except UnreadableError as err:
        return str(err)


@st.composite
def prints(draw: st.DrawFn) -> tuple[Decimal, Mark, str]:
    """A number, the mark it is printed with, and the print."""
    value, mark = draw(amounts), draw(st.sampled_from(MARKS))
    gap = draw(
        st.sampled_from(["", " ", "\u00a0", "\u202f", "'", "’", "." if mark == "," else ","])
    )
    around, minus = draw(st.sampled_from(AROUND)), draw(st.sampled_from(["-", "−", "()", "end"]))
    return value, mark, printed(value, mark, gap, around, minus)


@given(prints())
def test_a_print_is_read_back_where_the_mark_is_known(case: tuple[Decimal, Mark, str]) -> None:
    value, mark, text = case
    assert parse_amount(text, mark) == value
    assert parse_amount(text, mark, is_strict=True) == value


@given(prints())
def test_where_the_mark_is_not_known_a_print_is_read_right_or_not_at_all(
    case: tuple[Decimal, Mark, str],
) -> None:
    value, mark, text = case
    assert decimal_mark(text) in (mark, None)
    read = reading(text)
    assert read == value if isinstance(read, Decimal) else "may be" in read


@given(st.text(max_size=60) | st.text("0123456789.,'-+() €%", max_size=30))
def test_any_text_is_a_number_or_unreadable(text: str) -> None:
    read = reading(text)
    assert read.is_finite() if isinstance(read, Decimal) else read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3,413.75", "3413.75"),
        ("1.234,50 €", "1234.5"),
        ("12,34,567.50", "1234567.5"),
        ("1.234.567", "1234567"),
        ("CHF 100.–", "100"),
        ("100,-", "100"),
        ("0.125", "0.125"),
        ("0,125", "0.125"),
        (".5", "0.5"),
        ("007", "7"),
        ("-€5", "-5"),
        ("19 %", "19"),
        ("+3", "3"),
        ("12.", "12"),
    ],
)
def test_forms_of_print(text: str, value: str) -> None:
    assert parse_amount(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "n/a", "5 million", "$ 1.2M", "12 of 30", "3 x 4", "1,2,3", "1.2.3", "4417 9920 06"),
        *("--5", "1e5", "٣", "1/2", "5 - 7", "12:30", "Infinity", "NaN", "9" * 31, "1 2"),
    ],
)
def test_what_is_no_number_is_not_read_as_one(text: str) -> None:
    with pytest.raises(UnreadableError):
        parse_amount(text)


@pytest.mark.parametrize("text", ["1.234", "1,234", "$ 12,345"])
def test_a_number_with_two_readings_is_not_guessed(text: str) -> None:
    with pytest.raises(UnreadableError, match=r"may be .* or .*x-decimal"):
        parse_amount(text)


def test_a_strict_mark_refuses_the_other_print() -> None:
    assert parse_amount("1,50", ".") == Decimal("1.5")
    with pytest.raises(UnreadableError):
        parse_amount("1,50", ".", is_strict=True)


def test_a_unit_is_left_out_if_it_is_named() -> None:
    assert parse_amount("29 m", units=("m",)) == 29
    assert parse_amount("12.5kWh", units=("MWh", "kWh")) == Decimal("12.5")
    with pytest.raises(UnreadableError, match="x-unit"):
        parse_amount("29 m")
    with pytest.raises(UnreadableError):
        parse_amount("29 M", units=("m",))
