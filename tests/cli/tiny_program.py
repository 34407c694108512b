"""The command line in a process of its own, with the family "tiny".

``TINY_HURRY`` sets how soon its answers end, ``TINY_CONTEXT`` how much it holds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.engine.tiny_reader import TinyReader
from tilewise.cli.main import main
from tilewise.models.load import FAMILIES

FAMILIES["tiny"] = lambda folder, *, dtype, devices, progress: TinyReader(
    hurry=float(os.environ.get("TINY_HURRY", "0.3")),
    context=int(os.environ.get("TINY_CONTEXT", "2000")),
)

if __name__ == "__main__":
    main()
