"""From a JSON Schema to a form: the values to ask for, each with its question."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn, cast

from tilewise.structured.amounts import MARKS, Mark
from tilewise.structured.dates import ORDERS, Order
from tilewise.structured.fields import Branch, Field, Kind, Node, Path, Rows, Style
from tilewise.structured.schema import (
    FORMATS,
    KEYWORDS,
    Schema,
    SchemaLike,
    check_valid,
    deref,
    fail,
    read_schema,
)

MAX_FIELDS: Final = 500
"""More values of one page are no form; each costs a question."""

MAX_DEPTH: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A checked schema, ready to be asked. Its ``name`` is for messages."""

    name: str
    schema: Schema
    root: Branch

    @property
    def mark(self) -> str:
        """What stands for the form where a question would, e.g. "schema 3f2a9c1b04de"."""
        plain = json.dumps(self.schema, sort_keys=True).encode()
        return f"schema {hashlib.sha256(plain).hexdigest()[:12]}"

    @property
    def fields(self) -> tuple[Field, ...]:
        """All values to ask for, in the order of the schema."""
        return tuple(_leaves(self.root))


def read_form(schema: SchemaLike) -> Form:
    """Turn a JSON Schema into a form.

    Args:
        schema: the path of a JSON file, or the schema as a dict.

    Raises:
        ConfigError: it cannot be read, is no JSON Schema of an object, uses a keyword that is
            not supported, refers to itself or elsewhere, or has over ``MAX_FIELDS`` values.
        MissingExtraError: the library for JSON Schema is not installed.
    """
    loaded, name = read_schema(schema)
    root = _Walk(loaded, name).node(loaded, _Place(is_root=True))
    assert isinstance(root, Branch)  # of type object, as the walk has seen
    return Form(name=name, schema=loaded, root=replace(root, is_nullable=False))


def _leaves(node: Node) -> Iterator[Field]:
    if isinstance(node, Field):
        yield node
    elif isinstance(node, Branch):
        for child in node.children.values():
            yield from _leaves(child)
    else:
        for _, row in node.rows:
            yield from _leaves(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where in the schema the walk is, and what holds there.

    ``refs`` are the references taken on the way, ``row`` the row that a table's cell belongs to,
    ``names_row``: this property holds the row's name.
    """

    path: Path = ()
    column: str = ""
    key: str = ""
    prefix: str = ""
    row: str | None = None
    names_row: bool = False
    refs: tuple[str, ...] = ()
    style: Style = field(default_factory=Style)
    is_root: bool = False


class _Walk:
    """One pass over a schema; counts what it meets, so that references cannot blow it up."""

    def __init__(self, root: Schema, name: str) -> None:
        self.root, self.name, self.met, self.fields = root, name, 0, 0
        self.checked: set[str] = set()

    def fail(self, place: _Place, what: str) -> NoReturn:
        fail(self.name, place.path, what)

    def node(self, node: Any, place: _Place) -> Node:
        self.met += 1
        if len(place.path) > MAX_DEPTH or self.met > 4 * MAX_FIELDS:
            what = f"nested over {MAX_DEPTH} deep" if len(place.path) > MAX_DEPTH else "too large"
            self.fail(place, f"the schema is {what}; ask for less")
        schema, is_nullable, place = self._plain(node, place)
        kind, is_null_type = self._type(schema, place)
        is_nullable = is_nullable or is_null_type
        if place.is_root and kind != "object":
            self.fail(place, f'the type is {kind!r}; a record needs "type": "object"')
        self._check_keywords(schema, kind, place)
        place = replace(place, style=self._style(schema, place))
        if kind == "object":
            return self._branch(schema, is_nullable, place)
        if kind == "array":
            return self._rows(schema, is_nullable, place)
        return self._field(schema, kind, is_nullable, place)

    def _plain(self, node: Any, place: _Place) -> tuple[Schema, bool, _Place]:
        """Put in references, and take "this or null" for this, nullable."""
        is_nullable = False
        beside: dict[str, Any] = {}
        while True:
            if isinstance(node, Mapping) and isinstance(ref := node.get("$ref"), str):
                if ref in place.refs or (ref == "#" and not place.is_root):
                    self.fail(place, f"$ref {ref!r} leads back to itself")
                place = replace(place, refs=(*place.refs, ref))
                self._check_target(node, ref, place)
            schema = {**deref(node, self.root, self.name, place.path), **beside}
            key = next((k for k in ("anyOf", "oneOf") if k in schema), None)
            if key is None:
                return schema, is_nullable, place
            kept = [option for option in schema[key] if option != {"type": "null"}]
            if len(kept) != 1:
                self.fail(place, f"{key} has several choices; only one and null are supported")
            is_nullable = is_nullable or len(kept) < len(schema[key])
            beside = {k: v for k, v in schema.items() if k != key}
            node = kept[0]

    def _check_target(self, node: Schema, ref: str, place: _Place) -> None:
        """A reference may lead where no schema is expected, so that nothing has checked it yet."""
        if ref not in self.checked:
            self.checked.add(ref)
            check_valid(dict(deref(node, self.root, self.name, place.path)), self.name)

    def _type(self, schema: Schema, place: _Place) -> tuple[str, bool]:
        """The one type besides null, and whether null is allowed."""
        values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]
        said = schema.get("type")
        if said is None:
            guessed = {_type_of(value) for value in values} - {"null"}
            guessed |= {t for k, t in _TELLING.items() if k in schema}
            types = sorted(guessed)
        else:
            types = said if isinstance(said, list) else [said]
        kept = [t for t in types if t != "null"]
        if len(kept) != 1:
            found = " and ".join(map(repr, kept)) if kept else "missing"
            self.fail(place, f'the type is {found}; one type, and "null" beside it, is supported')
        if said is None:
            return kept[0], None in values
        return kept[0], "null" in types and (not values or None in values)

    def _check_keywords(self, schema: Schema, kind: str, place: _Place) -> None:
        allowed = KEYWORDS.get(kind, KEYWORDS["single"])
        if place.is_root:
            allowed = allowed | {"$schema", "$id"}
        odd = sorted(k for k in schema if k not in allowed and not k.startswith("x-"))
        if odd:
            hint = '; write "type": ["…", "null"]' if "nullable" in odd else ""
            self.fail(place, f"not supported here: {', '.join(odd)}{hint}")
        form = schema.get("format")
        if form is not None and form not in FORMATS:
            self.fail(place, f"format {form!r} is not supported; {' or '.join(FORMATS)} is")
        if not isinstance(schema.get("additionalProperties", True), bool):
            self.fail(place, "additionalProperties is a schema; true or false is supported")

    def _style(self, schema: Schema, place: _Place) -> Style:
        """What the schema says here about print; what it does not say holds on from above."""
        style = place.style
        if (mark := self._choice(schema, "x-decimal", MARKS, place)) is not None:
            style = replace(style, decimal=cast(Mark, mark))
        if (order := self._choice(schema, "x-date-order", ORDERS, place)) is not None:
            style = replace(style, date_order=cast(Order, order))
        percent = self._choice(schema, "x-percent", ("number", "fraction"), place)
        units = schema.get("x-unit", [])
        units = [units] if isinstance(units, str) else units
        if not isinstance(units, list) or not all(isinstance(u, str) and u.strip() for u in units):
            self.fail(place, f"x-unit is {units!r}; a word or a list of words is allowed")
        stripped = tuple(unit.strip() for unit in units)
        return replace(style, units=stripped, is_fraction=percent == "fraction")

    def _choice(
        self, schema: Schema, key: str, allowed: tuple[str, ...], place: _Place
    ) -> str | None:
        said = schema.get(key)
        if said is not None and said not in allowed:
            self.fail(place, f"{key} is {said!r}; {' or '.join(map(repr, allowed))} is allowed")
        return said

    def _branch(self, schema: Schema, is_nullable: bool, place: _Place) -> Branch:
        properties = schema.get("properties", {})
        if not properties:
            self.fail(place, "the object has no properties, so there is nothing to ask")
        required = frozenset(schema.get("required", ()))
        if unknown := sorted(required - properties.keys()):
            self.fail(place, f"required but not among the properties: {', '.join(unknown)}")
        prefix = "" if place.is_root else str(schema.get("title", words_of(place.key))).strip()
        names_row = schema.get("x-row-name") if place.row is not None else None
        children = {}
        for key, child in properties.items():
            column = f"{place.column}/{key}" if place.column else key
            inner = replace(
                place,
                path=(*place.path, key),
                column=column,
                key=key,
                prefix="" if place.row is not None else prefix,
                names_row=key == names_row,
                is_root=False,
            )
            children[key] = self.node(child, inner)
        return Branch(children=children, required=required, is_nullable=is_nullable)

    def _rows(self, schema: Schema, is_nullable: bool, place: _Place) -> Rows:
        names = schema.get("x-rows")
        if place.row is not None:
            self.fail(place, "an array lies inside a row of a table; rows hold single values")
        if not isinstance(names, list) or not names or not all(map(_is_words, names)):
            self.fail(
                place,
                'an array needs "x-rows", the names of the rows of its table, '
                'e.g. "x-rows": ["Desk", "Chair"]',
            )
        if len(set(names)) < len(names):
            self.fail(place, "x-rows names a row twice")
        if "items" not in schema:
            self.fail(place, "the array has no items; give the schema of a row")
        rows = []
        for index, name in enumerate(names):
            inner = replace(
                place, path=(*place.path, index), column=f"{place.column}/{name}", row=name
            )
            row = self.node(self._row_schema(schema, inner), inner)
            if not isinstance(row, Branch):
                self.fail(place, "the items are no objects; a row is an object of its cells")
            rows.append((name, row))
        return Rows(rows=tuple(rows), is_nullable=is_nullable)

    def _row_schema(self, schema: Schema, place: _Place) -> Schema:
        """The schema of a row, with the property that holds its name marked."""
        key = schema.get("x-row-name")
        items = deref(schema["items"], self.root, self.name, place.path)
        if key is None:
            return cast(Schema, schema["items"])
        if key not in items.get("properties", {}):
            self.fail(place, f"x-row-name is {key!r}, which is no property of a row")
        return {**schema["items"], "x-row-name": key}

    def _field(self, schema: Schema, kind: str, is_nullable: bool, place: _Place) -> Field:
        self.fields += 1
        if self.fields > MAX_FIELDS:
            fail(self.name, (), f"has over {MAX_FIELDS} values to ask for; make several schemas")
        if kind not in ("string", "number", "integer", "boolean"):
            self.fail(place, f"the type {kind!r} is not supported")
        given = place.row if place.names_row else None
        if given is not None and kind != "string":
            self.fail(place, f"it holds the row's name, so its type is string, not {kind}")
        own = schema.get("x-question")
        if own is not None and not _is_words(own):
            self.fail(place, f"x-question is {own!r}; a question is allowed")
        is_date = kind == "string" and schema.get("format") == "date"
        return Field(
            path=place.path,
            column=place.column,
            question=None if given is not None else self._question(schema, own, place),
            is_own=own is not None,
            given=given,
            kind=cast(Kind, "date" if is_date else kind),
            schema={k: v for k, v in schema.items() if k not in ("$defs", "definitions")},
            is_nullable=is_nullable,
            style=place.style,
        )

    def _question(self, schema: Schema, own: str | None, place: _Place) -> str:
        """In the words that the default reader knows; see docs/default-reader.md."""
        title = str(schema.get("title", "")).strip()
        name = words_of(place.key)
        if title.lower() == name.lower():  # as programs write it, which says no more than the name
            title = ""
        description = str(schema.get("description", "")).strip()
        if own is None and not title and description.endswith("?"):
            own = description
        if own is not None:
            return own.replace("{row}", place.row or "{row}")
        label = title or _joined(place.prefix, name)
        if not _is_words(label):
            self.fail(place, 'its name has no words to ask for; give it a "title"')
        if place.row is not None:
            return f"In the table, what is the {label} of {place.row}?"
        return f"What is the value of {label}?"


_TELLING: Final = {
    "properties": "object",
    "items": "array",
    "format": "string",
    "pattern": "string",
}
"""Keywords that tell a type where none is said."""


def words_of(name: str) -> str:
    """A property's name as words: ``invoiceNumber``, ``invoice_number`` → "Invoice number"."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = re.split(r"[\s_\-./]+", apart)
    lower = [w if len(w) > 1 and w.isupper() else w.lower() for w in words if w]
    text = " ".join(lower)
    return text[:1].upper() + text[1:]


def _joined(prefix: str, label: str) -> str:
    """A property's words after those of its object, unless they begin with them already."""
    if not prefix or f"{label} ".lower().startswith(f"{prefix} ".lower()):
        return label
    first, _, rest = label.partition(" ")
    kept = first if len(first) > 1 and first.isupper() else first.lower()
    return f"{prefix} {kept} {rest}".strip()


def _is_words(value: Any) -> bool:
    return isinstance(value, str) and any(c.isalnum() for c in value) and len(value) <= 500


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "boolean", str: "string", int: "number", float: "number"}
    return names.get(type(value), "object" if isinstance(value, dict) else "array")
