"""Settings of a frozen dataclass: as plain values, from a file, by dotted name, and their hash.

Runs of training and corpora have theirs as nested dataclasses; here they are read and changed.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from tilewise.errors import ConfigError

T = TypeVar("T")

MADE: Final = "made"
"""In a field's metadata: the value that it begins with where one of its settings is named and it
is None; that of its type's defaults where there is no such line."""

_NO: Final[Any] = object()

_WORDS: Final[Mapping[Any, str]] = types.MappingProxyType(
    {
        int: "a whole number",
        float: "a number",
        str: "a text",
        bool: "true or false",
        type(None): "none",
    }
)


def plain(cfg: object) -> Any:
    """A config, or a value of one, as JSON values; sets are sorted lists."""
    if is_dataclass(cfg):
        return {one.name: plain(getattr(cfg, one.name)) for one in fields(cfg)}
    if isinstance(cfg, Mapping):
        return {str(key): plain(value) for key, value in cfg.items()}
    if isinstance(cfg, (set, frozenset)):
        return sorted(plain(value) for value in cfg)
    if isinstance(cfg, (list, tuple)):
        return [plain(value) for value in cfg]
    if cfg is None or isinstance(cfg, (bool, int, float, str)):
        return cfg
    return str(cfg)


def settings(cfg: object, prefix: str = "") -> dict[str, Any]:
    """All settings by dotted name, as plain JSON values."""
    return dict(_settings(cfg, prefix))


def digest(cfg: object) -> str:
    """16 hex digits that differ where any setting does."""
    text = json.dumps(plain(cfg), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_settings(path: Path) -> dict[str, Any]:
    """The values of a file in JSON or TOML, told by its ending.

    Raises:
        ConfigError: it cannot be read, is neither, or holds no table.
    """
    try:
        data = path.read_bytes()
        found = tomllib.loads(data.decode()) if path.suffix == ".toml" else json.loads(data)
    except OSError as err:
        raise ConfigError(f"{path} cannot be read ({err.strerror}); check the path.") from err
    except ValueError as err:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise ConfigError(f"{path} is no {kind} ({err}); mend it there.") from err
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds a {type(found).__name__}; a table of settings is needed.")
    return found


def with_values(cfg: T, values: Mapping[str, Any], prefix: str = "") -> T:
    """A config with the values of a nested table in the place of its own.

    Args:
        cfg: a frozen dataclass.
        values: settings by name; tables stand for nested dataclasses, lists for tuples.
        prefix: of the names in messages.

    Raises:
        ConfigError: a setting is unknown (the nearest is named), or its value does not fit.
    """
    assert is_dataclass(cfg), "settings are those of dataclasses"
    hints = get_type_hints(type(cfg))
    made = {}
    for name, value in values.items():
        _check_known(name, [one.name for one in fields(cfg)], prefix)
        inner = getattr(cfg, name)
        if inner is None and value is not None:
            inner = _begun(cfg, name)
        if is_dataclass(inner) and isinstance(value, Mapping):
            made[name] = with_values(inner, value, f"{prefix}{name}.")
        else:
            made[name] = _fitted(hints[name], value, f"{prefix}{name}")
    return cast(T, replace(cast(Any, cfg), **made))


def changed(cfg: T, name: str, value: object) -> T:
    """A config with one setting changed.

    Args:
        cfg: a frozen dataclass.
        name: dotted, e.g. ``optim.lr``.
        value: fits the setting's type; lists stand for tuples.

    Raises:
        ConfigError: as ``with_values``.
    """
    values: Any = value
    for part in reversed(name.strip().split(".")):
        values = {part: values}
    return with_values(cfg, values)


def with_options(cfg: T, options: Sequence[str]) -> T:
    """A config changed by texts such as ``dedup.threshold=0.7``; a value is JSON, or a text.

    Raises:
        ConfigError: a text without ``=``, or as ``with_values``.
    """
    for option in options:
        name, sign, text = option.partition("=")
        if not sign:
            raise ConfigError(f"--set {option}: has no value; write it as name.of.setting=VALUE.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        try:
            cfg = changed(cfg, name, value)
        except ConfigError as err:
            raise ConfigError(f"--set {option}: {err}") from err
    return cfg


def _settings(cfg: object, prefix: str) -> Iterator[tuple[str, Any]]:
    assert is_dataclass(cfg), "settings are those of dataclasses"
    for one in fields(cfg):
        value, name = getattr(cfg, one.name), f"{prefix}{one.name}"
        if is_dataclass(value):
            yield from _settings(value, f"{name}.")
        else:
            yield name, plain(value)


def _begun(cfg: Any, name: str) -> Any:
    """What a part that a config has not begins with, None where its type says it."""
    (own,) = (one for one in fields(cfg) if one.name == name)
    return own.metadata.get(MADE)


def _check_known(name: str, known: Sequence[str], prefix: str) -> None:
    if name in known:
        return
    near = get_close_matches(name, known, 1, 0.6)
    place = f"in {prefix.rstrip('.')} " if prefix else ""
    told = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(known)}."
    raise ConfigError(f"setting {prefix}{name} is unknown {place}; {told}".replace(" ;", ";"))


def _fitted(hint: Any, value: object, name: str) -> Any:
    """The value in the form that the type asks for."""
    for kind in _kinds(hint):
        fit = _as(kind, value, name)
        if fit is not _NO:
            return fit
    if isinstance(value, Mapping) and "a table" not in _spoken(hint):
        raise ConfigError(f"{name} has no settings of its own; leave out .{next(iter(value), '')}.")
    raise ConfigError(f"{name} is {value!r}; {_spoken(hint)} is allowed.")


def _as(kind: Any, value: Any, name: str) -> Any:
    """The value as one kind, ``_NO`` where it is none."""
    origin, parts = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return value if value in parts else _NO
    if kind is Any:
        return value
    if kind is type(None):
        return None if value is None or value in ("null", "none") else _NO
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind in (int, str, bool):
        return value if type(value) is kind else _NO
    if kind is getattr(sys.modules.get("torch"), "dtype", _NO) and isinstance(value, str):
        found = getattr(sys.modules["torch"], value, None)  # loaded, or there were no such type
        return found if isinstance(found, kind) else _NO
    if kind is Path:
        return Path(value) if isinstance(value, str) else _NO
    if is_dataclass(kind) and isinstance(value, Mapping):
        return _made(kind, value, f"{name}.")
    if isinstance(value, Mapping) and isinstance(origin, type) and issubclass(dict, origin):
        return {key: _fitted(parts[1], one, f"{name}.{key}") for key, one in value.items()}
    if origin in (tuple, frozenset) and isinstance(value, (list, tuple)):
        return _as_several(origin, parts, value, name)
    return _NO


def _made(kind: Any, values: Mapping[str, Any], prefix: str) -> Any:
    """A dataclass, which may have settings without a default."""
    hints = get_type_hints(kind)
    for name in values:
        _check_known(name, [one.name for one in fields(kind)], prefix)
    missing = [
        one.name
        for one in fields(kind)
        if one.default is MISSING and one.default_factory is MISSING and one.name not in values
    ]
    if missing:
        raise ConfigError(f"{prefix}{missing[0]} is missing; it has no default.")
    return kind(**{n: _fitted(hints[n], value, f"{prefix}{n}") for n, value in values.items()})


def _as_several(origin: Any, parts: tuple[Any, ...], values: Sequence[Any], name: str) -> Any:
    if origin is frozenset or (len(parts) == 2 and parts[1] is Ellipsis):
        return origin(_fitted(parts[0], one, name) for one in values)
    if len(parts) != len(values):
        return _NO
    return tuple(_fitted(part, one, name) for part, one in zip(parts, values, strict=True))


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _spoken(hint: Any) -> str:
    """A type as it is said in messages."""
    said = []
    for kind in _kinds(hint):
        origin = get_origin(kind)
        if origin is Literal:
            said += [repr(one) for one in get_args(kind)]
        elif origin in (tuple, frozenset):
            said.append("a list")
        elif is_dataclass(kind) or origin is not None:
            said.append("a table")
        else:
            said.append(_WORDS.get(kind, getattr(kind, "__name__", str(kind))))
    return " or ".join(said)
