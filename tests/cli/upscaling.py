"""Pictures to be enlarged, and the command that enlarges them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from PIL import Image

from tilewise.cli.main import main


def run(*words: object) -> Result:
    """Run ``tilewise upscale``."""
    return CliRunner().invoke(main, ["upscale", *map(str, words)])


def fails(*words: object) -> str:
    """Run it, see that it fails with one sentence, and return that."""
    done = run(*words)
    assert done.exit_code == 1, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert done.output.count("\n") == 1, done.output
    assert done.output.startswith("Error: ")
    return done.output


def photo(width: int = 24, height: int = 16, seed: int = 0) -> Image.Image:
    """A slope with noise."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(seed).integers(0, 60, (height, width, 3))
    return Image.fromarray((noise + (4 * x + 3 * y)[..., None]).clip(0, 255).astype(np.uint8))


def names(folder: Path) -> list[str]:
    """Names of what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())
