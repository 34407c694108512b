"""The version of tilewise that made an output."""

from __future__ import annotations

import sys


def version() -> str:
    """The package's version, without an import by which parts that need torch are in reach."""
    return str(sys.modules[__name__.partition(".")[0]].__version__)
