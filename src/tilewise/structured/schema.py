"""A JSON Schema, read and checked; the rules of JSON Schema itself are jsonschema's.

What is supported is the part of draft 2020-12 that says what a filled form looks like: objects
with properties, rows of tables, single values. Everything else is refused by name, as a keyword
that is passed over in silence would let wrong data through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import unquote

from tilewise.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

Json = Any
Schema = Mapping[str, Any]
SchemaLike = str | Path | Schema
"""A path of a JSON file, or the schema itself."""

MAX_BYTES: Final = 1 << 20

DIALECTS: Final = (
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
)
"""Values of $schema; what is supported means the same in all three."""

_NOTES: Final = frozenset(
    "title description $comment examples default deprecated readOnly writeOnly".split()
)
_ANYWHERE: Final = _NOTES | {"$ref", "$defs", "definitions", "type", "anyOf", "oneOf"}
_SINGLE: Final = frozenset(
    """enum const format pattern minLength maxLength minimum maximum exclusiveMinimum
    exclusiveMaximum multipleOf""".split()
)
KEYWORDS: Final[dict[str, frozenset[str]]] = {
    "object": _ANYWHERE
    | frozenset("properties required additionalProperties minProperties maxProperties".split()),
    "array": _ANYWHERE | frozenset("items minItems maxItems uniqueItems".split()),
    "single": _ANYWHERE | _SINGLE,
}
"""Keywords that a schema of each kind may have, besides those that begin with ``x-``."""

FORMATS: Final = ("date", "email")


def read_schema(schema: SchemaLike) -> tuple[Schema, str]:
    """Read a schema and check that it is one, by JSON Schema's own rules.

    Returns:
        The schema and what messages call it: its path, or "the schema".

    Raises:
        ConfigError: the file cannot be read, is no JSON, or is no valid schema of an object.
        MissingExtraError: the library for JSON Schema is not installed.
    """
    if isinstance(schema, Mapping):
        name, loaded = "the schema", _copied(schema)
    else:
        name = str(schema)
        loaded = _parsed(_text(Path(schema), name), name)
    if not isinstance(loaded, dict):
        raise ConfigError(
            f'{name}: is {_kind(loaded)}; a JSON Schema of "type": "object" is needed.'
        )
    dialect = loaded.get("$schema", DIALECTS[0])
    if not isinstance(dialect, str) or dialect.rstrip("#") not in DIALECTS:
        fail(name, (), f"$schema is {dialect!r}; {DIALECTS[0]} is supported")
    check_valid(loaded, name)
    return loaded, name


def validator(schema: Schema) -> Draft202012Validator:
    """What checks values against a schema; nothing is ever fetched for it.

    Raises:
        MissingExtraError: the library for JSON Schema is not installed.
    """
    try:
        from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - optional
        from referencing import Registry  # noqa: PLC0415
    except ImportError as err:
        raise MissingExtraError(
            "answers by a JSON Schema need the package jsonschema; "
            "install it with: pip install 'tilewise[schema]'"
        ) from err
    checker = Draft202012Validator.FORMAT_CHECKER
    plain = {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
    kind = validators.extend(Draft202012Validator, {"multipleOf": _multiples})
    return kind(plain, registry=Registry(), format_checker=checker)


def _multiples(checker: object, step: float, value: Json, schema: Schema) -> Iterator[Exception]:
    """``multipleOf`` by decimal digits: 19.99 is a multiple of 0.01, which floats deny."""
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - there, as it calls this

    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and Decimal(str(value)) % Decimal(str(step)):
        yield ValidationError(f"{value} is not a multiple of {step}")


def fail(name: str, path: tuple[str | int, ...], what: str) -> NoReturn:
    """Raise ConfigError about one place of a schema."""
    place = f" at {pointer(path)}" if path else ""
    raise ConfigError(f"{name}{place}: {what}.")


def pointer(path: tuple[str | int, ...]) -> str:
    """A JSON pointer (RFC 6901), e.g. "/lines/0/unit price"."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def deref(node: Json, root: Schema, name: str, path: tuple[str | int, ...]) -> Schema:
    """A subschema with ``$ref`` put in; keywords beside a reference add to what it leads to.

    Raises:
        ConfigError: a reference to another document, to nothing, or round to itself.
    """
    seen: list[str] = []
    beside: dict[str, Any] = {}
    while True:
        if not isinstance(node, Mapping):
            fail(name, path, f"the schema is {_kind(node)}; an object with a type is needed")
        beside = {**{k: v for k, v in node.items() if k != "$ref"}, **beside}
        if "$ref" not in node:
            return beside
        ref = node["$ref"]
        if ref in seen:
            fail(name, path, f"$ref {ref!r} leads back to itself")
        seen.append(ref)
        node = _target(ref, root, name, path)


def _target(ref: Json, root: Schema, name: str, path: tuple[str | int, ...]) -> Json:
    if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
        fail(name, path, f"$ref is {ref!r}; only references inside the schema (#/$defs/…) are read")
    node: Json = root
    for part in unquote(ref).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, Mapping) or key not in node:
            fail(name, path, f"$ref {ref!r} leads to nothing; define it under $defs")
        node = node[key]
    return node


def _text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"{name}: a schema has at most {MAX_BYTES >> 20} MiB; this has more.")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise ConfigError(f"{name}: is no JSON in UTF-8; give a JSON Schema.") from err
    except FileNotFoundError as err:
        raise ConfigError(f"{name}: the schema does not exist; check the path.") from err
    except (OSError, ValueError) as err:
        raise ConfigError(f"{name}: the schema cannot be read ({err}); check the path.") from err


def _parsed(text: str, name: str) -> Json:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as err:
        why = "it is nested too deeply" if isinstance(err, RecursionError) else err
        raise ConfigError(f"{name}: is no JSON ({why}); give a JSON Schema.") from err


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """An object as a dict; a name that comes twice would hide a property."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"the name {next(n for n in names if names.count(n) > 1)!r} comes twice")
    return made


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _copied(schema: Schema) -> Json:
    """The schema as JSON has it: a later change of the caller's dict changes nothing here."""
    try:
        return json.loads(json.dumps(dict(schema), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as err:
        raise ConfigError(f"the schema: cannot be written as JSON ({err}).") from err


def check_valid(schema: dict[str, Any], name: str) -> None:
    """Raise ConfigError where a schema breaks the rules of JSON Schema."""
    checker = validator(schema)
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415 - there, as validator imports it

    try:
        type(checker).check_schema(schema)
    except SchemaError as err:
        fail(name, tuple(err.absolute_path), f"no valid JSON Schema: {_short(err.message)}")
    except RecursionError as err:
        raise ConfigError(f"{name}: is nested too deeply.") from err


def _short(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:160]} … {message[-30:]}"


def _kind(value: Json) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")
