"""Every public method says what it does, except ``forward``, for which its class speaks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
FILES = sorted(SOURCE.rglob("*.py"))


def _undocumented(tree: ast.Module) -> Iterator[str]:
    classes = [c for c in ast.walk(tree) if isinstance(c, ast.ClassDef) and c.name[0] != "_"]
    for owner in classes:
        for method in owner.body:
            if isinstance(method, ast.FunctionDef) and _needs_docstring(method):
                yield f"{owner.name}.{method.name}, line {method.lineno}"


def _needs_docstring(method: ast.FunctionDef) -> bool:
    is_public = method.name[0] != "_" and method.name != "forward"
    return is_public and not ast.get_docstring(method)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_public_methods_are_documented(path: Path) -> None:
    assert not list(_undocumented(ast.parse(path.read_text(encoding="utf-8"))))
