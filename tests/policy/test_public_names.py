"""The public names exist, are typed, documented, and cost no torch before they are used."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from types import FunctionType

import pytest

import tilewise

NAMES = [name for name in tilewise.__all__ if not name.startswith("_")]


def _functions(value: object) -> list[FunctionType]:
    """The function itself, or the public methods that a class defines."""
    if isinstance(value, FunctionType):
        return [value]
    members = vars(value).items() if isinstance(value, type) else ()
    found = [m.fget if isinstance(m, property) else m for n, m in members if not n.startswith("_")]
    return [f for f in found if isinstance(f, FunctionType)]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_documented(name: str) -> None:
    value = getattr(tilewise, name)
    assert inspect.getdoc(value), f"{name} has no docstring"
    undocumented = [f.__qualname__ for f in _functions(value) if not inspect.getdoc(f)]
    assert not undocumented


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_typed(name: str) -> None:
    for function in _functions(getattr(tilewise, name)):
        hints = typing.get_type_hints(function)
        wanted = {p for p in inspect.signature(function).parameters if p != "self"} | {"return"}
        assert wanted <= hints.keys(), f"{function.__qualname__} lacks types"


def test_public_names_are_sorted_and_listed() -> None:
    assert tilewise.__all__ == sorted(tilewise.__all__)
    assert set(tilewise.__all__) <= set(dir(tilewise))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = tilewise.nothing


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, tilewise; tilewise.Page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
