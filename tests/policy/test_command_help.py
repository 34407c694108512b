"""Help comes at once: no command's help loads torch."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from tilewise.cli.main import main

COMMANDS = sorted(main.commands) if isinstance(main, click.Group) else []

PROGRAM = """
import sys
from tilewise.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    print("torch" in sys.modules, file=sys.stderr)
    raise
"""


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_given_without_torch(command: str) -> None:
    argv = [sys.executable, "-c", PROGRAM, *command.split(), "--help"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage:")
    assert done.stderr.strip() == "False"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_what_it_does(command: str) -> None:
    assert isinstance(main, click.Group)
    assert main.commands[command].get_short_help_str()
