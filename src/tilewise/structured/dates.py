"""Printed dates, to ISO 8601.

``14/03/2026`` can only be the 14th of March; ``03/04/2025`` is the 3rd of April or the 4th of
March. ``date_order`` says what a date gives away, so that a form's other dates can decide.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from typing import Final, Literal

from tilewise.structured.amounts import UnreadableError

Order = Literal["dmy", "mdy"]
ORDERS: Final[tuple[Order, ...]] = ("dmy", "mdy")

_MONTHS: Final = (
    "january januar janvier enero gennaio januari janeiro",
    "february februar fevrier febrero febbraio februari fevereiro",
    "march marz maerz mars marzo maart marco mrz mrt",
    "april avril abril aprile",
    "may mai mayo maggio mei maio",
    "june juni juin junio giugno junho",
    "july juli juillet julio luglio julho",
    "august aout agosto augustus",
    "september septembre septiembre settembre setembro",
    "october oktober octobre octubre ottobre outubro",
    "november novembre noviembre novembro",
    "december dezember decembre diciembre dicembre dezembro",
)
"""English, German, French, Spanish, Italian, Dutch, Portuguese; without accents, as compared."""

_DAYS: Final = frozenset(
    """monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs
    fri sat sun montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag mo di mi do
    fr sa so lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miercoles jueves
    viernes sabado domingo lunedi martedi mercoledi giovedi venerdi maandag dinsdag woensdag
    donderdag vrijdag zaterdag zondag""".split()
)
_FILLERS: Final = frozenset("of the de del den der di le el on".split())

_TIME: Final = re.compile(
    r"[T, ]\s*\d{1,2}[:h]\d{2}([:.]\d{2}([.,]\d+)?)?\s*(Z|[ap]\.?m\.?|[+-]\d{2}:?\d{2})?$", re.I
)
_ISO: Final = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})", re.ASCII)
_NUMERIC: Final = re.compile(r"(\d{1,2})\s?([-/.])\s?(\d{1,2})\s?\2\s?(\d{4}|\d{2})", re.ASCII)


def parse_date(text: str, order: Order | None = None, *, is_strict: bool = False) -> str:
    """Read one printed date.

    Numbers between points are day, month, year, whatever ``order`` says; years of two digits
    are 1969 to 2068. A time of day and the name of a weekday are left out.

    Args:
        text: what is printed, e.g. ``"14.03.2026"``, ``"Mar 14, 2026"``, ``"14. März 2026"``.
        order: what decides where the text alone does not tell.
        is_strict: the order is known, so that a date that it does not fit is refused.

    Returns:
        ISO 8601, e.g. ``"2026-03-14"``.

    Raises:
        UnreadableError: it is no date, or one that can be read in two ways.
    """
    readings = _readings(text)
    if is_strict and order is not None and len(readings) == 2:
        readings = {order: readings[order]}
    days = {day for day in readings.values() if day is not None}
    if not days:
        raise UnreadableError("is no date")
    if len(days) > 1:
        if order is None:
            raise UnreadableError(
                f'may be {" or ".join(sorted(days))}; say which with "x-date-order"'
            )
        chosen = readings[order]
        assert chosen is not None  # both are dates
        return chosen
    return days.pop()


def date_order(text: str) -> Order | None:
    """The order that a printed date gives away, e.g. "dmy" of ``14/03/2026``; often none."""
    try:
        readings = _readings(text)
    except UnreadableError:
        return None
    orders = [order for order, day in readings.items() if day is not None]
    return orders[0] if len(readings) == 2 and len(orders) == 1 else None


def _readings(text: str) -> dict[Order, str | None]:
    """The date by each order that it might be written in; one entry where there is no choice."""
    bare = " ".join(text.split()).rstrip(".,; ")
    if not 6 <= len(bare) <= 80:
        raise UnreadableError("is no date")
    bare = _without_weekday(_TIME.sub("", bare))
    if found := _ISO.fullmatch(bare):
        return {"dmy": _iso(found[1], found[3], found[4])}
    if found := _NUMERIC.fullmatch(bare):
        first, mark, second, year = found.groups()
        by_day = _iso(year, second, first)
        return {"dmy": by_day} if mark == "." else {"dmy": by_day, "mdy": _iso(year, first, second)}
    return {"dmy": _written(bare)}


def _without_weekday(text: str) -> str:
    first, _, rest = text.partition(" ")
    return rest if _folded(first).strip(".,") in _DAYS else text


def _written(text: str) -> str | None:
    """A date whose month is a word: day and year are told apart by their length or place."""
    parts = re.findall(r"\d+|[^\W\d_]+|[^\w\s.,/'’-]", text)
    kept = [p for p in map(_folded, parts) if p not in _FILLERS]
    kept = [p for i, p in enumerate(kept) if not (p in _ORDINALS and i and kept[i - 1].isdigit())]
    words = [p for p in kept if not p.isdigit()]
    if len(kept) != 3 or len(words) != 1:
        return None
    month, at = _month(words[0]), kept.index(words[0])
    numbers = [p for p in kept if p.isdigit()]
    if month is None or at == 2:
        return None
    year_first = len(numbers[0]) == 4
    year, day = numbers if year_first else numbers[::-1]
    if len(day) > 2 or len(year) not in (2, 4) or (year_first and at == 0):
        return None
    return _iso(year, str(month), day)


_ORDINALS: Final = frozenset(("st", "nd", "rd", "th", "er", "o", "a"))


def _month(word: str) -> int | None:
    """A month's number from its name or three letters or more of it, if only one fits."""
    fits = {
        number
        for number, names in enumerate(_MONTHS, 1)
        for name in names.split()
        if name == word or (len(word) >= 3 and name.startswith(word))
    }
    return fits.pop() if len(fits) == 1 else None


def _folded(word: str) -> str:
    """Lower case without accents."""
    apart = unicodedata.normalize("NFKD", word.casefold())
    return "".join(c for c in apart if not unicodedata.combining(c))


def _iso(year: str, month: str, day: str) -> str | None:
    number = int(year)
    if len(year) == 2:
        number += 1900 if number >= 69 else 2000  # as POSIX has it
    try:
        return datetime.date(number, int(month), int(day)).isoformat()
    except ValueError:
        return None
