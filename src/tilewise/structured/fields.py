"""The parts of a form: values to ask for, and the objects and rows that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tilewise.structured.amounts import Mark
from tilewise.structured.dates import Order
from tilewise.structured.schema import Schema

Kind = Literal["string", "number", "integer", "boolean", "date"]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What a schema says about how values are printed; None and empty where it says nothing."""

    decimal: Mark | None = None
    date_order: Order | None = None
    units: tuple[str, ...] = ()
    is_fraction: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One value to ask for.

    ``path`` leads to it in the form, where a row of a table counts by its place in "x-rows";
    ``column`` is the same for people, with the row's name. ``question`` is None for the name of
    a row, which the schema itself gives as ``given``. ``is_own``: the question is the schema's.
    """

    path: Path
    column: str
    question: str | None
    is_own: bool
    given: str | None
    kind: Kind
    schema: Schema
    is_nullable: bool
    style: Style


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """An object: its properties in order, and which of them must be there."""

    children: Mapping[str, Node]
    required: frozenset[str]
    is_nullable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """An array of objects: rows of a table, by name."""

    rows: tuple[tuple[str, Branch], ...]
    is_nullable: bool


Node = Field | Branch | Rows
