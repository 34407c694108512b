"""What the documentation shows works: its code runs and its links lead somewhere.

A fenced block names its language. ``python`` blocks run, those of one file in one namespace;
``console`` and ``bash`` blocks hold ``$ tilewise ...`` commands, which must succeed; ``json``
must parse. ``text`` is not run, nor is a block with the word ``no-run`` after its language.
All run in a folder with copies of the bundled pages.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "src" / "tilewise" / "assets" / "demo"
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RUN = {"python", "console", "bash", "json"}
COMMAND_TIMEOUT_S = 120

FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|<img[^>]+src=\"([^\"]+)\"")


class Block(NamedTuple):
    """A fenced block: its language, the words after it, its text and its first line."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int


def _blocks(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        language, *words = fence[1].split() or [""]
        yield Block(language, tuple(words), fence[2], text.count("\n", 0, fence.start()) + 2)


def _to_run(path: Path) -> list[Block]:
    return [b for b in _blocks(path) if b.language in RUN and "no-run" not in b.words]


def _commands(block: Block) -> list[str]:
    """Lines after ``$``, with continued lines joined; other lines are output."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def _run_command(command: str, folder: Path) -> None:
    program, *words = shlex.split(command, comments=True)
    assert program == "tilewise", f"{command!r}: only tilewise commands run; mark the block no-run"
    argv = [sys.executable, "-m", "tilewise", *words]
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{command!r} failed: {done.stderr or done.stdout}"


def _run_block(block: Block, where: str, names: dict[str, Any], folder: Path) -> None:
    match block.language:
        case "python":
            exec(compile("\n" * (block.line - 1) + block.text, where, "exec"), names)
        case "json":
            json.loads(block.text)
        case _:
            commands = _commands(block)
            assert commands, f"{where}:{block.line}: no line starts with '$ tilewise'"
            for command in commands:
                _run_command(command, folder)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [path for path in DOCS if _to_run(path)], ids=_name)
def test_code_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if PAGES.is_dir():
        shutil.copytree(PAGES, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__docs__"}
    for block in _to_run(path):
        _run_block(block, str(path), names, tmp_path)


@pytest.mark.parametrize("path", DOCS, ids=_name)
def test_a_block_names_a_language_that_is_run_or_text(path: Path) -> None:
    odd = [b for b in _blocks(path) if b.language not in {*RUN, "text"}]
    silent = [b for b in odd if "no-run" not in b.words]
    assert not [f"line {b.line}: {b.language!r}" for b in silent]


@pytest.mark.parametrize("path", DOCS, ids=_name)
def test_relative_links_lead_somewhere(path: Path) -> None:
    prose = FENCE.sub("", path.read_text(encoding="utf-8"))
    targets = [found[1] or found[2] for found in LINK.finditer(prose)]
    local = [t.partition("#")[0] for t in targets if not re.match(r"[a-z][a-z0-9+.-]*:", t)]
    assert not [t for t in local if t and not (path.parent / t).exists()]
