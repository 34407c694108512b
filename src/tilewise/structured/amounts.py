"""Printed numbers: separators, currency signs, percentages, units.

Which of point and comma is the decimal mark is seldom told by one number alone. ``1.234,50``
tells, ``1.234`` does not; ``decimal_mark`` says what a number gives away, so that a form's
other numbers can decide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

Mark = Literal[".", ","]
MARKS: Final[tuple[Mark, ...]] = (".", ",")

MAX_DIGITS: Final = 30
"""More digits are no amount; they are a code that lost its spaces."""


class UnreadableError(ValueError):
    """A text that is not the value wanted; says why, to go on from "the answer ... "."""


_CURRENCIES: Final = frozenset(
    """AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KES
    KRW MAD MXN MYR NGN NOK NZD PEN PHP PLN RON RSD RUB SAR SEK SGD THB TRY TWD UAH USD VND ZAR
    EURO EUROS KR KR. FR. ZŁ KČ FT LEI RS RS. US$ A$ C$ R$ HK$ NZ$ AU$ CA$ S$""".split()
)
"""ISO 4217 codes in use on many forms, and what is printed in their place; case does not count."""

_MINUS: Final = dict.fromkeys(map(ord, "−–‒﹣－"), "-")
_SPACES: Final = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f\t\n"), " ")
_APOSTROPHES: Final = dict.fromkeys(map(ord, "’‘ʼ´`"), "'")
_NO_CENTS: Final = re.compile(r"[.,]-{1,2}$")
_WORD: Final = re.compile(r"^[^\s\d,'()+-]+|[^\s\d,'()+-]+$")


def parse_amount(
    text: str, mark: Mark | None = None, *, is_strict: bool = False, units: Sequence[str] = ()
) -> Decimal:
    """Read one printed number.

    Currency signs and codes and a percent sign are left out, so that ``19 %`` is 19; so are
    ``units``, and nothing else that is a word: ``5 million`` is not read as 5.

    Args:
        text: what is printed, e.g. ``"-1.234,50 €"``; ``(12.00)`` and ``12-`` are negative.
        mark: decimal mark that decides where the text alone does not tell.
        is_strict: the mark is known, so that a number written otherwise is refused.
        units: words that may stand after the number, as printed, e.g. ``("kg",)``.

    Raises:
        UnreadableError: it is no number, or one that can be read in two ways.
    """
    sign, body = _sign_and_body(text, units)
    readings = {m: value for m in MARKS if (value := _reading(body, m)) is not None}
    if is_strict and mark is not None:
        readings = {m: value for m, value in readings.items() if m == mark}
    if not readings:
        raise UnreadableError(f"is no number{_hint(text, units)}")
    if len(set(readings.values())) > 1:
        if mark is None:
            raise UnreadableError(
                f"may be {_plain(readings['.'])} or {_plain(readings[','])}; "
                'say which with "x-decimal"'
            )
        return sign * readings[mark]
    return sign * next(iter(readings.values()))


def decimal_mark(text: str, units: Sequence[str] = ()) -> Mark | None:
    """The decimal mark that a printed number gives away, e.g. "," of ``1.234,5``; often none."""
    try:
        _, body = _sign_and_body(text, units)
    except UnreadableError:
        return None
    if not any(m in body[:-1] for m in MARKS):  # the last may be a full stop
        return None
    marks = [m for m in MARKS if _reading(body, m) is not None]
    return marks[0] if len(marks) == 1 else None


def _sign_and_body(text: str, units: Sequence[str]) -> tuple[int, str]:
    """Take off currency, percent, units and sign; the body holds digits and separators only."""
    body = text.translate(_MINUS | _SPACES | _APOSTROPHES).strip()
    if not 0 < len(body) <= 200:
        raise UnreadableError("is no number")
    is_negative = body.startswith("(") and body.endswith(")")
    if is_negative:
        body = body[1:-1].strip()
    body, was_signed = _bare(body, units)
    body = _NO_CENTS.sub("", body)
    if not was_signed and body.endswith("-") and body[:-1].strip():
        body, was_signed = _bare("-" + body[:-1], units)
    if not re.fullmatch(r"[0-9.,' ]*[0-9][0-9.,' ]*", body) or body.count("-"):
        raise UnreadableError(f"is no number{_hint(text, units)}")
    if sum(c.isdigit() for c in body) > MAX_DIGITS:
        raise UnreadableError(f"has more than {MAX_DIGITS} digits")
    return (-1 if is_negative != (was_signed == "-") else 1), body


def _bare(body: str, units: Sequence[str]) -> tuple[str, str]:
    """Take words that are no part of a number off both ends, and one sign; returns the sign."""
    sign = ""
    while True:
        before = body
        for unit in units:
            if body.endswith(unit) and unit:
                body = body.removesuffix(unit).rstrip()
        for word in _WORD.findall(body):
            if _is_currency(word):
                body = body.removeprefix(word).removesuffix(word).strip()
        body = body.removesuffix("%").rstrip()
        if not sign and body[:1] in ("-", "+") and len(body) > 1:
            sign, body = body[0], body[1:].lstrip()
        if body == before:
            return body, sign


def _is_currency(word: str) -> bool:
    return word.upper() in _CURRENCIES or all(unicodedata.category(c) == "Sc" for c in word)


def _reading(body: str, mark: Mark) -> Decimal | None:
    """The value of digits and separators if ``mark`` is the decimal mark; None if it cannot be."""
    whole, found, part = body.partition(mark)
    if part and not (part.isascii() and part.isdigit()):
        return None
    other = "," if mark == "." else "."
    if whole and not _is_grouped(whole, other):
        return None
    digits = "".join(c for c in whole if c.isdigit())
    if not digits and not part:
        return None
    return Decimal(f"{digits or '0'}.{part or '0'}") if found else Decimal(digits)


def _is_grouped(whole: str, other: str) -> bool:
    """Whether digits stand in groups: by threes, or by twos before the last three as in India."""
    if whole.isascii() and whole.isdigit():
        return True
    by_three = rf"[1-9]\d{{0,2}}(?:(?P<gap>[{other}' ])\d{{3}}(?:(?P=gap)\d{{3}})*)"
    by_two = r"[1-9]\d?(?:,\d{2})+,\d{3}"
    if re.fullmatch(by_three, whole, re.ASCII):
        return True
    return other == "," and re.fullmatch(by_two, whole, re.ASCII) is not None


def _hint(text: str, units: Sequence[str]) -> str:
    """If a number stands before a word, tell how to name the word."""
    found = re.fullmatch(r"[^A-Za-z]*\d[\d.,' ]*?\s*([^\W\d_][^\d]{0,15})", text.strip())
    if found is None or found[1] in units:
        return ""
    return f', as {found[1]!r} stands beside it; if that is its unit, name it with "x-unit"'


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
