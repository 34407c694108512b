"""From an answer's text to a value of the wanted type, never a guess."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tilewise.structured.amounts import Mark, UnreadableError, decimal_mark, parse_amount
from tilewise.structured.dates import Order, date_order, parse_date
from tilewise.structured.fields import Field

TRUE: Final = frozenset("true yes y on checked ja oui sí si sì sim ✓ ✔ ☑".split())
FALSE: Final = frozenset("false no n off unchecked nein non não nee ☐".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Customs:
    """How a page writes numbers and dates, as far as its own values tell."""

    decimal: Mark | None = None
    date_order: Order | None = None


def customs_of(answers: Iterable[tuple[Field, str]]) -> Customs:
    """What the answers of one form give away; nothing where they contradict each other."""
    marks: set[Mark] = set()
    orders: set[Order] = set()
    for field, text in answers:
        if field.kind in ("number", "integer") and (m := decimal_mark(text, field.style.units)):
            marks.add(m)
        if field.kind == "date" and (order := date_order(text)):
            orders.add(order)
    return Customs(
        decimal=marks.pop() if len(marks) == 1 else None,
        date_order=orders.pop() if len(orders) == 1 else None,
    )


def parse_value(field: Field, text: str, customs: Customs) -> Any:
    """Read an answer's text as the value that a field wants.

    Args:
        field: what is wanted.
        text: the answer.
        customs: what the form's other answers tell about separators and dates; what the schema
            says goes before.

    Returns:
        A str, int, float or bool; dates are ISO 8601.

    Raises:
        UnreadableError: the text is none, or can be read in two ways.
    """
    text = " ".join(text.split())
    choices = field.schema.get("enum") or (
        [field.schema["const"]] if "const" in field.schema else None
    )
    if field.kind == "boolean":
        return _boolean(text)
    if field.kind == "string":
        return text if choices is None else _choice(text, choices)
    if field.kind == "date":
        said = field.style.date_order
        return parse_date(text, said or customs.date_order, is_strict=said is not None)
    return _number(field, text, customs)


def _number(field: Field, text: str, customs: Customs) -> int | float:
    style = field.style
    mark, is_strict = style.decimal or customs.decimal, style.decimal is not None
    is_integer = field.kind == "integer" and not style.is_fraction
    if mark is None and is_integer:  # a group of thousands: the other reading is no integer
        values = [_try(text, m, style.units) for m in (".", ",")]
        whole = {v for v in values if v is not None and v == v.to_integral_value()}
        if len(whole) == 1:
            return int(whole.pop())
    value = parse_amount(text, mark, is_strict=is_strict, units=style.units)
    if style.is_fraction and "%" in text:
        value = value / 100
    if field.kind == "integer" and value != value.to_integral_value():
        raise UnreadableError("is no whole number")
    return int(value) if value.as_tuple().exponent == 0 or field.kind == "integer" else float(value)


def _try(text: str, mark: Any, units: tuple[str, ...]) -> Decimal | None:
    try:
        return parse_amount(text, mark, is_strict=True, units=units)
    except UnreadableError:
        return None


def _boolean(text: str) -> bool:
    word = text.casefold().strip(" .[]()")
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise UnreadableError("is neither yes nor no")


def _choice(text: str, choices: Iterable[Any]) -> str:
    """The choice that is the text but for case and spaces; an exact one goes before."""
    words = [choice for choice in choices if isinstance(choice, str)]
    if text in words:
        return text
    fits = [word for word in words if _folded(word) == _folded(text)]
    if len(fits) == 1:
        return fits[0]
    raise UnreadableError(
        f"fits {' and '.join(map(repr, fits))}" if fits else "is none of the choices"
    )


def _folded(text: str) -> str:
    """Letters and digits, without case, spaces, ``_`` and ``-``."""
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", text).casefold()).strip(".,:;")


def schema_of_value(field: Field) -> Mapping[str, Any]:
    """What one value of a field must hold to, null left out."""
    kind = "string" if field.kind == "date" else field.kind
    return {**field.schema, "type": kind}
